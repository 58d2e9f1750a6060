"""Image files as float32 arrays: TIFF of any depth and number of bands, 8- and 16-bit PNG and JPEG."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from struct import error as struct_error

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from sarslim.chips.index import Pixels
from sarslim.errors import InputError

TIFF_SUFFIXES = (".tif", ".tiff")
SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg")
STACKED = 64  # chips of an .npy file in memory at one time
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
                series = tiff.series[0]
                sides = list(series.shape)
                bands = sides.pop(_band_axis(series)) if len(sides) == 3 else 1
                return 1 if _is_colour(series) else bands, sides[0], sides[1]
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
                series = tiff.series[0]
                axis, colour = _band_axis(series), _is_colour(series)
                pixels = series.asarray()
                pixels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, axis, 0)
        else:
            with Image.open(_stream(data)) as image:
                return from_pillow(image, name)
    except BROKEN as error:
        raise _not_an_image(name, error) from error
    pixels = _amplitudes(pixels)
    return np.tensordot(LUMINANCE, pixels[:3], axes=1)[None] if colour else pixels


def from_pillow(image: Image.Image, name: str) -> Pixels:
    """Pixels (1, height, width) of an image of Pillow, as :func:`read` takes them from a PNG or JPEG file of it.

    Raises:
        InputError: its file is cut short, or closed.
    """
    try:
        flat = image.mode in ("L", "I", "F", "I;16", "I;16B")
        return _amplitudes(np.asarray(image if flat else image.convert("L"))[None])
    except AssertionError as error:  # so Pillow tells that a file was closed before its pixels were read
        raise InputError(name, "is closed", "Use it while it is open, or load() it before") from error
    except BROKEN as error:
        raise _not_an_image(name, error) from error


def read_stack(file: Path) -> Iterator[Pixels]:
    """The chips of an ``.npy`` file of shape (N, height, width) or (N, bands, height, width), one at a time.

    Raises:
        InputError: not such a file, or not of numbers.
    """
    try:
        stack = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            str(file), f"is not an .npy file that can be read ({error})", "Write it by numpy.save"
        ) from error
    if stack.ndim not in (3, 4) or stack.dtype.kind not in "buifc":
        raise InputError(
            str(file), f"holds {stack.dtype} of shape {stack.shape}",
            "Give numbers of shape (chips, height, width) or (chips, bands, height, width)",
        )  # fmt: skip
    for start in range(0, len(stack), STACKED):
        # Mapped anew: pages that were read count as memory of the process for as long as the map lives.
        some = _amplitudes(np.array(np.load(file, mmap_mode="r", allow_pickle=False)[start : start + STACKED]))
        yield from some if some.ndim == 4 else some[:, None]


def _amplitudes(pixels: np.ndarray) -> Pixels:
    return (np.abs(pixels) if pixels.dtype.kind == "c" else pixels).astype(np.float32)


def _stream(data: bytes | Path) -> io.BytesIO | Path:
    return io.BytesIO(data) if isinstance(data, bytes) else data


def _band_axis(series: tifffile.TiffPageSeries) -> int:
    """Where the bands are: samples of a pixel at the end, planes or pages in front."""
    if series.axes != "YXS" and not (series.axes.endswith("YX") and len(series.axes) <= 3):
        raise ValueError(f"it holds {series.axes} data of shape {series.shape}")
    return 2 if series.axes == "YXS" else 0


def _is_colour(series: tifffile.TiffPageSeries) -> bool:
    # Two bands, or floats, are polarisations even where the file claims to be RGB.
    page = series.keyframe
    return page.photometric == tifffile.PHOTOMETRIC.RGB and page.samplesperpixel in (3, 4) and page.dtype == np.uint8


def _not_an_image(name: str, error: Exception) -> InputError:
    if "imagecodecs" in str(error):
        return InputError(name, "is a compressed TIFF", "Install the package imagecodecs, or store it uncompressed")
    kind = "a TIFF" if name.lower().endswith(TIFF_SUFFIXES) else "an image"
    return InputError(name, f"is not {kind} that can be read ({error})", "Replace the file or remove it")
