"""Chips of a second source, of which no label is used: other sensors, other resolutions, other scenes."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from sarslim.chips.container import readable
from sarslim.chips.folder import FolderReader
from sarslim.chips.formats import walked
from sarslim.chips.identities import Identified, find_table
from sarslim.chips.index import Chip, Index, Pixels, Reader
from sarslim.chips.opensarship import OpenSarShipReader
from sarslim.chips.select import AMPLITUDE, Sample, Selection, fitting
from sarslim.chips.simulated_folder import is_simulated
from sarslim.config import PrepareConfig
from sarslim.errors import InputError
from sarslim.progress import note
from sarslim.records import Skipped

FIELD = "prepare.unlabelled_source"
# Before the names of these chips: the first source may have the same.
PREFIX = "unlabelled_source/"


def open_unlabelled(config: PrepareConfig, source: Path) -> Reader:
    """The reader of a second source: OpenSARShip products, or images at any depth.

    Raises:
        InputError: nothing there, an empty folder, or a file that is not a zip.
    """
    if not source.exists():
        raise InputError(str(source), "does not exist", f"Correct {FIELD}")
    folder = walked(source, FIELD) if source.is_dir() else None
    names = folder.members if folder else [readable(source.name)]
    if OpenSarShipReader.recognises(names):
        reader: Reader = OpenSarShipReader(folder or source, values=config.values, images=config.images)
    elif folder:
        reader = FolderReader(folder, config.images, labelled=False)
    else:
        raise InputError(str(source), "is a file, and no zip", "Give a folder of chips, or OpenSARShip products")
    if folder and find_table(folder.members):
        reader = Identified(reader, folder, config.model_copy(update={"group_pattern": ""}))
    return Unlabelled(reader, simulated=is_simulated(source))


class Unlabelled:
    """A reader that keeps classes, given parts and all that counts in its source alone to itself."""

    def __init__(self, reader: Reader, *, simulated: bool) -> None:
        self._reader, self._simulated = reader, simulated
        self.format = "images" if reader.format == FolderReader.format else reader.format

    def index(self) -> Index:
        """Lists the chips under names that those of another source do not have."""
        index = self._reader.index()
        chips = [
            replace(chip, id=PREFIX + chip.id, label=None, split="", group="", number=None) for chip in index.chips
        ]
        skipped = [Skipped(name=PREFIX + row.name, reason=row.reason) for row in index.skipped]
        warnings = [*index.warnings, *(["its chips are simulated"] if self._simulated else [])]
        return Index(chips, skipped, index.problems, [f"unlabelled_source: {text}" for text in warnings])

    def load(self, chips: Iterable[Chip]) -> Iterator[Pixels]:
        """Amplitudes of each chip, in order: (bands, height, width) float32."""
        return self._reader.load(replace(chip, id=chip.id.removeprefix(PREFIX)) for chip in chips)


def is_second(chip: Chip) -> bool:
    """Whether a chip is of the second source."""
    return chip.id.startswith(PREFIX)


def index_unlabelled(reader: Reader | None, channels: tuple[str, ...], config: PrepareConfig) -> Selection:
    """The samples of a second source for ``channels`` as they are stored, and the chips left out; of no reader, none.

    Raises:
        InputError: chips that cannot be read, or none that can be used.
    """
    if reader is None:
        return Selection((), (), channels, ())
    note(f"reading the index of {config.unlabelled_source}")
    index = reader.index()
    index.check()
    samples: list[Sample] = []
    skipped = list(index.skipped)
    for chip in index.chips:
        choices = fitting(chip, channels, config.polarisation_as)
        if channels == (AMPLITUDE,):  # of a polarisation that nobody knows, so any will do
            choices = [((place,), band) for place, band in enumerate(chip.bands)]
        if min(chip.height, chip.width) < config.unlabelled_multilook:
            reason = f"is smaller than a block of unlabelled_multilook={config.unlabelled_multilook}"
        elif not choices:
            reason = f"has the polarisations {', '.join(chip.bands)}, not {', '.join(channels)}"
        else:
            samples += [Sample(chip, None, *choice) for choice in choices]
            continue
        skipped.append(Skipped(name=chip.id, reason=reason))
    if not samples:
        why = f", such as {skipped[0].name}: {skipped[0].reason}" if skipped else ""
        raise InputError(
            FIELD, f"{config.unlabelled_source} holds no chips that can be used{why}",
            "Give a folder of PNG, JPEG or TIFF chips at any depth, or OpenSARShip products",
        )  # fmt: skip
    return Selection(samples, (), channels, skipped, index.warnings)
