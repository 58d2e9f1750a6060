"""Raw chips one after another, as a network takes them: for use after training, however many there are."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from sarslim.chips import images, preprocess
from sarslim.chips.container import Folder, Walk, told
from sarslim.chips.dataset import RECORD, Dataset
from sarslim.chips.formats import open_reader
from sarslim.chips.given import nearest
from sarslim.chips.index import Chip, Pixels, Reader
from sarslim.chips.opensarship import FOLDERS, OpenSarShipReader
from sarslim.chips.select import Sample, bands
from sarslim.config import PrepareConfig
from sarslim.errors import InputError
from sarslim.progress import note
from sarslim.records import Preprocessing

STACK = ".npy"
KINDS = (*images.SUFFIXES, STACK, ".zip")
NO_CHIP = "no image, .npy file or zip"


@dataclass(frozen=True, slots=True)
class Stored:
    """A chip (C, H, W) in the type and scaling of the network's training data, and its class where that is known."""

    name: str
    image: npt.NDArray
    label: str | None = None


def unlabelled(paths: Iterable[Path], how: Preprocessing) -> Iterator[Stored]:
    """Every chip of files, folders and product zips, at any depth and in the order of names.

    Images are taken as they are met, of an ``.npy`` file one chip after another; of a product, its index is in memory.
    Other files in folders, and what tools left there, are passed over with a note.

    Raises:
        InputError: nothing there, no chip among it, or a chip that cannot be read or lacks a polarisation.
    """
    for path in paths:
        found, skipped = False, Counter[str]()
        for chip, pixels in _raw(path, how, skipped):
            found = True
            yield from _stored(chip, pixels, how)
        if skipped:
            note(f"{skipped.total()} files and folders were passed over: {told(skipped.elements())}")
        if not found:
            kinds = ", ".join((*images.SUFFIXES, STACK))
            raise InputError(str(path), f"holds no chips ({kinds}, or OpenSARShip products)", "Give another path")


def named(name: str, pixels: Pixels, how: Preprocessing) -> Iterator[Stored]:
    """One chip (bands, height, width) that is in memory; as many bands as the network takes are its bands in order.

    Raises:
        InputError: other bands than those of the network, or pixels that are not finite.
    """
    wanted = how.channels[0].split("/") if how.polarisation_as == "samples" else how.channels
    chip = _chip(name, Path(name), pixels)
    if 1 < len(wanted) == len(pixels):
        chip = replace(chip, bands=tuple(wanted))
    yield from _stored(chip, pixels, how)


def labelled(source: Path, how: Preprocessing, classes: tuple[str, ...]) -> Iterator[Stored]:
    """Chips of known classes: the test part of a dataset artifact, or raw chips.

    Of raw chips with a given split only its test part is taken; those of other classes are passed over with a note.

    Raises:
        InputError: a data set that was prepared otherwise, no chip of the network's classes, or one of them in another
            way of writing.
    """
    if (source / RECORD).is_file():
        yield from _test_part(Dataset.open(source), source, how, classes)
        return
    reader = open_reader(PrepareConfig(source=str(source), labels=how.labels, values=how.values), source)
    index = reader.index()
    index.check()
    for warning in index.warnings:
        note(warning)
    given = any(chip.split for chip in index.chips)
    names = {chip.id: how.merge.get(chip.label, chip.label) for chip in index.chips if chip.label is not None}
    chips = [chip for chip in index.chips if names.get(chip.id) in classes and (not given or chip.split == "test")]
    twins = {name: twin for name in sorted(set(names.values()) - set(classes)) if (twin := nearest(name, classes))}
    if twins:
        meant = ", ".join(f"{twin!r} for {name!r}" for name, twin in twins.items())
        raise InputError(str(source), f"names classes as the network does not: did you mean {meant}?", "Rename them")
    if not chips:
        found = ", ".join(sorted(set(names.values()))) or "none"
        raise InputError(
            str(source), f"has no {'test ' if given else ''}chips of {', '.join(classes)}; its classes: {found}",
            "Give labelled chips of these classes",
        )  # fmt: skip
    if len(chips) < len(index.chips):
        note(
            f"{len(index.chips) - len(chips)} of {len(index.chips)} chips are left out: no test chips of these classes"
        )
    for chip, pixels in zip(chips, reader.load(chips), strict=True):
        for stored in _stored(chip, pixels, how):
            yield Stored(stored.name, stored.image, names[chip.id])


