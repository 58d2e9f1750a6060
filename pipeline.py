"""The sarslim pipelines: what runs after what. The command ``sarslim`` compiles, runs and submits them.

Read it top-down: ``compress`` is the whole experiment, ``sweep`` and ``baselines`` loop over parts of it. ``on`` places
each task on this machine or on a cluster.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kfp import dsl

from components.ask_teacher import ask_teacher
from components.cell import recover_cell, rival_cell
from components.check import check_inputs
from components.compare import compare_networks
from components.distill_student import distill_student
from components.evaluate import evaluate_student
from components.measure import measure_network
from components.placement import Placement
from components.plan import plan_methods, plan_rivals, plan_sweep
from components.prepare_data import prepare_data
from components.prune_student import prune_student
from components.publish import publish_bundle
from components.tracing import Dag, trace
from components.train_teacher import train_teacher
from sarslim.config.cluster import ClusterConfig
from sarslim.config.parameters import ARTIFACTS, default, given_artifacts, names

Values = Mapping[str, Any]

TEACHER = '{"name": "teacher"}'  # its label where networks are measured


class Outputs(NamedTuple):
    """What a run leaves behind."""

    dataset: dsl.Dataset
    teacher: dsl.Model
    pruned: dsl.Model
    student: dsl.Model
    evaluation: dsl.Artifact
    bundle: dsl.Model
    report: dsl.HTML


class Compared(NamedTuple):
    """What a comparison of networks leaves behind."""

    comparison: dsl.Artifact
    report: dsl.HTML


def compress(on: Placement, values: Values, start: str = "") -> Outputs:
    """Compresses a SAR recognition network: prepare chips, train a teacher, prune it, distil, evaluate, publish."""
    config, given = begin(on, values, start)
    dataset, teacher = learn(on, config, given)
    pruned = given.get("pruned") or cut(on, config["prune"], dataset, teacher)
    student = given.get("student") or recover(
        on, config["distill"], dataset, teacher, pruned, ask(on, config["ask"], dataset, teacher)
    )
    networks = {"teacher": teacher, "pruned": pruned, "student": student}
    judge = on("evaluate", evaluate_student(config=config["evaluate"], dataset=dataset, **networks)).outputs
    with dsl.If(judge["Output"] == True, name="gate passed"):  # noqa: E712 a KFP condition, not Python's
        on("publish", publish_bundle(config=config["publish"], bundle=judge["bundle"]))
    made = {name: judge[name] for name in ("evaluation", "bundle", "report")}
    return Outputs(dataset=dataset, **networks, **made)


def sweep(on: Placement, values: Values, start: str = "") -> Compared:
    """Prunes and recovers one teacher per budget, method and seed; a Pareto report shows what each costs and can do."""
    config, given = begin(on, values, start, publishes=False)
    plan = plan_sweep(
        **{stage: config[stage] for stage in ("prepare", "teacher", "prune", "distill", "evaluate")},
        **{name: values[name] for name in ("budgets", "methods", "seeds")},
    )
    cells = on("check", plan, "Plan the sweep").outputs["Output"]
    dataset, teacher = learn(on, config, given, after=[plan])
    answers = ask(on, config["ask"], dataset, teacher)
    whole = measure(on, TEACHER, config["evaluate"], dataset, teacher)
    with dsl.ParallelFor(cells, name="budgets, methods and seeds", parallelism=on.parallel) as cell:
        measured = recovered(on, cell, dataset, teacher, answers)
    return compared(on, compare_networks(config=config["evaluate"], reference=whole, others=dsl.Collected(measured)))


def baselines(on: Placement, values: Values, start: str = "") -> Compared:
    """Holds the recovered network against its fine-tuned twin and against lightweight networks of the same recipe."""
    config, given = begin(on, values, start, publishes=False)
    first = plan_methods(
        **{stage: config[stage] for stage in ("prune", "distill", "evaluate")},
        **{name: values[name] for name in ("methods", "seeds")},
    )
    methods = on("check", first, "Plan the methods").outputs["Output"]
    second = plan_rivals(
        **{stage: config[stage] for stage in ("prepare", "teacher", "evaluate")},
        **{name: values[name] for name in ("networks", "seeds")},
    )
    rivals = on("check", second, "Plan the rivals").outputs["Output"]
    dataset, teacher = learn(on, config, given, after=[first, second])
    answers = ask(on, config["ask"], dataset, teacher)
    whole = measure(on, TEACHER, config["evaluate"], dataset, teacher)
    with dsl.ParallelFor(methods, name="methods and seeds", parallelism=on.parallel) as cell:
        ours = recovered(on, cell, dataset, teacher, answers)
    with dsl.ParallelFor(rivals, name="rivals and seeds", parallelism=on.parallel) as cell:
        rival = rival_cell(label=cell.label, teacher=cell.teacher, evaluate=cell.evaluate, dataset=dataset)
        others = on("teacher", rival, "Train and measure rival").outputs["Output"]
    collected = {"others": dsl.Collected(others), "more": dsl.Collected(ours)}
    return compared(on, compare_networks(config=config["evaluate"], reference=whole, **collected))


def begin(
    on: Placement, values: Values, start: str = "", *, publishes: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration of every stage, and the artifacts that an earlier run gives."""
    uris = {f"{name}_uri": values.get(f"{name}_uri", "") for name in ARTIFACTS}
    parameters = {name: values.get(name, default(name)) for name in names()}
    asked = {"start": start, "methods": values.get("methods", ""), "publishes": publishes}
    config = on("check", check_inputs(**parameters, **uris, **asked)).outputs
    given = {name: on.given(name, uris[f"{name}_uri"]) for name in given_artifacts(start)}
    return config, given


