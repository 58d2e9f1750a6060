"""Which part a chip belongs to: given splits honoured, the rest drawn by groups that are never torn apart."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from sarslim.chips.index import Chip
from sarslim.chips.select import Sample, Selection
from sarslim.config import PrepareConfig
from sarslim.errors import InputError
from sarslim.records import Skipped

# A training chip whose label is not used.
SPARE = "spare"
PARTS = ("train", "val", "test", "unlabelled")
# Below this a class is too small to have a say in what the whole data set is grouped by.
TINY_CLASS = 20
OTHERS = "group, ship or scene"

GroupBy = Literal["auto", "group", "ship", "scene", "block", "chip"]
Key = Callable[[Chip], str]


@dataclass(frozen=True)
class Division:
    """The samples that are stored, the part of each, a sentence on how they came about, and what was left out."""

    samples: Sequence[Sample]
    parts: Sequence[str]
    rule: str
    skipped: Sequence[Skipped]


IDENTITIES: dict[str, Key] = {
    "group": lambda chip: chip.group,
    "ship": lambda chip: chip.ship,
    "scene": lambda chip: chip.scene,
    "block": lambda chip: "" if chip.number is None else "known",
}
SIMPLE: dict[str, Key] = {
    "ship": lambda chip: chip.ship or (f"scene {chip.scene}" if chip.scene else f"chip {chip.id}"),
    "scene": lambda chip: chip.scene or f"chip {chip.id}",
    "chip": lambda chip: chip.id,
}


def divide(selection: Selection, config: PrepareConfig) -> Division:
    """Divides a selection into parts.

    Raises:
        InputError: as :func:`split`.
    """
    assigned, rule = split(
        selection.samples,
        selection.classes,
        group_by=config.group_by,
        block_size=config.block_size,
        val_fraction=config.val_fraction,
        test_fraction=config.test_fraction,
        label_fraction=config.label_fraction,
        seed=config.seed,
    )
    samples: list[Sample] = []
    parts: list[str] = []
    skipped: list[Skipped] = []
    for sample, part in zip(selection.samples, assigned, strict=True):
        if not part:
            skipped.append(Skipped(name=sample.name, reason=f"has no label, and its {OTHERS} is in val or test"))
        elif part == SPARE and not config.keep_unlabelled:
            skipped.append(Skipped(name=sample.name, reason=f"beyond label_fraction={config.label_fraction:g}"))
        else:
            samples.append(replace(sample, label=None) if part == SPARE else sample)
            parts.append("unlabelled" if part == SPARE else part)
    return Division(samples, parts, rule, skipped)


def split(
    samples: Sequence[Sample],
    classes: Sequence[str],
    *,
    group_by: GroupBy,
    block_size: int = 20,
    val_fraction: float,
    test_fraction: float,
    label_fraction: float = 1.0,
    seed: int,
) -> tuple[list[str], str]:
    """One part per sample, and a sentence on how they came about.

    A sample without a label is ``unlabelled``; an empty part name means that its group is in val or test, where even
    an unlabelled chip would leak; ``spare`` is a chip beyond ``label_fraction`` of those that are left to train and to
    validate with. Test where none is given, spare chips and validation are drawn by group and stratified by class;
    every class keeps a group in training before it gets one in test, then in val.

    Raises:
        InputError: a given split without train or test or of some chips only, an unknown identity asked for, too few
            groups for a part.
    """
    labelled = [sample for sample in samples if sample.label is not None]
    given = {sample.chip.split for sample in labelled} - {""}
    if given and not {"train", "test"} <= given:
        missing = " and ".join(sorted({"train", "test"} - given))
        raise InputError(
            "prepare.source",
            f"the given split has {' and '.join(sorted(given))} but no {missing} part with chips of these classes",
            f"Add a {missing} folder, or take the split folders away so that a split is drawn",
        )
    without = [sample for sample in labelled if given and not sample.chip.split]
    if without:
        raise InputError(
            "prepare.source",
            f"the given split puts {len(labelled) - len(without)} chips of these classes into a part, and "
            f"{len(without)} into none, such as {without[0].chip.id}",
            "Give train, val or test for every chip, or for none so that a split is drawn",
        )
    parts: dict[str, str] = {sample.chip.id: sample.chip.split or "train" for sample in labelled}
    # Labels are given up before validation is drawn: where they are scarce, they are scarce for validation, too.
    fractions = {"test": test_fraction, SPARE: 1 - label_fraction, "val": val_fraction}
    drawn = [part for part, fraction in fractions.items() if part not in given and fraction]
    name, why = _grouping(labelled, classes, group_by, 1 + len(drawn))
    key = _key(name, [sample.chip for sample in samples], block_size)
    rng = np.random.default_rng(seed)
    for part in drawn:
        pool = [sample for sample in labelled if parts[sample.chip.id] == "train"]
        taken = _carve(pool, key, fractions[part], rng)
        parts.update((sample.chip.id, part) for sample in pool if key(sample.chip) in taken)
        if not taken:
            raise InputError(
                "prepare.source",
                f"too little data for a {part} part: no class has two {name}s or more to spare",
                "Add chips, or set group_by to chip and accept the leak between parts",
            )
    held_out = {key(sample.chip) for sample in labelled if parts[sample.chip.id] in ("val", "test")}
    assigned = [
        parts[sample.chip.id] if sample.label is not None
        else "" if key(sample.chip) in held_out else "unlabelled"
        for sample in samples
    ]  # fmt: skip
    by = f"blocks of {block_size} running numbers" if name == "block" else name
    return assigned, _rule(given, [part for part in drawn if part != SPARE], by, why, label_fraction)


def overlaps(samples: Sequence[Sample], parts: Sequence[str], identity: Key) -> list[str]:
    """Known identities that occur in more than one of train, val and test."""
    seen: dict[str, set[str]] = defaultdict(set)
    for sample, part in zip(samples, parts, strict=True):
        if part in ("train", "val", "test"):
            seen[identity(sample.chip)].add(part)
    return sorted(name for name, where in seen.items() if name and len(where) > 1)


def _grouping(labelled: Sequence[Sample], classes: Sequence[str], group_by: GroupBy, needed: int) -> tuple[str, str]:
    """The name of the key to group by, and why it is not a stronger one."""
    if group_by in IDENTITIES and not any(IDENTITIES[group_by](sample.chip) for sample in labelled):
        raise InputError(
            "prepare.group_by",
            f"{group_by} asked for, but the source does not say of which {group_by} its chips are",
            "Set group_by to auto or chip, or tell it in groups.csv or by group_pattern",
        )
    if group_by != "auto":
        return group_by, ""
    reasons: list[str] = []
    for name in ("group", "ship", "scene"):
        identity = IDENTITIES[name]
        if name == "group" and not any(identity(sample.chip) for sample in labelled):
            continue  # hardly any source knows groups
        reason = _obstacle(name, identity, labelled, classes, needed)
        if not reason:
            return name, "; ".join(reasons)
        reasons.append(reason)
    return "chip", "; ".join(reasons)


def _obstacle(name: str, identity: Key, labelled: Sequence[Sample], classes: Sequence[str], needed: int) -> str:
    """Why ``name`` cannot group these chips: unknown for a class, or too few to fill the parts; "" if it can."""
    known: dict[int, Counter[str]] = defaultdict(Counter)
    for sample in labelled:
        assert sample.label is not None
        known[sample.label][identity(sample.chip)] += 1
    if not any(found for counts in known.values() for found in counts):
        return f"no {name} known"
    for label, counts in sorted(known.items()):
        total = sum(counts.values())
        if total < TINY_CLASS:
            continue
        if counts[""] > total / 2:
            return f"no {name} known for most chips of {classes[label]}"
        if len(counts) < needed:
            return f"{classes[label]} has {len(counts)} {name}{'s'[: len(counts) != 1]} only"
    return ""


def _key(name: str, chips: Iterable[Chip], block_size: int) -> Key:
    """What is the same for chips that must not be torn apart by ``name``."""
    if name not in ("group", "block"):
        return SIMPLE[name]
    # Chips share a name if they share a group, a ship or a block, directly or by way of others (union-find).
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while above.setdefault(name, name) != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    def bonds(chip: Chip) -> list[str]:
        block = name == "block" and chip.number is not None
        found = [f"block {chip.scene} {(chip.number or 0) // block_size}"] if block else []
        found += [f"{kind} {value}" for kind, value in (("group", chip.group), ("ship", chip.ship)) if value]
        return found or [SIMPLE["ship"](chip)]

    for chip in chips:
        first, *others = sorted({top(bond) for bond in bonds(chip)})
        above.update(dict.fromkeys(others, first))
    return lambda chip: top(bonds(chip)[0])


def _carve(pool: Sequence[Sample], key: Key, fraction: float, rng: np.random.Generator) -> set[str]:
    """Groups that hold about ``fraction`` of every class, never the last group of a class."""
    groups: dict[str, Counter[int]] = defaultdict(Counter)
    for sample in pool:
        assert sample.label is not None
        groups[key(sample.chip)][sample.label] += 1
    wanted: dict[int, float] = defaultdict(float)
    left: Counter[int] = Counter()
    for counts in groups.values():
        for label, count in counts.items():
            wanted[label] += fraction * count
            left[label] += 1
    missing = dict(wanted)
    taken: set[str] = set()

    def take(name: str) -> None:
        taken.add(name)
        for label, count in groups[name].items():
            missing[label] -= count
            left[label] -= 1

    names = sorted(groups)
    order = [names[position] for position in rng.permutation(len(names))]
    for name in order:
        gain = sum(abs(missing[label]) - abs(missing[label] - count) for label, count in groups[name].items())
        if gain > 0 and all(left[label] > 1 for label in groups[name]):
            take(name)
    # A class whose groups are all larger than its share still gets its smallest one.
    by_size = sorted(order, key=lambda name: groups[name].total())
    for label in sorted(wanted):
        if missing[label] < wanted[label]:
            continue
        spare = (n for n in by_size if label in groups[n] and all(left[other] > 1 for other in groups[n]))
        smallest = next(spare, None)
        if smallest is not None:
            take(smallest)
    return taken


def _rule(given: set[str], drawn: Sequence[str], name: str, why: str, label_fraction: float) -> str:
    texts = []
    if given:
        texts.append(f"{', '.join(sorted(given))} as given by the source")
    if drawn:
        texts.append(f"{' and '.join(drawn)} drawn by {name}, stratified by class{f' ({why})' if why else ''}")
    if label_fraction < 1:
        texts.append(f"{label_fraction:.3g} of the labels of training and validation chips kept, drawn by {name}")
    return "; ".join(texts)
