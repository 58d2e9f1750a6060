"""TIFF files as their tags describe them: which page is the image, what its samples are, and which of them are none.

Tags as in TIFF 6.0 (Adobe, 1992) with its Technical Note 1 on sub-files, and GDAL's 42112 and 42113 for factors and
for no data.
"""

import functools
import math
import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from defusedxml.ElementTree import fromstring
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, TiffFile, TiffPage, TiffPageSeries

from sarslim.chips.images.content import Content, Header

ORIENTATION, METADATA, NO_DATA = 274, 42112, 42113
MOST_PAGES = 256
ALPHA = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)
KNOWN = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.PALETTE, PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
CLOSE = 1e-6  # of floats that stand for no data, which are often written with few digits

Bools = npt.NDArray[np.bool_]


class Tiff:
    """The image in an open file; ``header`` and ``orientation`` are known before anything is decoded.

    Raises:
        ValueError: not one image, or one whose samples are no amplitudes; says which.
    """

    def __init__(self, file: TiffFile) -> None:
        _check_pages(file)
        self._series, self._mask = _choose(file.series)
        self._page = page = self._series.keyframe
        axes, shape = self._series.axes, self._series.shape
        if axes != "YXS" and not (axes.endswith("YX") and len(axes) <= 3):
            raise ValueError(f"it holds {axes} data of shape {shape}")
        self._kind = _check_kind(page)
        self._no_data, self._scale = _no_data(page), _scale(page)
        self._axis = 2 if axes == "YXS" else 0
        count = shape[self._axis] if len(shape) == 3 else 1
        # Several pages, or channels of ImageJ, are images of one sample each.
        extra = page.extrasamples if "S" in axes else ()
        self._alpha = next((count - len(extra) + n for n, kind in enumerate(extra) if kind in ALPHA), None)
        self._premultiplied = EXTRASAMPLE.ASSOCALPHA in extra
        # Two samples, or floats, are polarisations even where they are tagged as RGB.
        coloured = page.photometric in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR) and self._kind == "u"
        self._colour = coloured and count - len(extra) >= 3
        one = self._colour or page.photometric == PHOTOMETRIC.PALETTE
        height, width = (side for side, axis in zip(shape, axes, strict=True) if axis in "YX")
        self.header = Header(
            bands=1 if one else count - (self._alpha is not None),
            height=height,
            width=width,
            samples=max(count * height * width, math.prod(page.chunks)),
        )
        self.orientation = int(page.tags.valueof(ORIENTATION, 1))

    def content(self) -> Content:
        """Decodes the image.

        Raises:
            Exception: whatever the decoder raises on broken bytes.
        """
        raw = self._series.asarray()
        samples = raw[None] if raw.ndim == 2 else np.moveaxis(raw, self._axis, 0)
        alpha = None if self._alpha is None else samples[self._alpha]
        samples = samples if self._alpha is None else np.delete(samples, self._alpha, axis=0)
        missing = self._missing(samples, alpha)
        top = 2**self._page.bitspersample - 1 if self._kind in "bu" else 1  # what is white, or opaque
        if self._page.photometric == PHOTOMETRIC.MINISWHITE:
            samples = top - samples
        if alpha is not None and self._premultiplied:
            samples = samples * (top / np.where(alpha == 0, top, alpha))
        if self._page.photometric == PHOTOMETRIC.PALETTE:
            samples = _palette(self._page)[:, samples[0]]
            return Content(samples, True, missing, self.orientation)
        if self._scale and not self._colour:
            steps, starts = (
                np.array([values.get(band, neutral) for band in range(len(samples))])[:, None, None]
                for values, neutral in zip(self._scale, (1.0, 0.0), strict=True)
            )
            samples = samples * steps + starts
        return Content(samples, self._colour, missing, self.orientation)

    def _missing(self, samples: npt.NDArray, alpha: npt.NDArray | None) -> Bools | None:
        """Samples of no value, in a shape that fits those that are left."""
        found: list[Bools] = []
        if alpha is not None:
            found.append(alpha[None] == 0)
        if self._mask is not None:
            found.append(self._mask.asarray()[None] == 0)
        value = self._no_data
        if value is not None and samples.dtype.kind in "bui":
            if value.is_integer() and abs(value) < 2**64:
                found.append(samples == int(value))
        elif value is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                found.append(np.isclose(samples.real, value, rtol=CLOSE, atol=0))
        return functools.reduce(np.logical_or, found) if found else None


