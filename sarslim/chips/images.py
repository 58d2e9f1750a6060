"""Image files as float32 arrays: TIFF of any depth and number of bands, 8- and 16-bit PNG and JPEG."""

import io
import logging
from pathlib import Path
from struct import error as struct_error

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from sarslim.chips.index import Pixels
from sarslim.errors import InputError

TIFF_SUFFIXES = (".tif", ".tiff")
SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg")
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
# Everything that the two decoders were seen to raise on broken bytes.
BROKEN = (
    tifffile.TiffFileError, UnidentifiedImageError, Image.DecompressionBombError,
    OSError, ValueError, KeyError, IndexError, TypeError, struct_error, SyntaxError,
)  # fmt: skip

# tifffile also logs what it raises.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def shape(data: bytes | Path, name: str) -> tuple[int, int, int]:
    """Bands, height and width from the header of an image file; ``name`` tells its kind and stands in errors.

    Raises:
        InputError: not an image of the kind that its name says.
    """
    try:
        if name.lower().endswith(TIFF_SUFFIXES):
            with tifffile.TiffFile(_stream(data)) as tiff:
                page = tiff.pages.first
                if page.axes not in ("YX", "YXS", "SYX"):
                    raise ValueError(f"holds {page.axes} data of shape {page.shape}")
                bands = 1 if _is_colour(page) else page.samplesperpixel
                return bands, page.imagelength, page.imagewidth
        with Image.open(_stream(data)) as image:
            return 1, image.height, image.width
    except BROKEN as error:
        raise _not_an_image(name, error) from error


def read(data: bytes | Path, name: str) -> Pixels:
    """Pixels of an image file, (bands, height, width); colour is turned to luminance.

    Raises:
        InputError: not an image of the kind that its name says, or cut short.
    """
    try:
        if name.lower().endswith(TIFF_SUFFIXES):
            with tifffile.TiffFile(_stream(data)) as tiff:
                page = tiff.pages.first
                pixels, axes, colour = page.asarray(), page.axes, _is_colour(page)
        else:
            with Image.open(_stream(data)) as image:
                flat = image.mode in ("L", "I", "F", "I;16", "I;16B")
                pixels, axes, colour = np.asarray(image if flat else image.convert("L")), "YX", False
    except BROKEN as error:
        raise _not_an_image(name, error) from error
    if pixels.dtype.kind == "c":
        pixels = np.abs(pixels)
    pixels = pixels.astype(np.float32)
    if axes == "YX":
        return pixels[None]
    if axes == "YXS":
        pixels = np.moveaxis(pixels, -1, 0)
    return np.tensordot(LUMINANCE, pixels[:3], axes=1)[None] if colour else pixels


def _stream(data: bytes | Path) -> io.BytesIO | Path:
    return io.BytesIO(data) if isinstance(data, bytes) else data


def _is_colour(page: tifffile.TiffPage) -> bool:
    # Two bands, or floats, are polarisations even where the file claims to be RGB.
    return page.photometric == tifffile.PHOTOMETRIC.RGB and page.samplesperpixel in (3, 4) and page.dtype == np.uint8


def _not_an_image(name: str, error: Exception) -> InputError:
    kind = "a TIFF" if name.lower().endswith(TIFF_SUFFIXES) else "an image"
    return InputError(name, f"is not {kind} that can be read ({error})", "Replace the file or remove it")
