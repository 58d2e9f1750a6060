"""Class-per-folder trees of PNG, JPEG and TIFF chips, with or without given splits.

Accepted: ``CLASS/chip.png`` or ``SPLIT/CLASS/chip.png`` with SPLIT one of train, val and test in any case. Folders
below a class belong to it and name the target (a serial number, a ship). Chips in a folder ``unlabelled``, at the top
or within a split, have no class. The bands of a multi-band TIFF are polarisations, named 1, 2 ...
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os.path import splitext
from pathlib import Path

from sarslim.chips import ahead, images
from sarslim.chips.container import Folder
from sarslim.chips.index import Chip, Index, Pixels
from sarslim.config import ImagesConfig
from sarslim.errors import InputError
from sarslim.records import Skipped

SPLITS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
UNLABELLED = ("unlabelled", "unlabeled")
TOLD = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file lies: its class (None: unlabelled), the folders below that, the given split or ""."""

    label: str | None
    below: tuple[str, ...]
    split: str


class Layout:
    """What the folders of a tree mean, told from the names of its files alone; ``warnings`` tell of what may surprise.

    Raises:
        InputError: folders named like parts of a split where none can be.
    """

    def __init__(self, files: Sequence[str]) -> None:
        self.warnings: list[str] = []
        self._tops: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for file in files:
            parts = tuple(file.split("/"))
            if len(parts) > 1 and parts[0].lower() not in UNLABELLED and _is_image(parts[-1]):
                self._tops[parts[0]].append(parts)
        named = {top: SPLITS[top.lower()] for top in sorted(self._tops) if top.lower() in SPLITS}
        others = [top for top in sorted(self._tops) if top not in named]
        self._has_splits = bool(named) and (not others or {"train", "test"} <= set(named.values()))
        if self._has_splits:
            self._tell(named, others)
        elif named:
            self._refuse_lone(named, others)
        else:
            self._refuse_deep()
        self._tell_same()

    def place(self, file: str) -> Place | str:
        """Where a file belongs, or why it is no chip."""
        *folders, name = file.split("/")
        if not _is_image(name):
            return "not a PNG, JPEG or TIFF file"
        split = SPLITS[folders.pop(0).lower()] if self._has_splits and folders and folders[0].lower() in SPLITS else ""
        if not folders:
            return "not in the folder of a class"
        label, *below = folders
        if label.lower() in UNLABELLED:
            return Place(None, (), "")
        if self._has_splits and not split:
            return "beside the folders of the given split"
        return Place(label, tuple(below), split)

    def _tell(self, named: dict[str, str], others: Sequence[str]) -> None:
        for part in ("train", "val", "test"):
            tops = [top for top, split in named.items() if split == part]
            if len({top.lower() for top in tops}) > 1:
                self.warnings.append(f"{' and '.join(tops)} are both read as the {part} part")
        if others:
            verb = "is" if len(others) == 1 else "are"
            self.warnings.append(f"{_list(others)} beside the folders of the given split {verb} left out")

    def _tell_same(self) -> None:
        """Classes with the same folders in them may be a level above the classes."""
        folders: dict[str, set[str]] = defaultdict(set)
        for files in self._tops.values():
            for parts in (parts[self._has_splits :] for parts in files):
                if len(parts) > 1:
                    folders[parts[0]] |= set(parts[1:-1][:1])
        same = set.intersection(*folders.values()) if len(folders) > 1 else set()
        if len(same) > 1 and not all(name.isdigit() for name in same):
            self.warnings.append(
                f"all classes ({_list(sorted(folders))}) hold the same folders ({_list(sorted(same))}): if these are "
                "the classes, take a level out"
            )

    def _refuse_lone(self, named: dict[str, str], others: Sequence[str]) -> None:
        flat = all(len(parts) == 2 for top in named for parts in self._tops[top])
        if flat and set(named.values()) == {"train"}:  # a training ship
            self.warnings.append(
                f"{_list(list(named))} is read as a class, not as a split: it lies beside {_list(others)}"
            )
            return
        missing = " and no ".join(sorted({"train", "test"} - set(named.values())))
        raise InputError(
            "prepare.source",
            f"{_list(list(named))} is named like a part of a split, beside {_list(others)}, and there is no {missing} "
            "folder",
            f"Put all classes below train and test; rename {_list(list(named))} if it is a class",
        )

    def _refuse_deep(self) -> None:
        """A split below the top would be taken for targets of a class."""
        deep: dict[str, str] = {}
        for files in self._tops.values():
            for parts in files:
                for depth, name in enumerate(parts[1:-1], 1):
                    if name.lower() in SPLITS:
                        deep["/".join(parts[: depth + 1])] = SPLITS[name.lower()]
                        break
        if not {"train", "test"} <= set(deep.values()):
            return
        parents = {name.rpartition("/")[0] for name in deep}
        raise InputError(
            "prepare.source",
            f"{_list(sorted(deep), 2)} are not at the top of the source",
            f"Give the folder {parents.pop()} as the source"
            if len(parents) == 1
            else "Put train and test at the top, the classes below them",
        )


class FolderReader:
    """Reads a class-per-folder tree, or with ``labelled`` off the images of any tree, all without a class."""

    format = "folder"

    def __init__(self, source: Path | Folder, images: ImagesConfig | None = None, *, labelled: bool = True) -> None:
        self._folder, self._images, self._labelled = Folder.at(source), images or ImagesConfig(), labelled

    def index(self) -> Index:
        """Lists the chips from folder names and image headers.

        Raises:
            InputError: folders named like parts of a split where none can be.
        """
        chips: list[Chip] = []
        skipped = list(self._folder.skipped)
        problems: list[InputError] = []
        layout = Layout(self._folder.members if self._labelled else ())
        for file in self._folder.members:
            place = layout.place(file) if self._labelled or not _is_image(file) else Place(None, (), "")
            if isinstance(place, str):
                skipped.append(Skipped(name=file, reason=place))
                continue
            try:
                chips.append(self._chip(file, place))
            except InputError as error:
                problems.append(error)
        return Index(chips, skipped, problems, (*self._folder.warnings, *layout.warnings))

    def load(self, chips: Iterable[Chip]) -> Iterator[Pixels]:
        """Amplitudes of each chip, in order: (bands, height, width) float32."""
        return ahead.in_order(
            lambda chip: images.read(self._folder.path(chip.file), chip.file, self._images), chips, size=ahead.float32
        )

    def _chip(self, file: str, place: Place) -> Chip:
        bands, height, width = images.shape(self._folder.path(file), file, self._images)
        return Chip(
            id=file,
            label=place.label,
            file=file,
            height=height,
            width=width,
            bands=tuple(str(band + 1) for band in range(bands)) if bands > 1 else ("",),
            ship="/".join([place.label, *place.below]) if place.label is not None and place.below else "",
            split=place.split,
        )


def _is_image(name: str) -> bool:
    return splitext(name)[1].lower() in images.SUFFIXES


def _list(names: Sequence[str], most: int = TOLD) -> str:
    """``A and B``, ``A, B and 3 more``."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return ", ".join(names) if len(names) != 2 or most != 2 else " and ".join(names)