def _check_pages(file: TiffFile) -> None:
    """tifffile follows pages that lead in a circle for ever, or nearly so."""
    kind, handle = file.tiff, file.filehandle
    seen: set[int] = set()
    offset = file.pages.first.offset
    while 0 < offset < handle.size:
        if offset in seen:
            raise ValueError("its pages lead in a circle")
        if len(seen) == MOST_PAGES:
            raise ValueError(f"it has more than {MOST_PAGES} pages")
        seen.add(offset)
        handle.seek(offset)
        (tags,) = struct.unpack(kind.tagnoformat, handle.read(kind.tagnosize))
        handle.seek(offset + kind.tagnosize + tags * kind.tagsize)
        rest = handle.read(kind.offsetsize)
        offset = struct.unpack(kind.offsetformat, rest)[0] if len(rest) == kind.offsetsize else 0
    if len(file.pages.first.subifds or ()) > MOST_PAGES:
        raise ValueError(f"its first page has more than {MOST_PAGES} sub-files")


def _choose(series: Sequence[TiffPageSeries]) -> tuple[TiffPageSeries, TiffPageSeries | None]:
    """The one image in full resolution, and its mask. Sub-files of a full image are its copies."""
    masks = [each for each in series if each.keyframe.is_mask]
    full = [each for each in series if each not in masks and not each.keyframe.is_reduced]
    images = [each for each in full if len(each.keyframe.treeindex) == 1] or full
    if len(images) != 1:
        sizes = ", ".join(" x ".join(map(str, each.shape)) for each in images[:4])
        raise ValueError(f"it holds {len(images)} images{' of ' * bool(images)}{sizes}, and does not say which counts")
    (image,) = images
    sides = image.keyframe.imagelength, image.keyframe.imagewidth
    fitting = (each for each in masks if (each.keyframe.imagelength, each.keyframe.imagewidth) == sides)
    return image, next(fitting, None)


def _check_kind(page: TiffPage) -> str:
    """The kind of numbers that the samples are, as NumPy calls it."""
    if page.dtype is None:
        raise ValueError(f"its samples have {page.bitspersample} bits and the format {page.sampleformat}")
    if page.photometric not in KNOWN:
        kind = getattr(page.photometric, "name", page.photometric)
        raise ValueError(f"its samples are {kind}, neither amplitudes nor RGB")
    if page.photometric == PHOTOMETRIC.YCBCR and page.compression != COMPRESSION.JPEG:
        raise ValueError("its samples are YCbCr, and not as JPEG")
    if page.photometric == PHOTOMETRIC.MINISWHITE and page.dtype.kind not in "bu":
        raise ValueError(f"it says that 0 is white, which has no meaning for {page.dtype}")
    if page.photometric == PHOTOMETRIC.PALETTE and (page.colormap is None or page.dtype.kind not in "bu"):
        raise ValueError("it has indices of a palette, and no palette")
    return page.dtype.kind


def _palette(page: TiffPage) -> npt.NDArray:
    """Red, green and blue (3, colours) in 8 bit. TIFF has 16 bit; writers scale by 256 or 257, some not at all."""
    colours = np.asarray(page.colormap)
    return colours if colours.max() < 256 else colours >> 8


def _scale(page: TiffPage) -> tuple[dict[int, float], dict[int, float]] | None:
    """Factor and offset of the samples by band, as GDAL writes them; None where there are none."""
    text = str(page.tags.valueof(METADATA, ""))
    if "role=" not in text:
        return None
    found: dict[str, dict[int, float]] = {"scale": {}, "offset": {}}
    for item in fromstring(text.strip("\0 \n")).iter("Item"):
        if item.get("role") in found:
            value = float(item.text or "")
            if not math.isfinite(value):
                raise ValueError(f"its {item.get('role')} is {value}")
            found[item.get("role", "")][int(item.get("sample", 0))] = value
    return (found["scale"], found["offset"]) if found["scale"] or found["offset"] else None


def _no_data(page: TiffPage) -> float | None:
    text = str(page.tags.valueof(NO_DATA, "")).strip("\0 \n")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"its value of no data, {text!r}, is not a number") from None
    return None if math.isnan(value) else value
