"""What a user sets, from files and command lines, as validated settings and pipeline arguments."""

import difflib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import BaseModel

from sarslim.config.cluster import ClusterConfig
from sarslim.config.parameters import ARTIFACTS, KNOBS, to_parameters
from sarslim.config.parsing import field_at, parse, sections
from sarslim.config.stages import STAGES, PrepareConfig, RunConfig
from sarslim.config.texts import from_command_line, from_yaml
from sarslim.errors import InputError
from sarslim.store.storage import is_s3


def load_config(file: Path | None, source: str, sets: list[str]) -> RunConfig:
    """A configuration from a YAML file, the address of the data, and ``stage.field=value`` texts, in this order.

    Raises:
        InputError: a missing or malformed file, an unknown field, a wrong value.
    """
    values = {} if file is None else _read_yaml(RunConfig, file, f"Write a section per stage: {', '.join(STAGES)}")
    if source:
        _assign(RunConfig, values, "prepare.source", source if is_s3(source) else _absolute(source))
    return _placed(_with(values, sets))


def changed(config: RunConfig, start: str, sets: list[str]) -> RunConfig:
    """The configuration of an earlier run, changed so that it runs again from stage ``start`` on.

    Raises:
        InputError: no such stage, or a change to a stage before ``start``.
    """
    choose("--from", start, STAGES)
    early = [text for text in sets if text.split(".")[0].strip() in STAGES[: STAGES.index(start)]]
    if early:
        raise InputError("--set", f"{early[0]!r} changes a stage before {start}", "Start --from that stage")
    if not any(text.startswith(f"{start}.") for text in sets):
        # Nothing of the stage changes, so it is forced.
        sets = [*sets, f"{start}.rerun={time.strftime('%Y%m%d-%H%M%S')}"]
    return _placed(_with(config.model_dump(mode="json"), sets))


def load_cluster(file: Path | None, places: list[str]) -> ClusterConfig:
    """What a cluster gives to the stages, from a YAML file and ``field=value`` texts, in this order.

    Raises:
        InputError: a missing or malformed file, an unknown field, a wrong value.
    """
    values = (
        {} if file is None else _read_yaml(ClusterConfig, file, "Write fields such as secret, teacher or accelerator")
    )
    for text in places:
        if "=" not in text:
            raise InputError("--place", f"{text!r} sets nothing", "Write field=value, such as accelerator.count=1")
        _set(ClusterConfig, values, text)
    return parse(ClusterConfig, values)


def arguments(dag: Any, config: RunConfig, inputs: list[str]) -> dict[str, Any]:
    """The arguments of a pipeline: what the configuration says of its parameters, and ``name=value`` for the others.

    Raises:
        InputError: an input that the pipeline does not take, or one that it lacks.
    """
    takes = dag.component_spec.inputs
    values = {name: value for name, value in to_parameters(config).items() if name in takes}
    others = [name for name in takes if name not in values]
    for text in inputs:
        name, _, value = text.partition("=")
        if not others:
            raise InputError("--input", f"{name!r}: {dag.name} takes no input", "Leave it out, or name a --pipeline")
        choose("--input", name, others)
        values[name] = value
    for name in others:
        if name not in values and takes[name].default is None:
            raise InputError("--input", f"{name} is missing", f"Give it: --input {name}=...")
    return values


def choose(what: str, name: str, known: Iterable[str]) -> None:
    """
    Raises:
        InputError: ``name`` is not known; the remedy lists what is.
    """
    known = list(known)
    if name not in known:
        near = "".join(f" (did you mean {found}?)" for found in difflib.get_close_matches(name, known, n=1))
        raise InputError(what, f"{name!r} is not known{near}", f"Choose from {', '.join(known)}")


def entry_point(stage: str) -> str:
    """The artifact to start from so that ``stage`` is the first to run; empty: from the source."""
    before = [name for name, maker in ARTIFACTS.items() if STAGES.index(maker) < STAGES.index(stage)]
    return before[-1] if before else ""


