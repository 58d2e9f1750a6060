"""Raw chips one after another, as a network takes them: for use after training, however many there are."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from os.path import splitext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sarslim.chips import ahead, images, preprocess
from sarslim.chips.container import Folder, Walk, readable, told
from sarslim.chips.dataset import PART, RECORD, Dataset, is_dataset
from sarslim.chips.formats import open_reader
from sarslim.chips.given import check_labels
from sarslim.chips.index import Chip, Pixels, Reader
from sarslim.chips.opensarship import FOLDERS, OpenSarShipReader
from sarslim.chips.select import Sample, fitting
from sarslim.config import ImagesConfig, PrepareConfig, parse
from sarslim.errors import InputError
from sarslim.progress import note
from sarslim.records import Preprocessing

KINDS = (*images.SUFFIXES, images.STACK, ".zip")
NO_CHIP = "no image, .npy file or zip"


@dataclass(frozen=True, slots=True)
class Stored:
    """A chip (C, H, W) in the type and scaling of the network's training data, and its class where that is known.

    ``sides``: height and width that it had before, None where it came as it is stored.
    """

    name: str
    image: npt.NDArray
    label: str | None = None
    sides: tuple[int, int] | None = None


class Unread(NamedTuple):
    """The chips of an image, or of one in a file of many, to be read in any thread; ``nbytes`` are held until then."""

    read: Callable[[], Iterable[Stored]]
    nbytes: int = 0

    @classmethod
    def at_hand(cls, chip: Stored) -> "Unread":
        """One that is read already."""
        return cls(lambda: [chip], chip.image.nbytes)

    def chips(self) -> list[Stored]:
        return list(self.read())


def unlabelled(
    paths: Iterable[Path], how: Preprocessing, limits: ImagesConfig | None = None, *, workers: int = 0
) -> Iterator[Stored]:
    """Every chip of files, folders and product zips, at any depth and in the order of names.

    Images are taken as they are met, of an ``.npy`` file one chip after another; of a product, its index is in memory.
    Of a dataset artifact its test part is taken, and an array of one as it is, scaled already. Other files in folders,
    and what tools left there, are passed over with a note.

    Args:
        limits: of the size of images, where others are wanted than for the network's own chips.
        workers: threads that decode ahead. 0: one per core that this process may use.

    Raises:
        InputError: nothing there, no chip among it, a chip that cannot be read or lacks a polarisation, or a data set
            that was prepared otherwise.
    """
    for path in paths:
        waiting = unread(path, how, limits)
        for chips in ahead.in_order(Unread.chips, waiting, size=attrgetter("nbytes"), workers=workers):
            yield from chips


def unread(path: Path, how: Preprocessing, limits: ImagesConfig | None = None) -> Iterator[Unread]:
    """What :func:`unlabelled` reads of one path.

    Raises:
        InputError: as :func:`unlabelled`, but for what is wrong with a chip.
    """
    found, skipped = False, Counter[str]()
    for one in _raw(path, how, reading(how, limits), skipped):
        found = True
        yield one
    if skipped:
        count = f"{skipped.total()} files and folders were" if skipped.total() > 1 else "1 file or folder was"
        note(f"{count} passed over: {told(skipped.elements())}")
    if not found:
        kinds = ", ".join((*images.SUFFIXES, images.STACK))
        raise InputError(str(path), f"holds no chips ({kinds}, or OpenSARShip products)", "Give another path")


def named(name: str, pixels: Pixels, how: Preprocessing) -> Iterator[Stored]:
    """One chip (bands, height, width) that is in memory; as many bands as the network takes are its bands in order.

    Raises:
        InputError: other bands than those of the network, or pixels that are not finite.
    """
    wanted = how.channels[0].split("/") if how.polarisation_as == "samples" else how.channels
    chip = _chip(name, name, pixels)
    if 1 < len(wanted) == len(pixels):
        chip = replace(chip, bands=tuple(wanted))
    yield from _stored(chip, pixels, how)


def labelled(
    source: Path,
    how: Preprocessing,
    classes: tuple[str, ...],
    limits: ImagesConfig | None = None,
    *,
    refuse_others: bool = False,
) -> Iterator[Stored]:
    """Chips of known classes: the test part of a dataset artifact, or raw chips.

    Of raw chips with a given split only its test part is taken; those of other classes are passed over with a note.

    Args:
        refuse_others: refuse other classes.

    Raises:
        InputError: a data set that was prepared otherwise, no chip of the network's classes, one of them in another
            way of writing, or an other one that is to be refused.
    """
    if is_dataset(source):
        yield from _test_part(source, how, classes)
        return
    reader = open_reader(reading(how, limits), source)
    index = reader.index()
    index.check()
    for warning in index.warnings:
        note(warning)
    given = any(chip.split for chip in index.chips)
    names = {chip.id: how.merge.get(chip.label, chip.label) for chip in index.chips if chip.label is not None}
    chips = [chip for chip in index.chips if names.get(chip.id) in classes and (not given or chip.split == "test")]
    check_labels(
        str(source),
        {names[chip.id] for chip in index.chips if chip.id in names and (not given or chip.split == "test")},
        classes,
        refuse_others=refuse_others,
        part="test " if given else "",
    )
    if len(chips) < len(index.chips):
        note(
            f"{len(index.chips) - len(chips)} of {len(index.chips)} chips are left out: no test chips of these classes"
        )
    for chip, pixels in zip(chips, reader.load(chips), strict=True):
        for stored in _stored(chip, pixels, how):
            yield replace(stored, label=names[chip.id])


def reading(how: Preprocessing, limits: ImagesConfig | None = None) -> PrepareConfig:
    """What readers have to know: the choices that the network's chips were prepared with, or other limits."""
    images = parse(ImagesConfig, how.images, where="preprocessing.images")
    if limits is not None:
        images = limits.model_copy(update={"no_data": images.no_data})
    return PrepareConfig(labels=how.labels, values=how.values, images=images)