def _test_part(data: Dataset, path: Path, how: Preprocessing, classes: tuple[str, ...]) -> Iterator[Stored]:
    record = data.record
    for name in ("channels", "image_size", "dtype", "scaling"):
        if getattr(record, name) != getattr(how, name):
            raise InputError(
                str(path), f"was prepared with {name} {getattr(record, name)}, the network's chips with "
                f"{getattr(how, name)}", "Give the raw chips, or the data set that the network was trained on",
            )  # fmt: skip
    if record.classes != classes:
        raise InputError(
            str(path), f"has the classes {', '.join(record.classes)}, the network {', '.join(classes)}",
            "Give data of the same classes",
        )  # fmt: skip
    test = data.part("test")
    assert test.labels is not None
    for number, (image, label) in enumerate(zip(test.images, test.labels, strict=True)):
        yield Stored(f"test {number}", np.array(image), classes[label])


def _raw(path: Path, how: Preprocessing, skipped: Counter[str]) -> Iterator[tuple[Chip, Pixels]]:
    """The chips of one file, or of all files below a folder; ``skipped`` counts the others by reason."""
    if not path.is_dir():
        yield from _file(path, how, skipped)
        return
    walk = Walk(path)
    for directory in walk:
        here = path / directory.name
        if set(directory.folders) & set(FOLDERS.values()):
            directory.folders.clear()
            yield from _product(Folder(here, here.name), how, skipped)
            continue
        for name in directory.files:
            if PurePath(name).suffix.lower() in KINDS:
                yield from _file(here / name, how, skipped)
            else:
                skipped[NO_CHIP] += 1
    skipped.update(row.reason for row in walk.skipped)
    for warning in walk.ways_out:
        note(warning)


def _file(path: Path, how: Preprocessing, skipped: Counter[str]) -> Iterator[tuple[Chip, Pixels]]:
    if path.suffix.lower() == ".zip":
        yield from _product(path, how, skipped)
    elif path.suffix.lower() == STACK:
        for number, pixels in enumerate(images.read_stack(path)):
            yield _chip(f"{path} {number}", path, pixels), pixels
    else:
        pixels = images.read(path, str(path))
        yield _chip(str(path), path, pixels), pixels


def _chip(name: str, path: Path, pixels: Pixels) -> Chip:
    count, height, width = pixels.shape
    names = [str(band + 1) for band in range(count)] if count > 1 else [""]
    return Chip(name, None, str(path), height, width, tuple(names))


def _product(source: Path | Folder, how: Preprocessing, skipped: Counter[str]) -> Iterator[tuple[Chip, Pixels]]:
    reader: Reader = OpenSarShipReader(source, labels=how.labels, values=how.values)
    index = reader.index()
    index.check()
    skipped.update(row.reason for row in index.skipped)
    for warning in index.warnings:
        note(warning)
    yield from zip(index.chips, reader.load(index.chips), strict=True)


def _stored(chip: Chip, pixels: Pixels, how: Preprocessing) -> Iterator[Stored]:
    """The chip once for every polarisation that the network knows, or with all of them as channels."""
    wanted = how.channels[0].split("/") if how.polarisation_as == "samples" else how.channels
    choices = bands(chip, wanted, how.polarisation_as)
    if not choices and chip.bands == ("",) and len(how.channels) == 1:
        choices = [((0,), "")]  # a single image does not say which polarisation it is of
    if not choices:
        raise InputError(
            chip.id, f"has the polarisations {', '.join(band or 'unknown' for band in chip.bands)}, the network takes "
            f"{', '.join(wanted)}", "Give chips of the product that the network was trained on",
        )  # fmt: skip
    for places, polarisation in choices:
        chosen = pixels[list(places)]
        preprocess.check_finite(chosen, chip)
        padded = preprocess.pad(preprocess.crop(chosen, how.image_size), how.image_size)
        name = Sample(chip, None, places, polarisation).name
        yield Stored(name, preprocess.apply(padded, how.scaling, how.dtype))