LAYOUTS = {
    "folder": "a folder per class",
    "opensarship": "OpenSARShip products",
    "fusar": "FUSAR-Ship chips",
}


def require_data(config: PrepareConfig) -> None:
    """
    Raises:
        InputError: the configuration reads data, and none are given; simulated ships would not be what is meant.
    """
    if not config.source and not config.simulated:
        raise InputError(
            "prepare.source",
            f"prepare.format={config.format} reads {LAYOUTS[config.format]}, and no data are given",
            "Give them: --data PATH_OR_S3_URI, or with make run DATA=PATH_OR_S3_URI",
        )


def require_remote_source(config: RunConfig) -> None:
    """
    Raises:
        InputError: a path on this machine, which the pods of a cluster do not see.
    """
    for field, source in config.sources.items():
        if source and not is_s3(source):
            raise InputError(field, f"{source!r} is a path on this machine", "Upload the chips, give an s3:// address")


def _placed(config: RunConfig) -> RunConfig:
    """With the whole paths of sources that have no option of their own, which would make them whole."""
    further = {"unlabelled_source": _whole(config.prepare.unlabelled_source)}
    shifted = {name: _whole(source) for name, source in config.evaluate.shifted.items()}
    return config.model_copy(
        update={
            "prepare": config.prepare.model_copy(update=further),
            "evaluate": config.evaluate.model_copy(update={"shifted": shifted}),
        }
    )


def _whole(source: str) -> str:
    return _absolute(source) if source and not is_s3(source) else source


def _with(values: dict[str, Any], sets: list[str]) -> RunConfig:
    for text in sets:
        path, equals, _ = text.partition("=")
        if not equals or "." not in path:
            raise InputError("--set", f"{text!r} {'names no stage' if equals else 'sets nothing'}", _in_full(text))
        _set(RunConfig, values, text)
    return parse(RunConfig, values)


def _in_full(text: str) -> str:
    """How a setting without its stage or its value is written."""
    name, _, value = (part.strip() for part in text.partition("="))
    value = value or "VALUE"
    paths = {knob: list(own) for knob, own in KNOBS.items()}
    for field in {field for fields in sections(RunConfig).values() for field in fields}:
        paths[field] = [f"{stage}.{field}" for stage, fields in sections(RunConfig).items() if field in fields]
    near = [name] if name in paths else difflib.get_close_matches(name, paths, n=1, cutoff=0.6)
    if not near or name in STAGES:
        return "Write stage.field=value, such as distill.epochs=20"
    return f"Write stage.field=value, such as {' or '.join(f'{path}={value}' for path in paths[near[0]])}"


def _set(model: type[BaseModel], values: dict[str, Any], text: str) -> None:
    path, _, value = text.partition("=")
    path = path.strip()
    _assign(model, values, path, from_command_line(model, path.split("."), value))


def _read_yaml(model: type[BaseModel], file: Path, remedy: str) -> dict[str, Any]:
    try:
        values = from_yaml(model, file.read_text(encoding="utf-8-sig"), str(file))
    except FileNotFoundError:
        raise InputError("--config", f"there is no file {file}", "Check the path; ready ones are in configs/") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        summary = " ".join(str(error).split())
        raise InputError(str(file), f"is not YAML ({summary})", remedy) from None
    except OSError as error:
        raise InputError(
            str(file), f"cannot be read ({error.strerror})", "Give a YAML file that you may read"
        ) from None
    if not isinstance(values, dict):
        raise InputError(str(file), "holds no sections", remedy)
    return values


def _assign(model: type[BaseModel], values: dict[str, Any], path: str, value: Any) -> None:
    *names, last = path.split(".")
    for depth, name in enumerate(names):
        info = field_at(model, names[: depth + 1])
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise InputError(path, f"{name} is not a section", "Write stage.field=value")
        if info is not None and get_origin(info.annotation) is dict:  # the rest is a name in it, which may hold dots
            last = ".".join([*names[depth + 1 :], last])
            break
    values[last] = value


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().resolve())
