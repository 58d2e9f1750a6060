"""From amplitudes to stored chips: multilook, centre crop or padding, and a scaling fitted on training chips."""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from sarslim.chips.index import Chip, Pixels
from sarslim.errors import InputError
from sarslim.records import Scaling, ScalingKind

# Pixels per chip that go into the percentiles: a quarter of a 64x64 chip.
PIXELS_PER_CHIP = 1024


def take(pixels: Pixels, chip: Chip, *, looks: int, size: int, per_chip: bool) -> Pixels:
    """The middle of a chip (C, H, W) before padding and scaling: multilooked, cropped, divided by its level if asked.

    Args:
        looks: pixels on a side that become one.
        size: most pixels on a side of the result.
        per_chip: divide every channel by its level.

    Raises:
        InputError: pixels that are not finite, or of which no power can be averaged.
    """
    check_finite(pixels, chip)
    if looks > 1 or per_chip:
        _check_amplitudes(pixels, chip)
    if looks > 1:
        if looks > min(pixels.shape[1:]):
            raise too_small([chip], looks)
        pixels = multilook(pixels, looks)
    pixels = crop(pixels, size)
    return pixels / level(pixels)[:, None, None] if per_chip else pixels


def too_small(chips: Sequence[Chip], looks: int) -> InputError:
    """What is wrong with chips that are smaller than a block of the multilook."""
    first = chips[0]
    more = f", and so {'is' if len(chips) == 2 else 'are'} {len(chips) - 1} more" if len(chips) > 1 else ""
    return InputError(
        first.file,
        f"chip {first.id} of {first.height} x {first.width} pixels is smaller than a block of multilook={looks}{more}",
        "Lower prepare.multilook, or leave such chips out",
    )


def multilook(pixels: Pixels, looks: int) -> Pixels:
    """(C, H, W) averaged in power: (C, H // looks, W // looks), the root of the mean square of every block.

    Pixels that fill no block are cut off, half of them on either side. Of intensities and not of amplitudes the mean is
    the estimate of the backscatter (Oliver and Quegan, Understanding Synthetic Aperture Radar Images, 1998, chapter 4).
    """
    channels, *sides = pixels.shape
    top, left = (side % looks // 2 for side in sides)
    rows, columns = (side // looks for side in sides)
    inner = pixels[:, top : top + rows * looks, left : left + columns * looks]
    blocks = np.square(inner, dtype=np.float64).reshape(channels, rows, looks, columns, looks)
    return np.sqrt(blocks.mean(axis=(2, 4))).astype(np.float32)


def level(pixels: Pixels) -> npt.NDArray[np.float32]:
    """The level (C,) of a chip (C, H, W): the median of the pixels above 0 of each channel, 1 where there is none.

    An ordered statistic is what the clutter around a target is known by, whatever the target (Rohling, Radar CFAR
    thresholding in clutter and multiple target situations, IEEE Trans. AES 19(4), 1983). Pixels of 0 are no clutter:
    they lie beyond the image, or below the first step of an 8-bit one.
    """
    above = (channel[channel > 0] for channel in pixels)
    return np.array([np.median(values) if values.size else 1 for values in above], np.float32)


def check_finite(pixels: Pixels, chip: Chip) -> None:
    """Refuses a chip with NaN or infinite pixels: what they stood for is unknown, and zeros would be invented data.

    Raises:
        InputError: names the file, and says how many pixels are affected.
    """
    bad = pixels.size - np.count_nonzero(np.isfinite(pixels))
    if bad:
        raise InputError(
            chip.file,
            f"chip {chip.id} has {bad} of {pixels.size} pixels that are not finite (NaN, infinite, or of no value "
            "as the file says: transparent, masked or GDAL_NODATA)",
            "Remove the chip from the source, or repair its pixels; prepare.images.no_data=keep takes the numbers that "
            "stand there",
        )


def _check_amplitudes(pixels: Pixels, chip: Chip) -> None:
    """Refuses a chip most of which is below 0: the square of a decibel is no power."""
    below = int((pixels < 0).sum())
    if 2 * below > pixels.size:
        raise InputError(
            chip.file,
            f"chip {chip.id} has {below} of {pixels.size} pixels below 0, as decibels have",
            "Give amplitudes; for these values leave multilook at 1 and take scaling percentile or linear",
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
    kind: ScalingKind,
    percentiles: tuple[float, float],
) -> tuple[Scaling, ...]:
    """One scaling per channel from cropped training chips, each (C, H, W); not one of them is kept.

    linear takes the full range of all pixels; the others take percentiles of evenly spaced pixels. For chip and
    chip_log the chips are divided by their level already; as pixels of 0 do not count for that, they do not for
    chip_log: where an 8-bit image is dark, they would stretch the axis over decades with nothing in them.
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
    """Stored values 0..255 of amplitudes (C, H, W), divided by their level for kinds per chip; rounded for uint8."""
    scaled = np.empty_like(pixels)
    for values, own, scaling in zip(pixels, scaled, scalings, strict=True):
        if scaling.logarithmic:
            values = np.log(np.maximum(values, 0) + scaling.offset)
        np.subtract(values, scaling.low, out=own)
        own *= 255 / (scaling.high - scaling.low)
    # As numpy.clip, which takes three times as long on a chip.
    np.minimum(np.maximum(scaled, 0, out=scaled), 255, out=scaled)
    return np.rint(scaled, out=scaled).astype(np.uint8) if dtype == "uint8" else scaled.astype(np.float16)


def _fit_channel(values: npt.NDArray[np.float32], kind: ScalingKind, percentiles: tuple[float, float]) -> Scaling:
    offset = 0.0
    if kind == "chip_log" and (values > 0).any():
        values = values[values > 0]
    if kind in ("log", "chip_log"):
        # Keeps log() finite where the amplitude is 0, far below what is visible.
        offset = max(1e-3 * float(np.median(values)), 1e-12)
        values = np.log(np.maximum(values, 0) + offset)
    low, high = np.percentile(values, percentiles)
    return _scaling(kind, low, high, offset)


def _scaling(kind: ScalingKind, low: float, high: float, offset: float = 0.0) -> Scaling:
    # Training chips of one single value would divide by zero.
    least = max(1.0, abs(float(low)) * 1e-6)
    return Scaling(kind=kind, low=float(low), high=float(high) if high > low else float(low) + least, offset=offset)
