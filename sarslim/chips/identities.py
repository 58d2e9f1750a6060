"""Who is who: group, ship, scene, part and running number of chips, from a table beside them or from their names.

The table is ``groups.csv`` at the top of the source. Its column ``file`` names a chip: the path of its file below the
source, the name that ``chips.csv`` of a prepared data set gives it, or the last part of either where no other chip has
that. The pattern is a regular expression with named parts that is searched in the path of every chip. What the table
says goes before the pattern, and that before what the reader of the format knows.
"""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sarslim.chips import tables
from sarslim.chips.container import Folder
from sarslim.chips.folder import SPLITS
from sarslim.chips.index import Chip, Index, Pixels, Reader
from sarslim.config import IDENTITIES, PrepareConfig
from sarslim.errors import InputError
from sarslim.records import Skipped

TABLE = "groups.csv"
NUMBER = re.compile(r"(-?\d+)(\.0*)?", re.ASCII)  # programs that know no gaps in whole numbers write 12.0
ABSENT = f"in {TABLE}, but there is no such chip"
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Row:
    """What one line of the table, or a name, says of a chip: values that are not empty, by the field of the chip."""

    file: str
    line: int
    values: dict[str, Any]


def find_table(names: Iterable[str]) -> str | None:
    """The table among the names of the files of a source."""
    return next((name for name in names if name.lower() == TABLE), None)


class Identified:
    """A reader whose chips are told apart by what a table, a pattern, or both say of them."""

    def __init__(self, reader: Reader, folder: Folder | None, config: PrepareConfig) -> None:
        self._reader, self._folder, self._config = reader, folder, config
        self.format = reader.format

    def index(self) -> Index:
        """Lists the chips with their identities; what is wrong with these is among the problems."""
        index = self._reader.index()
        problems, warnings = list(index.problems), list(index.warnings)
        skipped = [row for row in index.skipped if row.name.rpartition("/")[2].lower() != TABLE]
        chips = index.chips
        try:
            if self._config.group_pattern:
                chips = _by_pattern(chips, self._config.group_pattern, warnings)
            table = find_table(self._folder.members) if self._folder else None
            if table and self._folder:
                rows = read_table(self._folder.read(table, self._config.images.max_bytes), warnings)
                chips = _by_table(chips, rows, skipped, warnings)
        except InputError as error:
            problems.append(error)
        return Index(chips, skipped, problems, warnings)

    def load(self, chips: Iterable[Chip]) -> Iterator[Pixels]:
        """Amplitudes of each chip, in order: (bands, height, width) float32."""
        return self._reader.load(chips)


def read_table(data: bytes, warnings: list[str]) -> list[Row]:
    """The rows of the table; columns that look like a misspelt one are added to ``warnings``.

    Raises:
        InputError: no table, none of the columns, or lines that cannot be; names these.
    """
    found = tables.read(data, TABLE, ["file"])
    columns = list(found[0]) if found else []
    known = [name for name in IDENTITIES if name in columns]
    if found and not known:
        raise InputError(
            TABLE, f"has the columns {', '.join(columns[:-1])}, and none that tells chips apart",
            f"Name one or more of {', '.join(IDENTITIES)} in the first line",
        )  # fmt: skip
    for column in columns:
        near = difflib.get_close_matches(column, set(IDENTITIES) - set(known), n=1, cutoff=0.75)
        if near and column not in known:
            warnings.append(f"the column {column!r} of {TABLE} is not read; did you mean {near[0]}?")
    rows: list[Row] = []
    wrong: list[str] = []
    lines: dict[str, list[str]] = defaultdict(list)
    for cells in found:
        try:
            if not cells["file"]:
                raise ValueError("names no file")
            lines[cells["file"]].append(cells["line"])
            rows.append(Row(cells["file"], int(cells["line"]), _values({name: cells[name] for name in known})))
        except ValueError as error:
            wrong.append(f"line {cells['line']} {error}")
    wrong += [f"lines {' and '.join(each)} name {file}" for file, each in lines.items() if len(each) > 1]
    if wrong:
        raise InputError(TABLE, _first(wrong, "; "), "Correct these lines; a chip has one")
    return rows


def check(data: bytes, names: Sequence[str]) -> None:
    """Refuses a table that is wrong in itself, or that names none of these files, if there are any; opens no image.

    Raises:
        InputError: as :func:`read_table`, or no row of a file that is there.
    """
    rows = read_table(data, [])
    known = _known((name, name) for name in names)
    if rows and names and not any(_of(row.file, known) for row in rows):
        raise _none_there(rows, [name for name in names if name != find_table(names)] or names)


