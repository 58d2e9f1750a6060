"""What the folder of a finished local run holds, as parameters, metrics, tags and files of a tracking server."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from sarslim import __version__, report
from sarslim.chips.dataset import RECORD
from sarslim.config import RunConfig
from sarslim.config.parameters import KNOBS
from sarslim.errors import InputError
from sarslim.progress import note
from sarslim.records import Comparison, DatasetRecord, EvaluateRecord, TrainRecord
from sarslim.stages import results
from sarslim.store import journal

DIGEST = 12  # characters of a data set's digest: as many as a comparison has
NETWORKS = ("teacher", "pruned", "student")
MAIN = {path for knob, paths in KNOBS.items() if not knob.endswith("_rerun") for path in paths}
# What the rows of a comparison set for themselves, or what it has none of.
NOT_COMPARED = {"distill.method", "prune.seed", "distill.seed", "evaluate.max_drop", "publish.name"}
BUDGETS = {"prune.macs", "prune.params"}


class Point(NamedTuple):
    """One value of a metric; ``time`` in milliseconds since 1970."""

    name: str
    value: float
    time: int
    step: int = 0


@dataclass
class Entry:
    """A run as MLflow keeps it, from ``start`` to ``end`` (milliseconds since 1970); ``children`` hang below it."""

    name: str
    start: int
    end: int
    tags: dict[str, str]
    params: dict[str, str]
    points: list[Point] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    children: list["Entry"] = field(default_factory=list)


def read_run(folder: Path) -> Entry:
    """What a run folder holds, in the terms of MLflow.

    Raises:
        InputError: no finished run, or files that hold something else.
    """
    folder = folder.resolve()
    settings, summary, comparison = (folder / name for name in ("config.yaml", "summary.json", "comparison.json"))
    record = summary if summary.is_file() else comparison
    if not (settings.is_file() and record.is_file()):
        raise InputError(str(folder), "holds no finished run", "Give a folder such as runs/latest")
    # The configuration is written when a run begins, its record when it ends.
    start, end = sorted(round(1000 * file.stat().st_mtime) for file in (settings, record))
    tags = {
        "sarslim.run": folder.name,
        "sarslim.sha256": hashlib.sha256(record.read_bytes()).hexdigest(),
        "sarslim.logged_by": f"sarslim {__version__}",
        "mlflow.source.name": "sarslim",
    }
    entry = Entry(folder.name, start, end, tags, parameters(_read(settings, yaml.safe_load)))
    entry.files = [file for file in (folder / "report.html", record, settings) if file.is_file()]
    if record == comparison:
        _add_comparison(entry, results.read_json(Comparison, record))
    else:
        _add_summary(entry, summary)
        _add_artifacts(entry, folder.parent, _read(summary, json.loads))
    return entry


def parameters(config: Mapping[str, Any]) -> dict[str, str]:
    """The fields that people turn and those that differ from their defaults, as ``stage.field``; empty ones are not."""
    defaults = RunConfig().model_dump(mode="json")
    values, usual = _flat(config, defaults), _flat(defaults, defaults)
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
        if (name in MAIN or value != usual.get(name)) and value != ""
    }


def _flat(values: Mapping[str, Any], like: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Sections within sections as dotted names. A mapping that is empty by default is a value: its keys are labels."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = like.get(name)
        if isinstance(value, dict) and isinstance(inner, dict) and inner:
            found |= _flat(value, inner, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value
    return found


def _read(file: Path, load: Callable[[str], Any]) -> dict[str, Any]:
    try:
        found = load(file.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError):
        found = None
    if not isinstance(found, dict):
        raise InputError(str(file), "cannot be read", "Give the folder of another run")
    return found


def _add_summary(entry: Entry, file: Path) -> None:
    """The figures of ``summary.json``."""
    found = _read(file, json.loads)
    try:
        figures = {name: found[name] for name in NETWORKS}
        for each in found["delivered"]:
            variant = f"{each['runtime'].removesuffix(' Runtime')}_{each['precision']}".lower()
            figures[f"{each['network']}_{variant}"] = each
        figures |= {f"rival_{each['network']}": each for each in found["rivals"]}
        entry.points += [*_points(figures, entry.end), *_points({"seconds": found["seconds"]}, entry.end)]
        entry.points.append(Point("majority_accuracy", found["majority_accuracy"], entry.end))
        entry.tags["sarslim.version"] = found["versions"]["sarslim"]
        entry.tags["sarslim.gate"] = "passed" if found["gate_passed"] else "not passed"
        if found["bundle_uri"]:
            entry.tags["sarslim.bundle_uri"] = found["bundle_uri"]
    except (KeyError, TypeError, AttributeError):
        raise InputError(str(file), "is not the summary of a run", "Give the folder of another run") from None


def _add_artifacts(entry: Entry, runs: Path, summary: Mapping[str, Any]) -> None:
    """What only the artifacts of a run tell: the digest of its data, and its training curves."""
    evaluation, made = _artifacts(runs, summary)
    if evaluation is None:
        note("the artifacts of this run are gone, and with them its training curves and the digest of its data")
        return
    with suppress(InputError, KeyError):
        dataset = results.read_json(DatasetRecord, Path(made["dataset"]) / RECORD)
        entry.tags |= _data_tags(dataset.digest, dataset.simulated)
        entry.tags["mlflow.note.content"] = report.verdict(dataset, evaluation)
    time = entry.start
    for name in ("teacher", "student"):
        with suppress(InputError, KeyError):
            training = results.read_json(TrainRecord, Path(made[name]) / results.TRAINING)
            curve = _curve(f"{name}_training", training, time)
            entry.points, time = entry.points + curve, curve[-1].time


def _artifacts(runs: Path, summary: Mapping[str, Any]) -> tuple[EvaluateRecord | None, dict[str, str]]:
    """The evaluation that a summary tells of, and the addresses of what was evaluated, by their names.

    A run folder does not name its artifacts, which may be those of an earlier run. Its figures do: no two evaluations
    measure the same latencies.
    """
    for file in (runs / "store" / "sarslim" / "pipelines").glob(f"*/evaluate-student/evaluation/{results.EVALUATION}"):
        with suppress(InputError):  # of another version
            evaluation = results.read_evaluation(file.parent)
            if all(getattr(evaluation, name).summary() == summary[name] for name in NETWORKS):
                entries = journal.read(journal.run_root(str(file.parent)))
                return evaluation, next((entry.inputs for entry in entries if "evaluation" in entry.outputs), {})
    return None, {}


def _curve(name: str, training: TrainRecord, start: int) -> list[Point]:
    """A point per epoch and figure, as if the first epoch had begun at ``start``, and the epoch that was kept."""
    points, time = [], float(start)
    for epoch in training.epochs:
        time += 1000 * epoch.seconds
        figures = epoch.model_dump(exclude={"epoch", "losses"})
        figures |= {"loss" if term == "total" else f"loss_{term}": value for term, value in epoch.losses.items()}
        points += [Point(f"{name}/{figure}", value, round(time), epoch.epoch) for figure, value in figures.items()]
    return [*points, Point(f"{name}/kept_epoch", training.kept_epoch, round(time))]


def _add_comparison(entry: Entry, record: Comparison) -> None:
    """The network that the others are held against on the run itself, and a run below it for every network."""
    reference = record.networks[0]
    entry.tags |= _data_tags(reference.data_digest, reference.simulated)
    set_by_rows = NOT_COMPARED | (BUDGETS if any(network.budget for network in record.networks) else set())
    entry.params = {name: value for name, value in entry.params.items() if name not in set_by_rows}
    entry.points = _points({reference.name: reference.figures()}, entry.end)
    for number, network in enumerate(record.networks):
        label = {"network": network.name, "budget": network.budget, "method": network.method, "seed": str(network.seed)}
        time = entry.end - number  # MLflow shows the youngest first, and a row has no time of its own
        child = Entry(network.name, time, time, dict(entry.tags), {name: text for name, text in label.items() if text})
        child.points = [Point(name, value, entry.end) for name, value in network.figures().items()]
        entry.children.append(child)
    entry.tags["mlflow.note.content"] = report.lead(record)


def _data_tags(digest: str, simulated: bool) -> dict[str, str]:
    return {"sarslim.data_digest": digest[:DIGEST], "sarslim.simulated": str(simulated).lower()}


def _points(figures: Mapping[str, Mapping[str, Any]], time: int) -> list[Point]:
    return [
        Point(f"{name}/{figure}", value, time)
        for name, values in figures.items()
        for figure, value in values.items()
        if isinstance(value, int | float)
    ]
