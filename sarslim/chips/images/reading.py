"""Image files as float32 arrays: TIFF of any depth and number of bands, 8- and 16-bit PNG and JPEG, and .npy stacks.

Whatever a decoder raises leaves here with the name of the file.
"""

import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from sarslim.chips.container import check_bytes, said
from sarslim.chips.images.content import Content, Header, amplitudes
from sarslim.chips.images.picture import FORMATS, Picture
from sarslim.chips.images.tiff import Tiff
from sarslim.chips.index import Pixels
from sarslim.config import ImagesConfig
from sarslim.errors import InputError

TIFF_SUFFIXES = (".tif", ".tiff")
SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg")
STACK = ".npy"
STACKED = 64  # chips of an .npy file in memory at one time

# tifffile also logs what it raises.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def shape(data: bytes | str | Path, name: str, config: ImagesConfig) -> tuple[int, int, int]:
    """Bands, height and width from the header of an image file; ``name`` tells its kind and stands in errors.

    Raises:
        InputError: not an image of the kind that its name says, one that holds no amplitudes, or a larger one than
            the configuration allows.
    """
    with _opened(data, name, config) as image:
        return image.header.seen(image.orientation)


def read(data: bytes | str | Path, name: str, config: ImagesConfig) -> Pixels:
    """Pixels of an image file, (bands, height, width); colour is turned to luminance, what has no value to NaN.

    Raises:
        InputError: as :func:`shape`, or cut short or damaged.
    """
    with _opened(data, name, config) as image:
        if isinstance(image, Picture) and image.deep_colour:
            content = image.deep_content(data if isinstance(data, bytes) else Path(data).read_bytes())
        else:
            content = image.content()
        return amplitudes(content, keep_missing=config.no_data == "keep")


def from_pillow(image: Image.Image, name: str, config: ImagesConfig) -> Pixels:
    """Pixels (1, height, width) of an image of Pillow, as :func:`read` takes them from a PNG or JPEG file of it.

    Raises:
        InputError: as :func:`read`, or its file is closed.
    """
    try:
        picture = Picture(image)
        _check_size(name, picture.header, config)
        if picture.deep_colour:
            raise ValueError("Pillow cuts 16-bit colour down to 8 bit")
        return amplitudes(picture.content(), keep_missing=config.no_data == "keep")
    except InputError:
        raise
    except AssertionError as error:  # so Pillow tells that a file was closed before its pixels were read
        raise InputError(name, "is closed", "Use it while it is open, or load() it before") from error
    except Exception as error:
        raise _not_an_image(name, error) from error


def read_stack(file: Path, name: str, config: ImagesConfig) -> Iterator[Pixels]:
    """The chips of an ``.npy`` file of shape (N, height, width) or (N, bands, height, width), one at a time.

    Raises:
        InputError: not such a file, not of numbers, or of larger chips than the configuration allows.
    """
    stack = _mapped(file, name)
    if stack.ndim not in (3, 4) or stack.dtype.kind not in "buifc":
        raise InputError(
            name, f"holds {stack.dtype} of shape {stack.shape}",
            "Give numbers of shape (chips, height, width) or (chips, bands, height, width)",
        )  # fmt: skip
    bands, height, width = (1, *stack.shape[1:])[-3:]
    _check_size(name, Header(bands, height, width, bands * height * width), config)
    for start in range(0, len(stack), STACKED):
        # Mapped anew: pages that were read count as memory of the process for as long as the map lives.
        some = np.array(_mapped(file, name)[start : start + STACKED])
        for chip in some if some.ndim == 4 else some[:, None]:
            yield amplitudes(Content(chip), keep_missing=True)


def _mapped(file: Path, name: str) -> np.ndarray:
    try:
        stack = np.load(file, mmap_mode="r", allow_pickle=False)
        if not isinstance(stack, np.ndarray):
            raise ValueError("it is an archive of several")
    except Exception as error:
        raise InputError(
            name, f"is not an .npy file that can be read ({said(error)})", "Write it by numpy.save"
        ) from error
    return stack


@contextmanager
def _opened(data: bytes | str | Path, name: str, config: ImagesConfig) -> Iterator[Tiff | Picture]:
    """The image in a file, of a size that is allowed; all that fails on it gets the name of the file."""
    try:
        # Faster than to leave the opening to the decoders.
        with io.BytesIO(data) if isinstance(data, bytes) else open(data, "rb") as stream:
            size = len(data) if isinstance(data, bytes) else os.fstat(stream.fileno()).st_size
            check_bytes(name, size, config.max_bytes)
            if name.lower().endswith(TIFF_SUFFIXES):
                with tifffile.TiffFile(stream) as tiff:
                    image = Tiff(tiff)
                    _check_size(name, image.header, config)
                    yield image
            else:
                with Image.open(stream, formats=FORMATS) as opened:
                    picture = Picture(opened)
                    _check_size(name, picture.header, config)
                    yield picture
    except InputError:
        raise
    except Exception as error:  # decoders raise whatever they come across
        raise _not_an_image(name, error) from error


def _check_size(name: str, header: Header, config: ImagesConfig) -> None:
    sides = f"{header.height} x {header.width}"
    if not header.bands * header.height * header.width:
        raise InputError(name, f"has no pixels ({sides})", "Replace the file or remove it")
    if header.samples > config.max_megapixels * 1_000_000:
        raise InputError(
            name, f"asks for {header.samples / 1e6:,.0f} million samples ({sides} pixels), more than "
            f"max_megapixels={config.max_megapixels}",
            "Cut chips from it, or raise images.max_megapixels of the prepare stage",
        )  # fmt: skip


def _not_an_image(name: str, error: Exception) -> InputError:
    if "imagecodecs" in str(error):
        return InputError(
            name,
            "is a compressed TIFF" if name.lower().endswith(TIFF_SUFFIXES) else "has 16-bit colour",
            "Install the package imagecodecs, or store it uncompressed and as grey",
        )
    kind = "a TIFF" if name.lower().endswith(TIFF_SUFFIXES) else "an image"
    return InputError(name, f"is not {kind} that can be read ({said(error)})", "Replace the file or remove it")
