"""How a DAG becomes a pipeline of KFP: its parameters come from the pydantic models of the stages."""

import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kfp import dsl

from components.placement import Placement
from sarslim.config import GridConfig
from sarslim.config.parameters import default, description, given_artifacts, names


@dataclass(frozen=True)
class Dag:
    """A pipeline before it is traced: its function, what it returns, the artifact it starts from, more parameters.

    ``keeps`` is for pipelines that need settings of stages that they do not run: of those after this artifact.
    """

    function: Callable[..., Any]
    outputs: type
    start: str = ""
    grid: tuple[str, ...] = ()
    keeps: str = ""

    def parameters(self) -> dict[str, tuple[Any, str]]:
        """Default (or none) and description of every parameter by name; what has no default comes first."""
        uris = {f"{name}_uri": f"URI of the {name} artifact of an earlier run." for name in given_artifacts(self.start)}
        fields = {name: GridConfig.model_fields[name] for name in self.grid}
        return (
            {name: (inspect.Parameter.empty, text) for name, text in uris.items()}
            | {name: (default(name), description(name)) for name in names(self.keeps or self.start)}
            | {name: (field.default, str(field.description)) for name, field in fields.items()}
        )

    @property
    def summary(self) -> str:
        """What the pipeline does, in a sentence."""
        text = str(self.function.__doc__)
        return f"{text} Starts from the {self.start} of an earlier run." if self.start else text


def trace(name: str, dag: Dag, on: Placement) -> Any:
    """The pipeline ``name``. KFP reads its parameters from a signature, which is made here."""
    parameters = dag.parameters()

    def traced(*values: Any) -> Any:
        options = {"start": dag.start} if dag.start else {}
        return dag.function(on, dict(zip(parameters, values, strict=True)), **options)

    signature = [
        inspect.Parameter(
            parameter,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=value,
            annotation=str if value is inspect.Parameter.empty else type(value),
        )
        for parameter, (value, _) in parameters.items()
    ]
    traced.__signature__ = inspect.Signature(signature, return_annotation=dag.outputs)  # type: ignore[attr-defined]
    lines = [f"    {parameter}: {text}" for parameter, (_, text) in parameters.items()]
    traced.__doc__ = "\n".join([dag.summary, "", "Args:", *lines])
    link = f" [Documentation]({on.cluster.documentation})" if on.cluster and on.cluster.documentation else ""
    # KFP looks at the whole stack for each setting of a task. That of a new thread is short, whoever calls: in
    # notebooks and tests, where much is loaded, this took most of the time.
    with ThreadPoolExecutor(1) as thread:
        pipeline = thread.submit(dsl.pipeline, traced, name=name, description=f"{dag.summary}{link}").result()
    spec = pipeline.pipeline_spec
    for graph in (spec.root.dag, *(component.dag for component in spec.components.values())):
        _thin(graph)
    return pipeline


def _thin(graph: Any) -> None:
    """Takes away what a task waits for anyway, as another one that it waits for does.

    KFP lists every task whose output is used, and its UI draws a line for each, over half of which said nothing new
    here. The order stays the same: this is the transitive reduction of the graph (Aho, Garey and Ullman, SIAM Journal
    on Computing 1:131-137, 1972).
    """
    waits = {name: set(task.dependent_tasks) for name, task in graph.tasks.items()}

    def before(name: str) -> set[str]:
        return waits[name].union(*(before(each) for each in waits[name]))

    for name, task in graph.tasks.items():
        anyway = set().union(*(before(each) for each in waits[name]))
        task.dependent_tasks[:] = sorted(waits[name] - anyway)
