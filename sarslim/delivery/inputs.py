"""What people hand to a network: paths, arrays, Pillow images, and iterables of these, as chips one after another."""

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sarslim.chips import images, stream
from sarslim.chips.dataset import PART, RECORD
from sarslim.chips.stream import Unread
from sarslim.config import ImagesConfig
from sarslim.errors import InputError
from sarslim.records import Preprocessing
from sarslim.store.storage import S3Uri, Storage, is_s3, local_copy

READ = 16  # chips of an array in memory at one time
NUMBERS = "buifc"  # kinds of NumPy types: bool, unsigned, integer, float, complex
BANDS_AT_MOST = 4  # a last axis as short as this holds bands, not columns
GIVE = "Give a path, an array, a Pillow image, or an iterable of these"


# What can be predicted: one of these, or any iterable of them.
Item = str | os.PathLike[str] | np.ndarray | Image.Image


def chips(
    given: Item | Iterable[Item], how: Preprocessing, limits: ImagesConfig | None = None, *, workers: int = 0
) -> Generator[Unread]:
    """All that is in ``given``, to be read as a network with this preprocessing takes it; see :meth:`Bundle.predict`.

    The items of a list or tuple are looked at before any is read, those of other iterables as they come.

    Args:
        workers: threads that decode what comes from a store. 0: one per core that this process may use.

    Raises:
        InputError: something else than paths, arrays and images, or an array that is not one of chips. Of what is
            wrong with a chip itself the iterator tells.
    """
    if isinstance(given, bytes | bytearray | memoryview):
        raise InputError("chips", f"{type(given).__name__} are no chips", GIVE)
    if isinstance(given, str | os.PathLike | Image.Image) or _is_numeric(given):
        items: Iterable[Any] = [given]
    elif isinstance(given, Iterable):
        items = given
    else:
        raise InputError("chips", f"{given!r} is a {type(given).__name__}", GIVE)
    checked = _checked(items, how)
    return _read(list(checked) if isinstance(items, Sequence) else checked, how, limits, workers)


def _checked(items: Iterable[Any], how: Preprocessing) -> Iterator[Any]:
    """The items, each one that can be chips as far as can be told without reading them."""
    for place, item in enumerate(items):
        if isinstance(item, str | os.PathLike):
            _check_address(os.fspath(item))
        elif not isinstance(item, Image.Image):
            if not _is_numeric(item):
                raise InputError(f"item {place} of the chips", f"is a {type(item).__name__}", GIVE)
            _layout(item.shape, place, how)
        yield item


def _read(items: Iterable[Any], how: Preprocessing, limits: ImagesConfig | None, workers: int) -> Generator[Unread]:
    for place, item in enumerate(items):
        if isinstance(item, str | os.PathLike):
            yield from _at(os.fspath(item).rstrip("/") or "/", how, limits, workers)
        elif isinstance(item, Image.Image):
            # Opened from a file, it knows where that is.
            name = stream.readable(os.fsdecode(getattr(item, "filename", "") or f"image {place}"))
            pixels = images.from_pillow(item, name, stream.reading(how, limits).images)
            yield _in_memory(name, pixels, how)
        else:
            yield from _of_array(item, place, how)


def _check_address(address: str) -> None:
    if is_s3(address):
        uri = S3Uri.parse(address)
        if not Storage.from_environment().list(uri):
            raise InputError(address, "nothing is stored there", "Check the address, or upload the chips first")
    elif not address or not Path(address).exists():
        raise InputError("chips", f"there is nothing at {address!r}", "Give an existing path or an s3:// address")


def _at(address: str, how: Preprocessing, limits: ImagesConfig | None, workers: int) -> Iterator[Unread]:
    """What is in a file, a folder or a product; what comes from a store is read while its copy is there."""
    if not is_s3(address):
        yield from stream.unread(Path(address), how, limits)
        return
    if address.endswith(PART):
        folder, _, _ = address.rpartition("/")
        if Storage.from_environment().exists(S3Uri.parse(folder) / RECORD):
            raise InputError(address, "is part of a data set, and scaled", f"Give the whole of it, {folder}")
    with local_copy(address, "chips") as here:
        for chip in stream.unlabelled([here], how, limits, workers=workers):
            yield Unread.at_hand(replace(chip, name=address + chip.name.removeprefix(str(here))))


