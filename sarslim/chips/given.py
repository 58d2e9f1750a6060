"""A split that the source gives: whether its parts speak of the same classes."""

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from sarslim.config import PrepareConfig
from sarslim.errors import InputError

SHOWN = 8


class Named(NamedTuple):
    """What a chip says of itself by its name: part of a given split or "", class, and the folder below that or ""."""

    split: str
    label: str | None
    below: str


def check_parts(chips: Iterable[Named], config: PrepareConfig) -> None:
    """Refuses a split whose validation or test part names other classes than its training part.

    Parts may lack a class; they must not share none, and must not write one in two ways.

    Raises:
        InputError: names the classes of one side only, and what was probably meant.
    """
    labels: dict[str, set[str]] = defaultdict(set)
    below: dict[str, set[str]] = defaultdict(set)
    wanted = {folded(name) for name in config.classes}
    for chip in chips:
        label = config.merge.get(chip.label or "", chip.label)
        if label is not None and (not wanted or folded(label) in wanted):
            labels[chip.split].add(label)
            below[chip.split].add(chip.below)
    every, deeper = set[str]().union(*labels.values()), set[str]().union(*below.values()) - {""}
    if len(every) == 1 and len(deeper) > 1 and not config.classes:
        (only,) = every
        raise InputError("prepare.source", f"{only} is the only class; {_level(deeper)}", _take_out([only]))
    for part in ("test", "val"):
        if labels["train"] and labels[part]:
            _compare(part, labels, below)


def folded(name: str) -> str:
    """A name without what is easily written in two ways: case, Unicode normal form, spaces, dashes, underscores."""
    return _unspaced(unicodedata.normalize("NFKC", name)).casefold()


def nearest(name: str, known: Iterable[str]) -> str:
    """The one of ``known`` that differs from ``name`` in its way of writing only; "" if there is none."""
    return next((other for other in sorted(known) if other != name and folded(other) == folded(name)), "")


def check_labels(
    where: str, labels: Collection[str], classes: Sequence[str], *, refuse_others: bool, part: str = ""
) -> None:
    """Refuses chips for a network that does not know their classes; they need not be of all that it knows.

    Args:
        labels: of the chips, after merging.
        classes: of the network.
        refuse_others: whether all classes have to be the network's, or at least one.
        part: what the chips are, such as ``test ``.

    Raises:
        InputError: no class of the network, one of them in another way of writing, or an other one that is to be
            refused.
    """
    others = sorted(set(labels) - set(classes))
    twins = {name: twin for name in others if (twin := nearest(name, classes))}
    if twins:
        meant = ", ".join(f"{twin!r} for {name!r}" for name, twin in twins.items())
        raise InputError(where, f"names classes as the network does not: did you mean {meant}?", "Rename them")
    if not set(labels) & set(classes):
        raise InputError(
            where, f"has no {part}chips of {', '.join(classes)}; its classes: {', '.join(sorted(labels)) or 'none'}",
            "Give labelled chips of these classes",
        )  # fmt: skip
    if others and refuse_others:
        close = (near for name in others for near in difflib.get_close_matches(name, classes, n=1, cutoff=0.7))
        hint = "".join(f" (did you mean {near}?)" for near in [*close][:1])
        raise InputError(
            where, f"has chips of {_list(others)}, which the network does not know{hint}; it knows {_list(classes)}",
            "Take them out, or join them with classes of the network by prepare.merge",
        )  # fmt: skip


def _compare(part: str, labels: Mapping[str, set[str]], below: Mapping[str, set[str]]) -> None:
    train, other = sorted(labels["train"] - labels[part]), sorted(labels[part] - labels["train"])
    twins = {twin: name for name in train if (twin := nearest(name, other))}
    disjoint = not labels["train"] & labels[part]
    if not twins and not disjoint:
        return
    deeper = (below["train"] & below[part]) - {""}
    if disjoint and deeper and not twins:
        hint, remedy = _level(deeper), _take_out([*train, *other])
    else:
        meant = [f"{_shown(name)} for {_shown(twin)} ({_difference(name, twin)})" for twin, name in twins.items()]
        if disjoint and not twins:
            pairs = ((near, name) for name in other for near in difflib.get_close_matches(name, train, n=1))
            meant = [f"{_shown(name)} for {_shown(twin)}" for name, twin in pairs]
        hint = f"did you mean {', '.join(meant[:SHOWN])}?" if meant else ""
        remedy = "Give a class the same name in all parts"
        if twins:
            merge = ", ".join(f"{_shown(twin)}: {_shown(name)}" for twin, name in sorted(twins.items()))
            remedy += f", or set prepare.merge to {{{merge}}}"
    raise InputError(
        "prepare.source",
        f"train and {part} {'share no class' if disjoint else 'name classes differently'}: only in train: "
        f"{_list(train)}; only in {part}: {_list(other)}{'; ' if hint else ''}{hint}",
        remedy,
    )


def _level(deeper: Iterable[str]) -> str:
    return f"the classes seem to be {_list(sorted(deeper))}, one level further down"


def _take_out(level: Sequence[str]) -> str:
    return f"Take the level of {' and '.join(level[:SHOWN])} out of the tree"


def _difference(name: str, twin: str) -> str:
    one, two = (unicodedata.normalize("NFKC", each) for each in (name, twin))
    if one == two:
        return "another Unicode normal form"
    if one.casefold() == two.casefold():
        return "another case"
    return "other spaces" if _unspaced(one) == _unspaced(two) else "another case and other spaces"


def _unspaced(name: str) -> str:
    return re.sub(r"[\s_\u200b-\u200f\u2060\ufeff-]+", "", name)


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(map(_shown, names[:SHOWN])) or "none"
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def _shown(name: str) -> str:
    return repr(name) if re.search(r"\s", name) or not name.isprintable() else name
