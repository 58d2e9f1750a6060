"""Values into models: every problem at once, each with its field, its value and what to write in its place."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from sarslim.errors import InputError, together

Model = TypeVar("Model", bound=BaseModel)

LONGEST = 80  # characters of a value that are shown
MOST = 20  # problems that are shown
BOUNDS = {
    "greater_than": "is not above {gt}",
    "greater_than_equal": "is below {ge}",
    "less_than": "is not below {lt}",
    "less_than_equal": "is above {le}",
}
KINDS = {
    "int": ("is not a whole number", "Write a whole number"),
    "float": ("is not a number", "Write a number"),
    "finite": ("is not a finite number", "Write a number"),
    "bool": ("is neither true nor false", "Write true or false"),
    "string": ("is not a text", "Write a text, in quotes where it could be read as something else"),
    "tuple": ("is not a list", "Write a list such as [a, b]"),
    "dict": ("is not a mapping", "Write a mapping such as {a: b}"),
    "model": ("is not a section", "Write its fields below it, each with a value"),
}


def parse(model: type[Model], values: Mapping[str, Any] | str | bytes, where: str = "") -> Model:
    """Validates ``values`` (a mapping, or JSON as a text or in UTF-8), with all problems reported at once.

    Raises:
        InputError: names every wrong field, its value and, for a misspelt one, the nearest right name.
    """
    try:
        if isinstance(values, str | bytes):
            return model.model_validate_json(values)
        return model.model_validate(values)
    except ValidationError as error:
        problems = [_describe(model, problem, where) for problem in error.errors()]
    more = f"; and {len(problems) - MOST} more" if len(problems) > MOST else ""
    whole = together([InputError(*problem) for problem in problems[:MOST]])
    raise InputError(whole.where, whole.problem + more, whole.remedy)


def from_json(text: str) -> Any:
    """The content of a JSON text, with its numbers as texts exactly as they were written.

    Raises:
        ValueError: not JSON, or a name that stands twice.
    """
    return json.loads(text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=pairs)


def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping.

    Raises:
        ValueError: a name that stands twice.
    """
    names = [name for name, _ in items]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} stands twice")
    return dict(items)


def nearest(name: str, candidates: Iterable[str]) -> str:
    """`` (did you mean x?)``, or nothing."""
    near = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)
    return f" (did you mean {near[0]}?)" if near else ""


def field_at(model: type[BaseModel], path: Iterable[str]) -> FieldInfo | None:
    """The field at a path of names, or None where there is none."""
    found = None
    for name in path:
        if not (isinstance(model, type) and issubclass(model, BaseModel)) or name not in model.model_fields:
            return None
        found = model.model_fields[name]
        model = found.annotation  # type: ignore[assignment]
    return found


def _describe(model: type[BaseModel], problem: Any, where: str) -> tuple[str, str, str]:
    path = [str(part) for part in problem["loc"]]
    name = ".".join([where, *path] if where else path) or model.__name__
    kind, value = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        return name, *_unknown(model, path)
    if kind == "missing":
        return name, "is missing", "Give it a value"
    if kind == "json_invalid":
        return name, f"{_shown(value)} is not JSON ({problem['ctx']['error']})", "Write it as a JSON object"
    info = field_at(model, [part for part in path if not part.isdigit()])
    shown = "" if isinstance(value, dict | BaseModel) and kind == "value_error" else _shown(value)
    text, remedy = _words(problem, info)
    return name, f"{shown} {text}".strip(), remedy


def _words(problem: Any, info: FieldInfo | None) -> tuple[str, str]:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "value_error":
        text, _, remedy = problem["msg"].removeprefix("Value error, ").partition("; ")
        return text, remedy[:1].upper() + remedy[1:] or _described(info)
    if kind in BOUNDS:
        return BOUNDS[kind].format(**{name: _plain(value) for name, value in context.items()}), _range(info, context)
    if kind == "literal_error":
        known = context["expected"].replace(" or ", ", ").replace("'", "")
        return f"is not known{nearest(str(problem['input']), known.split(', '))}", f"Choose from {known}"
    if kind in ("too_short", "too_long"):
        return "has too few items" if kind == "too_short" else "has too many items", _described(info)
    if kind == "int_parsing_size":
        return "is too large", "Write a smaller whole number"
    if kind == "string_pattern_mismatch":
        return "does not have the form that is asked for", _described(info)
    text, remedy = KINDS.get(kind.partition("_")[0], ("is not valid here", ""))
    return text, _number(problem["input"], kind) or _with_default(remedy, info) or _described(info)


def _number(value: Any, kind: str) -> str:
    """How a number is written that was written otherwise, such as ``5%`` for 0.05, or nothing."""
    if kind.startswith("string") and isinstance(value, bool | int | float):
        return f'Put it in quotes, as it is meant: "{value}"'
    if not isinstance(value, str):
        return ""
    share = value.strip().endswith("%")
    try:
        number = float(value.strip().removesuffix("%").replace(",", ".")) / (100 if share else 1)
    except ValueError:
        return ""
    if kind.startswith("int"):
        return f"Write {number:.0f}" if number.is_integer() and abs(number) < 2**53 else ""
    return f"Write {number:g}" if kind.startswith("float") else ""


def _range(info: FieldInfo | None, context: Mapping[str, Any]) -> str:
    words = {"gt": "above {}", "ge": "at least {}", "lt": "below {}", "le": "at most {}"}
    metadata = info.metadata if info else []
    bounds = {name: getattr(one, name) for one in metadata for name in words if hasattr(one, name)} or context
    told = [text.format(_plain(bounds[name])) for name, text in words.items() if name in bounds]
    return f"Write a number {' and '.join(told)}"


def _plain(value: float) -> str:
    """A bound without an exponent."""
    return str(int(value)) if value == int(value) else f"{value:g}"


def _with_default(remedy: str, info: FieldInfo | None) -> str:
    simple = info is not None and isinstance(info.default, int | float | str) and info.default not in ("", True, False)
    return f"{remedy} such as {info.default}" if simple and remedy.endswith("number") and info else remedy


def _described(info: FieldInfo | None) -> str:
    return str(info.description) if info is not None and info.description else "See what the field takes"


def _unknown(model: type[BaseModel], path: list[str]) -> tuple[str, str]:
    """Problem and remedy of a name that is no field."""
    *above, name = path
    fields = _fields_at(model, above)
    prefix = "".join(f"{section}." for section in above)
    own = sections(model)
    kind = "section" if not above and len(own) == len(fields) else "field"
    elsewhere = [f"{section}.{name}" for section, names in own.items() if name in names]
    meant = elsewhere or [f"{prefix}{near}" for near in difflib.get_close_matches(name, fields, n=1, cutoff=0.5)]
    if meant:
        return f"is not a {kind} (did you mean {' or '.join(meant)}?)", f"Write {' or '.join(meant)}"
    return f"is not a {kind}", f"Known {kind}s: {', '.join(sorted(fields) if above else fields)}"


def sections(model: type[BaseModel]) -> dict[str, list[str]]:
    """The fields of each field of ``model`` that is a model itself."""
    return {name: found for name in model.model_fields if (found := _fields_at(model, [name]))}


def _fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        info = model.model_fields.get(part)
        annotation = info.annotation if info else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
