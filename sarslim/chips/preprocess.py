"""From amplitudes to stored chips: centre crop or padding, and a scaling fitted on training chips."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import numpy.typing as npt

from sarslim.chips.index import Chip, Pixels
from sarslim.errors import InputError
from sarslim.records import Scaling

# Pixels per chip that go into the percentiles: a quarter of a 64x64 chip.
PIXELS_PER_CHIP = 1024


def check_finite(pixels: Pixels, chip: Chip) -> None:
    """Refuses a chip with NaN or infinite pixels: what they stood for is unknown, and zeros would be invented data.

    Raises:
        InputError: names the file, and says how many pixels are affected.
    """
    bad = pixels.size - int(np.isfinite(pixels).sum())
    if bad:
        raise InputError(
            chip.file,
            f"chip {chip.id} has {bad} of {pixels.size} pixels that are not finite (NaN, infinite, or of no value "
            "as the file says: transparent, masked or GDAL_NODATA)",
            "Remove the chip from the source, or repair its pixels; prepare.images.no_data=keep takes the numbers that "
            "stand there",
        )


def crop(pixels: Pixels, size: int) -> Pixels:
    """The centre of (C, H, W), at most ``size`` on a side."""
    top, left = (max(0, (side - size) // 2) for side in pixels.shape[1:])
    return pixels[:, top : top + size, left : left + size]


def pad(pixels: Pixels, size: int) -> Pixels:
    """(C, H, W) centred in (C, size, size), the frame filled with border pixels of the chip drawn at random.

    A frame of one value would show the size of the chip, which gives away the class (AIS length in OpenSARShip, the
    native size in MSTAR), and a mirror image would show a second ship. Pixels of the border look like the sea around
    the ship. All channels are drawn at the same places, and equal chips get equal frames.
    """
    channels, height, width = pixels.shape
    if height == width == size:
        return pixels
    border = np.concatenate(
        [pixels[:, 0], pixels[:, -1], pixels[:, 1:-1, 0], pixels[:, 1:-1, -1]],
        axis=1,
    )
    draw = np.random.default_rng(0).integers(border.shape[1], size=size * size)
    padded = border[:, draw].reshape(channels, size, size)
    top, left = (size - height) // 2, (size - width) // 2
    padded[:, top : top + height, left : left + width] = pixels
    return padded


def fit(
    chips: Iterable[Pixels],
    kind: Literal["linear", "percentile", "log"],
    percentiles: tuple[float, float],
) -> tuple[Scaling, ...]:
    """One scaling per channel from cropped training chips, each (C, H, W); not one of them is kept.

    linear takes the full range of all pixels; percentile and log take percentiles of evenly spaced pixels.
    """
    lowest = highest = np.zeros(0)
    kept: list[npt.NDArray[np.float32]] = []
    for number, pixels in enumerate(chips):
        flat = pixels.reshape(len(pixels), -1)
        if kind == "linear":
            low, high = flat.min(axis=1), flat.max(axis=1)
            lowest = low if number == 0 else np.minimum(lowest, low)
            highest = high if number == 0 else np.maximum(highest, high)
        else:
            kept.append(flat[:, :: max(1, flat.shape[1] // PIXELS_PER_CHIP)])
    if kind == "linear":
        return tuple(_scaling(kind, low, high) for low, high in zip(lowest, highest, strict=True))
    values = np.concatenate(kept, axis=1)
    return tuple(_fit_channel(channel, kind, percentiles) for channel in values)


def apply(pixels: Pixels, scalings: tuple[Scaling, ...], dtype: Literal["uint8", "float16"]) -> npt.NDArray:
    """Stored values 0..255 of amplitudes (C, H, W), rounded for uint8."""
    scaled = np.empty_like(pixels)
    for channel, scaling in enumerate(scalings):
        values = pixels[channel]
        if scaling.kind == "log":
            values = np.log(np.maximum(values, 0) + scaling.offset)
        scaled[channel] = (values - scaling.low) * (255 / (scaling.high - scaling.low))
    scaled = np.clip(scaled, 0, 255, out=scaled)
    return np.rint(scaled).astype(np.uint8) if dtype == "uint8" else scaled.astype(np.float16)


def _fit_channel(
    values: npt.NDArray[np.float32], kind: Literal["percentile", "log"], percentiles: tuple[float, float]
) -> Scaling:
    offset = 0.0
    if kind == "log":
        # Keeps log() finite where the amplitude is 0, far below what is visible.
        offset = max(1e-3 * float(np.median(values)), 1e-12)
        values = np.log(np.maximum(values, 0) + offset)
    low, high = np.percentile(values, percentiles)
    return _scaling(kind, low, high, offset)


def _scaling(kind: Literal["linear", "percentile", "log"], low: float, high: float, offset: float = 0.0) -> Scaling:
    # Training chips of one single value would divide by zero.
    least = max(1.0, abs(float(low)) * 1e-6)
    return Scaling(kind=kind, low=float(low), high=float(high) if high > low else float(low) + least, offset=offset)
