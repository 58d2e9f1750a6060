"""Class-per-folder trees of PNG, JPEG and TIFF chips, with or without given splits.

Accepted: ``CLASS/chip.png`` or ``SPLIT/CLASS/chip.png`` with SPLIT one of train, val and test in any case. Folders
below a class belong to it and name the target (a serial number, a ship). Chips in a folder ``unlabelled``, at the top
or within a split, have no class. The bands of a multi-band TIFF are polarisations, named 1, 2 ...
"""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from sarslim.chips import images
from sarslim.chips.container import Folder
from sarslim.chips.index import Chip, Index, Pixels
from sarslim.errors import InputError
from sarslim.records import Skipped

SPLITS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
UNLABELLED = ("unlabelled", "unlabeled")


class FolderReader:
    """Reads a class-per-folder tree."""

    format = "folder"

    def __init__(self, source: Path | Folder) -> None:
        self._folder = Folder.at(source)

    def index(self) -> Index:
        """Lists the chips from folder names and image headers."""
        chips: list[Chip] = []
        skipped = list(self._folder.skipped)
        problems: list[InputError] = []
        files = [PurePosixPath(member) for member in self._folder.members]
        has_splits = any(file.parts[0].lower() in SPLITS for file in files if len(file.parts) > 1)
        for file in files:
            try:
                chip = self._chip(file, has_splits)
            except InputError as error:
                problems.append(error)
                continue
            if isinstance(chip, str):
                skipped.append(Skipped(name=str(file), reason=chip))
            else:
                chips.append(chip)
        return Index(chips, skipped, problems, self._folder.warnings)

    def load(self, chips: Iterable[Chip]) -> Iterator[Pixels]:
        """Amplitudes of each chip, in order: (bands, height, width) float32."""
        for chip in chips:
            yield images.read(self._folder.path(chip.file), chip.file)

    def _chip(self, file: PurePosixPath, has_splits: bool) -> Chip | str:
        """The chip in ``file``, or why there is none."""
        if file.suffix.lower() not in images.SUFFIXES:
            return "not a PNG, JPEG or TIFF file"
        folders = list(file.parts[:-1])
        split = ""
        if has_splits and folders and folders[0].lower() in SPLITS:
            split = SPLITS[folders.pop(0).lower()]
        if not folders:
            return "not in the folder of a class"
        label, *below = folders
        unlabelled = label.lower() in UNLABELLED
        if has_splits and not split and not unlabelled:
            return "beside the folders of the given split"
        bands, height, width = images.shape(self._folder.path(str(file)), str(file))
        return Chip(
            id=str(file),
            label=None if unlabelled else label,
            file=str(file),
            height=height,
            width=width,
            bands=tuple(str(band + 1) for band in range(bands)) if bands > 1 else ("",),
            ship="/".join([label, *below]) if below and not unlabelled else "",
            split="" if unlabelled else split,
        )
