"""What people write, read as the type of its field asks: on command lines and in YAML files.

YAML gives 1.10, 0012, 1:30, NO and 2024-10-01 a meaning of its own before anyone asks for it. So a text of a command
line goes to its field as it stands, and in a file a text that YAML has changed is refused.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from sarslim.config.parsing import field_at, pairs
from sarslim.errors import InputError, together

# What has a meaning of its own in YAML, and none here.
STRANGE = (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken, yaml.DirectiveToken, yaml.DocumentStartToken)
TAKEN_FOR_COMMENT = re.compile(r"[ \t]+(#[^\s#].*)")
MERGE = "tag:yaml.org,2002:merge"


def from_command_line(model: type[BaseModel], path: Sequence[str], text: str) -> Any:
    """The value of ``text`` for the field of ``model`` at ``path``, for ``parse`` to look at.

    A text goes to a text field as it is, but for quotes around the whole of it. Lists and mappings are written in
    YAML's flow style, with or without their outer brackets, and all in them is text as well.

    Raises:
        InputError: a list or a mapping that cannot be read.
    """
    annotation = annotation_at(model, path)
    kind = _kind(annotation)
    if kind is dict or kind is BaseModel:
        return _flow(".".join(path), text, "{}")
    if kind is tuple:
        return _flow(".".join(path), text, "[]")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError:
            return text
        return node.value if isinstance(node, yaml.ScalarNode) and node.style in ("'", '"') else text
    return text if kind is str else text.strip()


def annotation_at(model: type[BaseModel], path: Sequence[str]) -> Any:
    """The type of the field at a path of names; below a mapping, that of its values. Any: there is no such field."""
    for length in range(len(path), 0, -1):
        if info := field_at(model, path[:length]):
            if length == len(path):
                return info.annotation
            return get_args(info.annotation)[1] if get_origin(info.annotation) is dict else Any
    return Any


def from_yaml(model: type[BaseModel], text: str, where: str) -> Any:
    """The content of a YAML file for ``parse`` to look at: numbers and flags as texts, exactly as they were written.

    Args:
        where: names the file.

    Raises:
        InputError: every text that YAML has changed, and names that stand twice.
        yaml.YAMLError: not YAML.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        reader = _File(loader, text, where)
        values = reader.value(model, node, "")
    except RecursionError:
        raise InputError(where, "is nested without end", "Write a section per stage, without anchors") from None
    finally:
        loader.dispose()
    if reader.errors:
        raise together(reader.errors)
    return values


def _kind(annotation: Any) -> Any:
    """What a type is read as: str, int, float, bool, tuple, dict, BaseModel, or Any."""
    annotation = _bare(annotation)
    origin = get_origin(annotation)
    if origin is Literal:
        return str
    if origin in (tuple, dict):
        return origin
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return BaseModel
    return annotation if annotation in (str, int, float, bool) else Any