def _by_table(
    chips: Sequence[Chip], rows: Sequence[Row], skipped: list[Skipped], warnings: list[str]
) -> Sequence[Chip]:
    """The chips with what the table says of them; rows without a chip are added to ``skipped``.

    Raises:
        InputError: rows of one chip, or of several chips, a part other than that of the folder, or no row of any chip.
    """
    known = _known((name, chip.id) for chip in chips for name in {chip.file, chip.id})
    left_out = {row.name for row in skipped}
    by_chip: dict[str, list[Row]] = defaultdict(list)
    wrong: list[str] = []
    absent: list[Row] = []
    for row in rows:
        meant = _of(row.file, known)
        if len(meant) > 1:
            wrong.append(f"line {row.line} names {row.file}, which may be {_first(sorted(meant), ' or ')}")
        elif meant:
            by_chip[next(iter(meant))].append(row)
        elif row.file not in left_out:
            absent.append(row)
    if rows and not by_chip and not wrong and chips:
        raise _none_there(rows, [chip.file for chip in chips])
    for chip in chips:
        mine = by_chip.get(chip.id, [])
        if len(mine) > 1:
            wrong.append(f"lines {' and '.join(str(row.line) for row in mine)} are all of the chip {chip.id}")
        elif mine and chip.split and mine[0].values.get("split", chip.split) != chip.split:
            wrong.append(f"line {mine[0].line} puts {chip.id} into {mine[0].values['split']}, its folder {chip.split}")
    if wrong:
        raise InputError(TABLE, _first(wrong, "; "), "Correct these lines; a chip has one, and is in one part")
    without = [chip.id for chip in chips if chip.id not in by_chip]
    if without:
        warnings.append(f"{TABLE} has no row for {len(without)} of {len(chips)} chips: {_first(without)}")
    skipped += [Skipped(name=row.file, reason=ABSENT) for row in absent]
    return [replace(chip, **by_chip[chip.id][0].values) if chip.id in by_chip else chip for chip in chips]


def _by_pattern(chips: Sequence[Chip], pattern: str, warnings: list[str]) -> Sequence[Chip]:
    """The chips with what their paths say.

    Raises:
        InputError: no path that fits, a number or a part that is none, or a part other than that of the folder.
    """
    expression = re.compile(pattern)
    named: list[Chip] = []
    wrong: list[str] = []
    without: list[str] = []
    for chip in chips:
        match = expression.search(chip.file)
        if match is None:
            without.append(chip.file)
        try:
            values = _values({name: text or "" for name, text in match.groupdict().items()} if match else {})
            if chip.split and values.get("split", chip.split) != chip.split:
                raise ValueError(f"says {values['split']}, its folder {chip.split}")
            named.append(replace(chip, **values))
        except ValueError as error:
            wrong.append(f"{chip.file} {error}")
    field = "prepare.group_pattern"
    if wrong:
        raise InputError(field, f"{pattern!r}: {_first(wrong, '; ')}", "Correct the pattern, or these names")
    if chips and len(without) == len(chips):
        raise InputError(
            field, f"{pattern!r} is found in no path of a chip, such as {without[0]}", "Correct the pattern"
        )
    if without:
        warnings.append(f"group_pattern is not found in {len(without)} of {len(chips)} chips: {_first(without)}")
    return named


def _values(texts: dict[str, str]) -> dict[str, Any]:
    """Fields of a chip from texts that are not empty.

    Raises:
        ValueError: a part that is none, or a number that is none; says which.
    """
    values: dict[str, Any] = {name: text for name, text in texts.items() if text}
    if split := texts.get("split"):
        if split.lower() not in SPLITS:
            raise ValueError(f"has the split {split!r}, which is none of train, val and test")
        values["split"] = SPLITS[split.lower()]
    if number := texts.get("number"):
        match = NUMBER.fullmatch(number)
        if match is None:
            raise ValueError(f"has the number {number!r}, which is no whole number")
        values["number"] = int(match[1])
    return values


def _known(names: Iterable[tuple[str, str]]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Chips by their whole names, and by the last parts of these with and without ending."""
    whole: dict[str, set[str]] = defaultdict(set)
    last: dict[str, set[str]] = defaultdict(set)
    for name, chip in names:
        whole[name].add(chip)
        end = name.rpartition("/")[2]
        for each in {end, end.rpartition(".")[0] or end}:
            last[each].add(chip)
    return whole, last


def _of(file: str, known: tuple[dict[str, set[str]], dict[str, set[str]]]) -> set[str]:
    """The chips that a cell of the column ``file`` may mean; backslashes may be those of Windows."""
    for name in (file, file.replace("\\", "/")):
        name = name.removeprefix("./")
        for names in known[: 1 if "/" in name else 2]:
            if name in names:
                return names[name]
    return set()


def _none_there(rows: Sequence[Row], names: Sequence[str]) -> InputError:
    return InputError(
        TABLE, f"names no chip that is there: its first file is {rows[0].file}, the chips are such as {names[0]}",
        "Write the paths of the files below the source",
    )  # fmt: skip


def _first(texts: Sequence[str], between: str = ", ") -> str:
    more = f"{between}and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return between.join(texts[:SHOWN]) + more
