"""What a source holds, found out before anything is trained."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sarslim.chips import identities
from sarslim.chips.container import Folder, Walk, is_data, readable
from sarslim.chips.digests import fingerprint
from sarslim.chips.folder import FolderReader, Layout
from sarslim.chips.formats import find_format, open_reader
from sarslim.chips.given import Named, check_labels, check_parts
from sarslim.chips.identities import find_table
from sarslim.chips.opensarship import OpenSarShipReader
from sarslim.chips.select import select
from sarslim.chips.shipyard import FAMILIES
from sarslim.chips.split import TINY_CLASS, divide
from sarslim.chips.unlabelled import index_unlabelled, open_unlabelled
from sarslim.config import PrepareConfig, SimulatorConfig
from sarslim.errors import InputError
from sarslim.records import Record, Skipped

__all__ = [
    "Inspection",
    "check_labels",
    "check_names",
    "find_table",
    "fingerprint",
    "inspect",
    "is_data",
    "labels",
    "linked_folders",
    "names",
    "simulated_classes",
]


class Inspection(Record):
    """The content of a source. ``problems`` are what would stop preparation; ``sizes_px`` are of the longer side.

    ``classes`` counts labelled chips by the labels of the source, before merging; a chip has one size and may have
    several polarisations; ``numbered`` of them have a running number. ``further`` counts the chips of a second source.
    ``parts`` counts stored chips, or is empty where there are problems.
    """

    format: str
    chips: int
    classes: dict[str, int]
    unlabelled: int
    polarisations: dict[str, int]
    sizes_px: tuple[int, float, int]
    ships: int
    scenes: int
    groups: int
    numbered: int
    further: int = 0
    given_splits: dict[str, int]
    parts: dict[str, int]
    split_rule: str
    skipped: tuple[Skipped, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def inspect(source: Path, config: PrepareConfig, unlabelled_source: Path | None = None) -> Inspection:
    """Reads names, headers and tables of ``source``, no pixels, and tries out the choices of ``config``.

    Args:
        unlabelled_source: where the chips of ``config.unlabelled_source`` are. None: there are none.

    Raises:
        InputError: there is nothing to look at, or its format cannot be told.
    """
    reader = open_reader(config, source)
    index = reader.index()
    chips = index.chips
    classes = Counter(chip.label for chip in chips if chip.label is not None)
    sides = [max(chip.height, chip.width) for chip in chips] or [0]
    problems = [str(problem) for problem in index.problems]
    parts: Counter[str] = Counter()
    rule, warnings, further, skipped = "", list[str](), 0, list(index.skipped)
    try:
        selection = select(index.chips, config)
        warnings += selection.warnings
        reader_of_further = open_unlabelled(config, unlabelled_source) if unlabelled_source else None
        second = index_unlabelled(reader_of_further, selection.channels, config)
        further = len({sample.chip.id for sample in second.samples})
        warnings += second.warnings
        skipped += second.skipped
        division = divide(replace(selection, samples=[*selection.samples, *second.samples]), config)
        parts, rule = Counter(division.parts), division.rule
    except InputError as error:
        problems.append(str(error))
    if problems:
        parts, rule = Counter(), ""
    return Inspection(
        format=reader.format,
        chips=len(chips),
        classes=dict(sorted(classes.items())),
        unlabelled=sum(chip.label is None for chip in chips),
        polarisations=dict(sorted(Counter(band for chip in chips for band in chip.bands if band).items())),
        sizes_px=(min(sides), float(np.median(sides)), max(sides)),
        ships=len({chip.ship for chip in chips} - {""}),
        scenes=len({chip.scene for chip in chips} - {""}),
        groups=len({chip.group for chip in chips} - {""}),
        numbered=sum(chip.number is not None for chip in chips),
        further=further,
        given_splits=dict(sorted(Counter(chip.split for chip in chips if chip.split).items())),
        parts=dict(sorted(parts.items())),
        split_rule=rule,
        skipped=tuple(skipped),
        problems=tuple(problems),
        warnings=(*index.warnings, *warnings, *_tiny(classes)),
    )


def names(source: Path) -> Sequence[str]:
    """The files of a source, or the file that it is, by name.

    Raises:
        InputError: a folder that cannot be read.
    """
    return Folder(source).members if source.is_dir() else [readable(source.name)]


def check_names(names: Sequence[str], config: PrepareConfig, table: bytes | None = None) -> None:
    """Refuses what the names of the files of a source, relative to it, tell to be wrong; no image is opened.

    Args:
        table: content of the source's table of identities, where it has one.

    Raises:
        InputError: folders named like parts of a split where none can be, parts that name other classes, or a table
            that is wrong in itself or names none of these files.
    """
    form = find_format(names, config)
    if table is not None:
        identities.check(table, [] if form == OpenSarShipReader.format else names)
    if form != FolderReader.format:
        return
    layout = Layout(names)
    places = [place for name in names if not isinstance(place := layout.place(name), str)]
    check_parts((Named(place.split, place.label, "".join(place.below[:1])) for place in places), config)


def labels(
    names: Sequence[str], config: PrepareConfig, *, source: Path | None = None, test: bool = False
) -> set[str] | None:
    """The classes of a source after merging, told by the names of its files; None where files have to be opened.

    Args:
        source: open them there.
        test: of a given split, the classes of its test part alone.

    Raises:
        InputError: folders named like parts of a split where none can be, or files that cannot be read.
    """
    if find_format(names, config) == FolderReader.format:
        layout = Layout(names)
        places = [place for name in names if not isinstance(place := layout.place(name), str)]
        found = [(place.label, place.split) for place in places]
    elif source is not None:
        index = open_reader(config, source).index()
        index.check()
        found = [(chip.label, chip.split) for chip in index.chips]
    else:
        return None
    given = test and any(split for _, split in found)
    kept = {label for label, split in found if label is not None and (not given or split == "test")}
    return {config.merge.get(label, label) for label in kept}


def simulated_classes(config: SimulatorConfig) -> Sequence[str]:
    """The classes that the simulator makes."""
    return [family.name for family in FAMILIES[: config.classes]]


def linked_folders(source: Path) -> list[Path]:
    """The folders out of ``source`` that links in it lead to, or whose files do: who sees the source needs them, too.

    Raises:
        InputError: a folder that cannot be read.
    """
    if not source.is_dir():
        return []
    walk = Walk(source)
    for _ in walk:
        pass
    targets = (Path(target) for _, target in walk.outside)
    return sorted({target if target.is_dir() else target.parent for target in targets})


def _tiny(classes: Counter[str]) -> Iterator[str]:
    for name, count in sorted(classes.items()):
        if count < TINY_CLASS:
            yield f"class {name} has {count} chip{'s'[: count != 1]} only"