def _test_part(path: Path, how: Preprocessing, classes: tuple[str, ...]) -> Iterator[Stored]:
    data = _prepared_alike(path, how)
    if data.record.classes != classes:
        raise InputError(
            str(path), f"has the classes {', '.join(data.record.classes)}, the network {', '.join(classes)}",
            "Give data of the same classes",
        )  # fmt: skip
    test = data.part("test")
    assert test.labels is not None
    for number, (image, label) in enumerate(zip(test.images, test.labels, strict=True)):
        yield Stored(f"test {number}", np.array(image), classes[label])


def _part(folder: Path, name: str, shown: str, how: Preprocessing) -> Iterator[Unread]:
    """The chips of one part of a dataset artifact, named by the file that they are in, ``shown``."""
    for number, image in enumerate(_prepared_alike(folder, how).part(name).images):
        yield Unread(partial(_as_it_is, f"{shown} {number}", image))


def _as_it_is(name: str, image: npt.NDArray) -> list[Stored]:
    return [Stored(name, np.array(image))]


def _prepared_alike(path: Path, how: Preprocessing) -> Dataset:
    """
    Raises:
        InputError: a dataset artifact whose chips are not stored as those that the network knows.
    """
    data = Dataset.open(path)
    for name in ("channels", "image_size", "multilook", "dtype", "scaling"):
        if getattr(data.record, name) != getattr(how, name):
            raise InputError(
                str(path), f"was prepared with {name} {getattr(data.record, name)}, the network's chips with "
                f"{getattr(how, name)}", "Give the raw chips, or the data set that the network was trained on",
            )  # fmt: skip
    return data


