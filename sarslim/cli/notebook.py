"""``sarslim.run``: a whole run from Python, for notebooks and scripts; the same as the command ``run``."""

import html
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from sarslim import report
from sarslim.cli.dags import pipelines
from sarslim.cli.options import CONFIGS
from sarslim.cli.output import INSTALL
from sarslim.config import RunConfig, parameters, parse, settings
from sarslim.delivery.runtime import Bundle
from sarslim.errors import InputError, SarslimError, ServiceError
from sarslim.records import Comparison
from sarslim.store.storage import SUMS, S3Uri

INLINE = 8_000_000  # bytes of a report that a notebook still holds well


def run(
    config: str | os.PathLike[str] | Mapping[str, Any] | RunConfig | None = None,
    *,
    data: str | os.PathLike[str] = "",
    runs: str | os.PathLike[str] = "runs",
    pipeline: str = "compress",
    s3_endpoint: str = "",
    mlflow: str = "",
    **sets: Any,
) -> "FinishedRun":
    """Runs a whole pipeline on this machine, as the command ``run`` does, and waits for its end.

        sarslim.run("quick", data="chips", distill={"epochs": 30}, prune={"macs": "2%"})

    Args:
        config: a YAML file, the name of a ready one in ``configs/`` such as ``"quick"``, a mapping with a section per
            stage, or a ``RunConfig``. None: the defaults.
        data: local path or ``s3://`` address of the chips. Empty: as the configuration has it.
        runs: folder of runs, cache and embedded object store.
        pipeline: ``compress``, ``sweep``, ``baselines``, ``from-dataset`` ...
        s3_endpoint: use this object store (credentials from the usual variables) in place of the embedded one.
        mlflow: log the run to this MLflow server. Empty: as ``MLFLOW_TRACKING_URI`` says.
        sets: fields over those of ``config``: a mapping per stage, or ``**{"distill.epochs": 30}``; and the parameters
            of a pipeline that no stage has, such as ``budgets="20%, 5%"`` or ``teacher_uri="s3://..."``.

    Raises:
        InputError: a wrong or misspelt field, data that cannot be used, packages that are not installed.
        ServiceError: something outside failed, such as the object store.
        RunFailed: a stage broke; its last words and where its log is.
    """
    dags, launch, tracking = _tools()
    settings.choose("pipeline", pipeline, dags.DAGS)
    dag = dags.build(pipeline)
    own = {name for name in dag.component_spec.inputs if name not in parameters.names()}
    inputs = [f"{name}={_text(value)}" for name, value in sets.items() if name in own]
    fields = {name: value for name, value in sets.items() if name not in own}
    chosen = configured(config, data, fields)
    server = tracking.wanted(mlflow or None)
    try:
        folder = launch.run(dag, chosen, inputs=inputs, runs=Path(runs), s3_endpoint=s3_endpoint, last=False)
    except launch.RunFailed as error:
        raise as_told(error) from None
    if server:
        tracking.log_ended(folder, server)
    return FinishedRun(folder)