def learn(on: Placement, config: Values, given: Values | None = None, after: Sequence[Any] = ()) -> tuple[Any, Any]:
    """The data set and the teacher; ``after`` names tasks that may yet refuse the run."""
    given = given or {}
    dataset = (
        given.get("dataset") or (on("prepare", prepare_data(config=config["prepare"])).after(*after).outputs["dataset"])
    )
    teacher = (
        given.get("teacher")
        or (on("teacher", train_teacher(config=config["teacher"], dataset=dataset)).outputs["teacher"])
    )
    return dataset, teacher


def cut(on: Placement, config: Any, dataset: Any, teacher: Any) -> Any:
    """The pruned network."""
    return on("prune", prune_student(config=config, dataset=dataset, teacher=teacher)).outputs["pruned"]


def ask(on: Placement, config: Any, dataset: Any, teacher: Any) -> Any:
    """What the teacher says beforehand, once for all distillations from it."""
    return on("ask", ask_teacher(config=config, dataset=dataset, teacher=teacher)).outputs["answers"]


def recover(on: Placement, config: Any, dataset: Any, teacher: Any, pruned: Any, answers: Any) -> Any:
    """The student."""
    distill = distill_student(config=config, dataset=dataset, teacher=teacher, pruned=pruned, answers=answers)
    return on("distill", distill).outputs["student"]


def recovered(on: Placement, cell: Any, dataset: Any, teacher: Any, answers: Any) -> Any:
    """The figures of the student of one cell of a plan, in one task: three would start longer than they work."""
    stages = {"prune": cell.prune, "distill": cell.distill, "evaluate": cell.evaluate}
    task = recover_cell(label=cell.label, **stages, dataset=dataset, teacher=teacher, answers=answers)
    return on("distill", task, "Prune, recover, measure").outputs["Output"]


def measure(on: Placement, label: Any, config: Any, dataset: Any, model: Any) -> Any:
    """The figures of one network on the test part, as a parameter."""
    task = measure_network(label=label, config=config, dataset=dataset, model=model)
    return on("evaluate", task, "Measure").outputs["Output"]


def compared(on: Placement, task: Any) -> Compared:
    """The end of a comparison."""
    outputs = on("evaluate", task, "Compare").outputs
    return Compared(comparison=outputs["comparison"], report=outputs["report"])


DAGS = {
    "compress": Dag(compress, Outputs),
    "sweep": Dag(sweep, Compared, grid=("budgets", "methods", "seeds")),
    "baselines": Dag(baselines, Compared, grid=("methods", "networks", "seeds")),
    # The settings of the teacher are still asked for: budgets are checked by them, rivals learn by its recipe.
    "sweep-from-teacher": Dag(sweep, Compared, start="teacher", grid=("budgets", "methods", "seeds"), keeps="dataset"),
    "baselines-from-teacher": Dag(
        baselines, Compared, start="teacher", grid=("methods", "networks", "seeds"), keeps="dataset"
    ),
    "from-dataset": Dag(compress, Outputs, start="dataset"),
    "from-teacher": Dag(compress, Outputs, start="teacher"),
    "from-pruned": Dag(compress, Outputs, start="pruned"),
    "from-distilled": Dag(compress, Outputs, start="student"),
}


def build(name: str, cluster: ClusterConfig | None = None) -> Any:
    """A pipeline as KFP knows it, for this machine or for a cluster, where others have pipelines, too."""
    return trace(name if cluster is None else f"{cluster.prefix}{name}", DAGS[name], Placement(cluster))
