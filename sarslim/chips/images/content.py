"""What an image file holds, before it becomes amplitudes: the contract between the decoders and the rest."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sarslim.chips.index import Pixels

LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
TURNED = (5, 6, 7, 8)  # orientations whose rows are columns of the file


class Header(NamedTuple):
    """Bands, height and width of the chip, and the number of samples that have to be decoded for it."""

    bands: int
    height: int
    width: int
    samples: int

    def seen(self, orientation: int) -> tuple[int, int, int]:
        """Bands, height and width of the upright chip."""
        turned = orientation in TURNED
        return self.bands, self.width if turned else self.height, self.height if turned else self.width


class Content(NamedTuple):
    """Samples (S, H, W) as they lie in a file.

    ``colour``: they are red, green and blue. ``missing``, of a shape that fits: samples without a value, be it that
    they are transparent, masked, or of the value that the file gives to no data. ``orientation`` as in EXIF.
    """

    samples: npt.NDArray
    colour: bool = False
    missing: npt.NDArray[np.bool_] | None = None
    orientation: int = 1


def amplitudes(content: Content, *, keep_missing: bool) -> Pixels:
    """Amplitudes (bands, height, width), upright; colour is turned to luminance, missing samples to NaN."""
    samples = np.abs(content.samples) if content.samples.dtype.kind == "c" else content.samples
    if content.colour:
        samples = np.tensordot(LUMINANCE, samples[:3].astype(np.float64), axes=1)[None]
    if samples.dtype.kind in "bui":
        pixels = samples.astype(np.float32)
    else:
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large is not finite, which is told later
            pixels = samples.astype(np.float32)
    if content.missing is not None and not keep_missing and content.missing.any():
        missing = content.missing.any(axis=0) if content.colour else content.missing
        pixels[np.broadcast_to(missing, pixels.shape)] = np.nan
    return pixels if content.orientation == 1 else _upright(pixels, content.orientation)


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Puts row 0 on top and column 0 to the left, as TIFF 6.0 and EXIF define the values 2 to 8."""
    if orientation in TURNED:
        pixels = pixels.swapaxes(1, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, :, ::-1]
    return np.ascontiguousarray(pixels)