def _raw(path: Path, how: Preprocessing, choices: PrepareConfig, skipped: Counter[str]) -> Iterator[Unread]:
    """The chips of one file, or of all files below a folder; ``skipped`` counts the others by reason."""
    if not path.is_dir():
        yield from _file(str(path), readable(str(path)), how, choices, skipped)
        return
    walk = Walk(path)
    for directory in walk:
        real = Path(directory.real)
        shown = f"{readable(str(path))}/{directory.name}".rstrip("/")
        if RECORD in directory.files and is_dataset(real):
            directory.folders.clear()
            yield from _part(real, "test", f"{shown}/test{PART}", how)
        elif set(directory.folders) & set(FOLDERS.values()):
            directory.folders.clear()
            yield from _product(Folder(real, shown.rpartition("/")[2]), how, choices, skipped)
        else:
            for name in directory.files:
                if splitext(name)[1].lower() in KINDS:
                    yield from _file(directory.path(name), f"{shown}/{name}", how, choices, skipped)
                else:
                    skipped[NO_CHIP] += 1
    skipped.update(row.reason for row in walk.skipped)
    for warning in walk.warnings:
        note(warning)


def _file(path: str, shown: str, how: Preprocessing, choices: PrepareConfig, skipped: Counter[str]) -> Iterator[Unread]:
    """The chips of one file, which is named as ``shown``."""
    suffix = splitext(path)[1].lower()
    if suffix == ".zip":
        yield from _product(Path(path), how, choices, skipped)
    elif path.endswith(PART) and is_dataset(Path(path).parent):
        yield from _part(Path(path).parent, Path(path).name.removesuffix(PART), shown, how)
    elif suffix == images.STACK:
        for number, pixels in enumerate(images.read_stack(Path(path), shown, choices.images)):
            chip = _chip(f"{shown} {number}", shown, pixels)
            yield Unread(partial(_stored, chip, pixels, how), pixels.nbytes)
    else:
        yield Unread(partial(_image, path, shown, how, choices.images))


def _image(path: str, shown: str, how: Preprocessing, limits: ImagesConfig) -> Iterator[Stored]:
    pixels = images.read(path, shown, limits)
    return _stored(_chip(shown, shown, pixels), pixels, how)


def _chip(name: str, file: str, pixels: Pixels) -> Chip:
    count, height, width = pixels.shape
    names = [str(band + 1) for band in range(count)] if count > 1 else [""]
    return Chip(name, None, file, height, width, tuple(names))


def _product(
    source: Path | Folder, how: Preprocessing, choices: PrepareConfig, skipped: Counter[str]
) -> Iterator[Unread]:
    reader: Reader = OpenSarShipReader(source, labels=choices.labels, values=choices.values, images=choices.images)
    index = reader.index()
    index.check()
    skipped.update(row.reason for row in index.skipped)
    for warning in index.warnings:
        note(warning)
    for chip in index.chips:
        yield Unread(partial(_of_product, reader, chip, how))


def _of_product(reader: Reader, chip: Chip, how: Preprocessing) -> Iterator[Stored]:
    return _stored(chip, next(iter(reader.load([chip]))), how)


def _stored(chip: Chip, pixels: Pixels, how: Preprocessing) -> Iterator[Stored]:
    """The chip once for every polarisation that the network knows, or with all of them as channels."""
    wanted = how.channels[0].split("/") if how.polarisation_as == "samples" else how.channels
    choices = fitting(chip, how.channels, how.polarisation_as)
    if not choices:
        raise InputError(
            chip.id, f"has the polarisations {', '.join(band or 'unknown' for band in chip.bands)}, the network takes "
            f"{', '.join(wanted)}", "Give chips of the product that the network was trained on",
        )  # fmt: skip
    for places, polarisation in choices:
        chosen = pixels if places == tuple(range(len(pixels))) else pixels[list(places)]
        taken = preprocess.take(
            chosen, chip, looks=how.multilook, size=how.image_size, per_chip=how.scaling[0].per_chip
        )
        padded = preprocess.pad(taken, how.image_size)
        name = Sample(chip, None, places, polarisation).name
        yield Stored(name, preprocess.apply(padded, how.scaling, how.dtype), sides=pixels.shape[1:])
