"""Pipeline parameters and what they mean: flat knobs for people, one JSON text per stage for all the rest."""

import json
from collections.abc import Mapping
from typing import Any

from sarslim.config.parsing import from_json, parse
from sarslim.config.stages import STAGES, RunConfig
from sarslim.errors import InputError

# Parameters that people turn in the KFP UI, and the fields they set.
KNOBS: dict[str, tuple[str, ...]] = {
    "source": ("prepare.source",),
    "source_format": ("prepare.format",),
    "image_size": ("prepare.image_size",),
    "network": ("teacher.network",),
    "teacher_epochs": ("teacher.epochs",),
    "macs_budget": ("prune.macs",),
    "params_budget": ("prune.params",),
    "recovery_method": ("distill.method",),
    "recovery_epochs": ("distill.epochs",),
    "temperature": ("distill.temperature",),
    "self_reflection": ("distill.crd_weight",),
    "max_drop": ("evaluate.max_drop",),
    "model_name": ("publish.name",),
    "seed": ("prepare.seed", "teacher.seed", "prune.seed", "ask.seed", "distill.seed", "evaluate.seed"),
    **{f"{stage}_rerun": (f"{stage}.rerun",) for stage in RunConfig.model_fields},
}

# What a run can start from: each artifact, and the stage that makes it.
ARTIFACTS = {"dataset": "prepare", "teacher": "teacher", "pruned": "prune", "student": "distill"}
# The pipeline that starts from each.
STARTS = {
    "dataset": "from-dataset", "teacher": "from-teacher", "pruned": "from-pruned", "student": "from-distilled",
}  # fmt: skip


def given_artifacts(start: str) -> tuple[str, ...]:
    """What an earlier run has to give where a run starts from the artifact ``start``: it and all before it."""
    return tuple(ARTIFACTS)[: tuple(ARTIFACTS).index(start) + 1] if start else ()


def start_with(artifacts: Mapping[str, str]) -> str:
    """The pipeline that goes on furthest from these artifacts of a run, with its parameters; empty: none does."""
    for start in reversed(ARTIFACTS):
        needed = given_artifacts(start)
        if all(artifacts.get(name) for name in needed):
            given = " ".join(f"{name}_uri={artifacts[name]}" for name in needed)
            return f"{STARTS[start]} with {given}"
    return ""


def names(start: str = "") -> tuple[str, ...]:
    """The parameters of a pipeline that starts from the artifact ``start``: those of the stages that it runs."""
    first = STAGES.index(ARTIFACTS[start]) + 1 if start else 0
    knobs = [knob for knob, paths in KNOBS.items() if any(path.split(".")[0] in STAGES[first:] for path in paths)]
    return (*knobs, *(f"{stage}_options" for stage in STAGES[first:]))


def default(name: str) -> Any:
    """The default of a pipeline parameter, which lives in its pydantic model."""
    return "{}" if name.endswith("_options") else field(KNOBS[name][0]).default


def description(name: str) -> str:
    """What people read about a pipeline parameter."""
    if name.endswith("_options"):
        return f"JSON object with any other fields of the {name.removesuffix('_options')} stage."
    return str(field(KNOBS[name][0]).description)


def field(path: str) -> Any:
    """The pydantic field at a dotted path such as ``distill.temperature``."""
    section, name = path.split(".")
    model = RunConfig.model_fields[section].annotation
    assert model is not None
    return model.model_fields[name]


def to_parameters(config: RunConfig) -> dict[str, Any]:
    """Pipeline parameters that give ``config``: knobs, and JSON with the rest that differs from the defaults."""
    values = config.model_dump(mode="json")
    parameters: dict[str, Any] = {}
    covered = set()
    for knob, paths in KNOBS.items():
        parameters[knob] = _get(values, paths[0])
        covered |= {path for path in paths if _get(values, path) == parameters[knob]}
    for stage in STAGES:
        options = {
            name: value
            for name, value in values[stage].items()
            if f"{stage}.{name}" not in covered and value != _default(f"{stage}.{name}")
        }
        parameters[f"{stage}_options"] = json.dumps(options)
    return parameters


def from_parameters(parameters: Mapping[str, Any]) -> RunConfig:
    """The configuration that pipeline parameters stand for; an option overrides a knob.

    Raises:
        InputError: every problem of every stage at once.
    """
    values: dict[str, dict[str, Any]] = {stage: {} for stage in STAGES}
    for knob, paths in KNOBS.items():
        for path in paths:
            stage, name = path.split(".")
            values[stage][name] = parameters[knob]
    for stage in STAGES:
        values[stage] |= _options(f"{stage}_options", parameters[f"{stage}_options"])
    return parse(RunConfig, values)


def _options(name: str, text: str) -> dict[str, Any]:
    try:
        options = from_json(text or "{}")
    except ValueError as error:
        raise InputError(name, f"{text!r} is not JSON ({error})", 'Write an object such as {"mixup": 0.2}') from None
    if not isinstance(options, dict):
        raise InputError(name, f"{text!r} is not a JSON object", 'Write an object such as {"mixup": 0.2}')
    return options


def _get(values: Mapping[str, Any], path: str) -> Any:
    section, name = path.split(".")
    return values[section][name]


def _default(path: str) -> Any:
    return _get(RunConfig().model_dump(mode="json"), path)