@dataclass(frozen=True)
class FinishedRun:
    """What a run left in its folder."""

    folder: Path

    @property
    def report(self) -> Path:
        """The report: one file, to be opened in a browser."""
        return self.folder / "report.html"

    @cached_property
    def summary(self) -> dict[str, Any]:
        """``summary.json``, or of a sweep or comparison ``comparison.json``."""
        file = self.folder / "summary.json"
        file = file if file.is_file() else self.folder / "comparison.json"
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found

    @property
    def verdict(self) -> str:
        """What came out, in one sentence."""
        if "networks" in self.summary:
            return report.lead(parse(Comparison, self.summary))
        return str(self.summary["verdict"])

    @property
    def bundle(self) -> Bundle:
        """The published bundle, opened with its network in FP32."""
        return self.open()

    def open(self, *, int8: bool = False, threads: int = 0) -> Bundle:
        """Opens the published bundle; see :meth:`Bundle.open`.

        That of the embedded store is read from its folder, for the store is up during runs only.

        Raises:
            InputError: the run published none.
        """
        address = self.summary.get("bundle_uri")
        if not address:
            why = "the student did not pass the gate" if "student" in self.summary else "it compared networks"
            raise InputError(str(self.folder), f"this run published no bundle: {why}", "See its report")
        uri = S3Uri.parse(address)
        stored = self.folder.parent / "store" / uri.bucket / uri.key
        return Bundle.open(stored if (stored / SUMS).is_file() else address, int8=int8, threads=threads)

    def __repr__(self) -> str:
        if "networks" in self.summary:
            return f"Run({self.folder.name}, {len(self.summary['networks'])} networks compared)"
        teacher, student = self.summary["teacher"], self.summary["student"]
        shares = f"student {100 * student['accuracy']:.1f} %, teacher {100 * teacher['accuracy']:.1f} %"
        gate = "passed" if self.summary["gate_passed"] else "NOT passed"
        macs = f"{100 * student['macs'] / teacher['macs']:.3g} % of the MACs"
        return f"Run({self.folder.name}, {shares}, {macs}, quality gate {gate})"

    def _repr_html_(self) -> str:
        """The verdict, a link to the report, and the report itself."""
        near = os.path.relpath(self.report) if self.report.is_relative_to(Path.cwd()) else self.report.as_uri()
        said = (
            f"<p><strong>{html.escape(self.verdict)}</strong></p>"
            f'<p><a href="{html.escape(near)}" target="_blank">{html.escape(near)}</a></p>'
        )
        if self.report.stat().st_size > INLINE:
            return said
        # Links inside the page would else lead to the page around it.
        page = self.report.read_text(encoding="utf-8").replace("<head>", '<head><base href="about:srcdoc">', 1)
        frame = 'sandbox="allow-popups" style="width: 100%; height: 640px; border: 1px solid #8888"'
        return f'{said}<iframe title="Report" {frame} srcdoc="{html.escape(page)}"></iframe>'


def configured(
    config: str | os.PathLike[str] | Mapping[str, Any] | RunConfig | None,
    data: str | os.PathLike[str],
    fields: Mapping[str, Any],
) -> RunConfig:
    """A configuration, with the address of the data and then ``fields`` over it.

    Raises:
        InputError: no such file or name, an unknown field, a wrong value.
    """
    if isinstance(config, RunConfig):
        values = config.model_dump(mode="json")
    elif isinstance(config, Mapping):
        values = _over(RunConfig, {}, config)
    elif config is None:
        values = {}
    else:
        values = settings.load_config(_file(os.fspath(config)), "", []).model_dump(mode="json")
    if source := os.fspath(data):
        where = settings.load_config(None, source, []).prepare.source  # the whole path
        values = _over(RunConfig, values, {"prepare": {"source": where}})
    return parse(RunConfig, _over(RunConfig, values, fields))


def _file(name: str) -> Path:
    if Path(name).suffix or Path(name).exists():
        return Path(name)
    settings.choose("config", name, sorted(path.stem for path in CONFIGS.glob("*.yaml")))
    return CONFIGS / f"{name}.yaml"


def _over(model: type[BaseModel], values: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with ``fields`` over them; sections are merged, all else is replaced."""
    merged = dict(values)
    for path, value in fields.items():
        name, dot, rest = path.partition(".")
        field = model.model_fields.get(name)
        section = field.annotation if field else None
        inner = {rest: value} if dot else value
        if isinstance(section, type) and issubclass(section, BaseModel) and isinstance(inner, Mapping):
            merged[name] = _over(section, merged.get(name, {}), inner)
        else:
            merged[path] = value
    return merged


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def as_told(failed: SarslimError) -> SarslimError:
    """The error of a stage from the line that it printed, as if it had been raised here; another failure as it is."""
    for kind in (InputError, ServiceError):
        if failed.line.startswith(f"{kind.kind}: "):
            where, _, rest = failed.line.removeprefix(f"{kind.kind}: ").partition(": ")
            problem, _, remedy = rest.removesuffix(".").rpartition(". ")
            return kind(where, problem, remedy)
    return failed


def _tools() -> tuple[ModuleType, ModuleType, ModuleType]:
    """The pipelines, what runs them and what logs them; the small install of bundles at work has none of these."""
    try:
        from sarslim.kubeflow import tracking
        from sarslim.kubeflow.local import launch

        return pipelines(), launch, tracking
    except ModuleNotFoundError as error:
        raise InputError("sarslim.run", f"{error.name} is not installed", INSTALL) from None