def _of_array(array: Any, place: int, how: Preprocessing) -> Iterator[Unread]:
    """Chips of an array; of one on a disk no more than a few are read at once."""
    stacked, bands = _layout(array.shape, place, how)
    if not stacked:
        pixels = _amplitudes(array)
        yield _in_memory(f"array {place}", pixels if bands else pixels[None], how)
        return
    for start in range(0, array.shape[0], READ):
        for number, pixels in enumerate(_amplitudes(array[start : start + READ]), start):
            yield _in_memory(f"array {place} {number}", pixels if bands else pixels[None], how)


def _in_memory(name: str, pixels: images.Pixels, how: Preprocessing) -> Unread:
    return Unread(partial(stream.named, name, pixels, how), pixels.nbytes)


def _layout(shape: Sequence[int], place: int, how: Preprocessing) -> tuple[bool, bool]:
    """Whether the first axis counts chips, and whether there is an axis of bands.

    Raises:
        InputError: a shape that chips of this network do not have, or one that may mean two things.
    """
    shape = tuple(shape)
    names = how.channels[0].split("/") if how.polarisation_as == "samples" else how.channels
    takes = {1, len(names)} if how.polarisation_as == "samples" else {len(names)}
    bands = max(takes)
    if len(shape) not in (2, 3, 4):
        problem = f"is of shape {shape}, {len(shape)} dimensions"
    elif 0 in shape:
        problem = f"is of shape {shape} and holds no pixels"
    elif len(shape) > 2 and shape[-1] <= BANDS_AT_MOST < shape[-2]:
        problem = f"is of shape {shape}, which looks like bands at the end"
    elif len(shape) == 2 and 1 in takes:
        return False, False
    elif len(shape) == 3 and shape[0] in takes and (shape[0] == 1 or 1 not in takes):
        return False, True
    elif len(shape) == 3 and 1 in takes:
        return True, False
    elif len(shape) == 4 and shape[1] in takes:
        return True, True
    else:
        problem = f"is of shape {shape}"
    one = "(height, width), or (chips, height, width), or " if 1 in takes else f"({bands}, height, width), or "
    network = f"the network takes {' or '.join(map(str, sorted(takes)))} band{'s' * (bands > 1)}, {', '.join(names)}"
    raise InputError(f"array {place}", f"{problem}; {network}", f"Give {one}(chips, {bands}, height, width)")


def _is_numeric(item: Any) -> bool:
    """Whether something is an array of numbers, of NumPy or of what NumPy can read.

    Raises:
        InputError: an array that holds no numbers, or one that NumPy cannot read.
    """
    if not hasattr(item, "__array__") or not hasattr(item, "shape"):
        return False
    try:
        kind = np.asarray(item[:0] if len(item.shape) else item).dtype
    except Exception as error:  # of whatever package the array is
        raise InputError(
            "chips", f"NumPy cannot read this {type(item).__name__} ({error})", "Give numpy.ndarray"
        ) from error
    if kind.kind in NUMBERS:
        return True
    if kind.kind in "OUT" and len(item.shape) == 1:  # paths in an array, a column of a table
        return False
    raise InputError("chips", f"an array of {kind} and shape {tuple(item.shape)} holds no amplitudes", "Give numbers")


def _amplitudes(array: Any) -> images.Pixels:
    """float32 of the same shape: magnitudes of complex numbers; masked pixels are none, so they are NaN."""
    values = np.ma.asarray(array) if np.ma.isMaskedArray(array) else np.asarray(array)
    values = (np.abs(values) if values.dtype.kind == "c" else values).astype(np.float32)
    return values.filled(np.nan) if isinstance(values, np.ma.MaskedArray) else values