def _bare(annotation: Any) -> Any:
    """The type without its constraints, and without the None that it allows."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        kept = [one for one in get_args(annotation) if one is not NoneType]
        return _bare(kept[0]) if len(kept) == 1 else Any
    return annotation


def _item(annotation: Any, place: int | str) -> Any:
    """The type of an item of a list, of a value of a mapping, or of a field of a model."""
    annotation = _bare(annotation)
    kind, arguments = _kind(annotation), get_args(annotation)
    if kind is BaseModel and place in annotation.model_fields:
        return annotation.model_fields[place].annotation
    if kind is dict:
        return arguments[1]
    if kind is tuple and isinstance(place, int):
        return arguments[0] if arguments[-1] is Ellipsis else arguments[place] if place < len(arguments) else Any
    return Any


def _flow(where: str, text: str, brackets: str) -> Any:
    """A list or a mapping out of a text of a command line, all texts in it as they stand."""
    bare = text.strip()
    if not bare.startswith(brackets[0]):
        bare = brackets[0] + bare + brackets[1]
    remedy = f"Write {'[a, b]' if brackets == '[]' else '{a: b}'}, with quotes around what holds blanks or signs"
    try:
        tokens = list(yaml.scan(bare))
        # A comment would go without a word, and with it what comes after.
        whole = tokens[-2].end_mark.index == len(bare) and not any(isinstance(token, STRANGE) for token in tokens)
        node = yaml.compose(bare, Loader=yaml.SafeLoader) if whole else None
        if node is None:
            raise ValueError
        return _texts(node)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise InputError(where, f"{text!r} cannot be read", remedy) from None


def _texts(node: yaml.Node) -> Any:
    """A tree of YAML as texts, lists and mappings.

    Raises:
        ValueError: nothing where a text belongs, or a name that stands twice.
    """
    if isinstance(node, yaml.SequenceNode):
        return [_texts(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return pairs([(str(_texts(key)), _texts(value)) for key, value in node.value])
    if node.value == "" and getattr(node, "style", None) is None:
        raise ValueError("nothing is written")
    return node.value


class _File:
    """A file while it is read; ``errors`` are collected."""

    def __init__(self, loader: yaml.SafeLoader, text: str, where: str) -> None:
        self.errors: list[InputError] = []
        self._loader, self._text, self._where = loader, text, where

    def value(self, annotation: Any, node: yaml.Node, path: str) -> Any:
        """The value of a node, for a field of this type."""
        if isinstance(node, yaml.SequenceNode):
            return [
                self.value(_item(annotation, place), item, f"{path}.{place}") for place, item in enumerate(node.value)
            ]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(annotation, node, path)
        return self._scalar(annotation, node, path)

    def _mapping(self, annotation: Any, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        keys = [self._scalar(str, key, path) for key, _ in node.value if key.tag != MERGE]
        for name in dict.fromkeys(key for key in keys if keys.count(key) > 1):
            self._refuse(node, f"{path}.{name}".lstrip("."), "stands twice", "Keep one of them")
        self._loader.flatten_mapping(node)
        names = [str(self._key(key, path)) for key, _ in node.value]
        return {
            name: self.value(_item(annotation, name), value, f"{path}.{name}".lstrip("."))
            for name, (_, value) in zip(names, node.value, strict=True)
        }

    def _key(self, node: yaml.Node, path: str) -> str:
        return node.value if isinstance(node, yaml.ScalarNode) else repr(node.value)

    def _scalar(self, annotation: Any, node: yaml.Node, path: str) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            self._refuse(node, path, "has a name that is no text", "Write a text before the colon")
            return ""
        kind, text = _kind(annotation), node.value
        if node.style is not None:  # quoted, or a block
            return text
        meant = self._meant(node)
        if meant is None and kind is BaseModel and NoneType not in get_args(annotation):  # nothing of it is set
            return {}
        if meant is None and (kind is not str or NoneType in get_args(annotation)):
            return None
        if kind is str:
            self._look_for_comment(node, path)
            same = isinstance(meant, str) or (type(meant) in (int, float) and str(meant) == text)
            return text if same else self._changed(node, path, meant)
        if kind in (int, float, bool) and not isinstance(meant, str):
            with suppress(ValidationError):  # what cannot be read at all is for the field to say
                if TypeAdapter(kind).validate_python(text.strip()) != meant:
                    return self._changed(node, path, meant)
        return text

    def _meant(self, node: yaml.ScalarNode) -> Any:
        try:
            return self._loader.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError):  # such as a date of the 31st of February
            return object()

    def _changed(self, node: yaml.ScalarNode, path: str, meant: Any) -> str:
        became = "nothing" if meant is None else "something else" if type(meant) is object else str(meant)
        text = " ".join(self._text[node.start_mark.index : node.end_mark.index].split())
        self._refuse(node, path, f"YAML reads {text or 'no text at all'} as {became}", f'Put it in quotes: "{text}"')
        return node.value

    def _look_for_comment(self, node: yaml.ScalarNode, path: str) -> None:
        line = self._text[node.end_mark.index :].split("\n", 1)[0]
        if match := TAKEN_FOR_COMMENT.match(line):
            self._refuse(
                node, path, f"YAML takes {match[1].strip()!r} for a comment",
                "Put the whole text in quotes, or a blank after the # of a comment",
            )  # fmt: skip

    def _refuse(self, node: yaml.Node, path: str, problem: str, remedy: str) -> None:
        place = f"{self._where}, line {node.start_mark.line + 1}"
        self.errors.append(InputError(path or self._where, f"{problem} ({place})", remedy))
