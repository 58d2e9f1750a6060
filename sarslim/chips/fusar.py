"""FUSAR-Ship: Gaofen-3 ship chips in folders, with a table of their AIS identities.

Accepted, as published: ``CATEGORY/SUBCATEGORY/Ship_CxxSyyNzzzz.tiff`` at any depth, and ``meta.csv`` at the top (any
delimiter) with the columns ``id`` (the file name without its ending), ``mmsi`` and ``path`` (``Cargo\\BulkCarrier``).
The category is the class, the MMSI the ship.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from os.path import basename, splitext
from pathlib import Path, PureWindowsPath

from sarslim.chips import ahead, images, tables
from sarslim.chips.container import Folder
from sarslim.chips.index import Chip, Index, Pixels
from sarslim.config import ImagesConfig
from sarslim.errors import InputError
from sarslim.records import Skipped

COLUMNS = ("id", "mmsi", "path")
CHIP_NAME = re.compile(r"Ship_C.*S.*N.*\.tif.*")


class FusarReader:
    """Reads a FUSAR-Ship folder."""

    format = "fusar"

    def __init__(self, source: Path | Folder, images: ImagesConfig | None = None) -> None:
        self._folder, self._images = Folder.at(source), images or ImagesConfig()

    @staticmethod
    def recognises(names: Sequence[str]) -> bool:
        """Whether there is the table, or a chip named as in FUSAR-Ship."""
        return _table(names) is not None or any(CHIP_NAME.fullmatch(name.rpartition("/")[2]) for name in names)

    def index(self) -> Index:
        """Lists the chips that both the table and the folders have.

        Raises:
            InputError: no table, or one without the needed columns.
        """
        rows = self._rows()
        chips: list[Chip] = []
        skipped = list(self._folder.skipped)
        problems: list[InputError] = []
        for file in self._folder.members:
            stem, suffix = splitext(basename(file))
            if suffix.lower() not in images.SUFFIXES:
                skipped.append(Skipped(name=file, reason="not a PNG, JPEG or TIFF file"))
                continue
            row = rows.pop(stem, None)
            if row is None:
                skipped.append(Skipped(name=file, reason="not in the meta table, or a second file of that name"))
                continue
            try:
                bands, height, width = images.shape(self._folder.path(file), file, self._images)
            except InputError as error:
                problems.append(error)
                continue
            chips.append(
                Chip(
                    id=stem,
                    label=PureWindowsPath(row["path"]).parts[0] if row["path"] else None,
                    file=file,
                    height=height,
                    width=width,
                    bands=tuple(str(band + 1) for band in range(bands)) if bands > 1 else ("",),
                    ship=row["mmsi"].strip("0") and row["mmsi"],
                )
            )
        skipped += [Skipped(name=name, reason="in the meta table, but there is no such file") for name in rows]
        return Index(chips, skipped, problems, self._folder.warnings)

    def load(self, chips: Iterable[Chip]) -> Iterator[Pixels]:
        """Amplitudes of each chip, in order: (bands, height, width) float32."""
        return ahead.in_order(
            lambda chip: images.read(self._folder.path(chip.file), chip.file, self._images), chips, size=ahead.float32
        )

    def _rows(self) -> dict[str, dict[str, str]]:
        table = _table(self._folder.members)
        if table is None:
            raise InputError(
                self._folder.name, "has FUSAR-Ship chips but no meta.csv", "Save the meta table as meta.csv at the top"
            )
        rows = tables.read(self._folder.read(table, self._images.max_bytes), table, COLUMNS)
        return {row["id"].removesuffix(".tiff"): row for row in rows}


def _table(names: Sequence[str]) -> str | None:
    return next((member for member in names if member.lower() == "meta.csv"), None)
