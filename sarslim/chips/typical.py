"""What training chips are like, and how far another chip lies outside of that."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sarslim.records import Typical

# The range of a measure holds all but so many per cent of the training chips on either side.
BEYOND_PERCENT = 0.5
# From here on a chip is far outside. Of the test chips of MSTAR, FUSAR-Ship, OpenSARShip and the simulator at most two
# in a thousand are; white noise, blank chips and chips of another scale are, with few exceptions.
FAR = 0.5
# Ranges are taken to be at least so wide: training chips may all be alike.
LEAST_CLIPPED, LEAST_GREY = 0.05, 8.0
MEASURES = ("clipped pixels", "mean", "spread", "size")

Array = npt.NDArray[np.float64]
Sides = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Outside:
    """How far a chip lies outside of what the network was trained on, and by which measure most; 0 and "" inside.

    ``distance`` is in widths of the range that 99 % of the training chips lie in, or in octaves of the size.
    """

    distance: float
    measure: str

    def __str__(self) -> str:
        if self.measure == "size":
            return f"its size is {2**self.distance:.1f} times off"
        return f"its {self.measure} {'are' if self.measure.endswith('s') else 'is'} off by {self.distance:.1f} ranges"

    @property
    def far(self) -> bool:
        """Whether hardly any test chip would be so far outside."""
        return self.distance > FAR


def measure(images: npt.NDArray) -> Array:
    """Share of clipped pixels, then mean and standard deviation per channel: (N, 1 + 2 C) of stored (N, C, H, W)."""
    count, channels = images.shape[:2]
    found = np.empty((count, 1 + 2 * channels))
    # One chip after another: faster than all at once, which leaves the cache.
    for row, image in zip(found, images.reshape(count, channels, -1), strict=True):
        row[0] = (np.count_nonzero(image == 0) + np.count_nonzero(image == 255)) / image.size
        for channel, values in enumerate(image.astype(np.float64)):
            row[1 + channel] = mean = values.sum() / values.size
            row[1 + channels + channel] = max(values @ values / values.size - mean * mean, 0) ** 0.5
    return found


def summarise(measures: Array, sides: Sequence[Sides]) -> Typical:
    """The ranges of training chips from what :func:`measure` says of each and from their sides in pixels."""
    low, high = np.percentile(measures, (BEYOND_PERCENT, 100 - BEYOND_PERCENT), axis=0)
    ranges = [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    channels = (len(ranges) - 1) // 2
    return Typical(
        clipped=ranges[0][1],
        mean=tuple(ranges[1 : 1 + channels]),
        spread=tuple(ranges[1 + channels :]),
        sides_px=(min(min(each) for each in sides), max(max(each) for each in sides)),
    )


def outside(typical: Typical, images: npt.NDArray, sides: Sequence[Sides | None]) -> list[Outside]:
    """How far each of the stored chips (N, C, H, W) lies outside; ``sides`` as of :func:`distances`."""
    found = distances(typical, images, sides)
    worst, place = found.max(axis=1).tolist(), found.argmax(axis=1).tolist()
    return [Outside(far, MEASURES[k] if far else "") for far, k in zip(worst, place, strict=True)]


def distances(typical: Typical, images: npt.NDArray, sides: Sequence[Sides | None]) -> Array:
    """How far each chip lies outside of the ranges, per entry of MEASURES: (N, 4), 0 where it is inside.

    Clipped pixels, mean and spread in widths of the range, of several channels the worst; the size in octaves (1: half
    as small or twice as large), 0 where ``sides`` does not tell.
    """
    found = measure(images)
    channels = images.shape[1]
    ranges = np.array([(0.0, typical.clipped), *typical.mean, *typical.spread])
    least = np.array([LEAST_CLIPPED, *[LEAST_GREY] * 2 * channels])
    beyond = np.maximum(0, np.maximum(ranges[:, 0] - found, found - ranges[:, 1]))
    beyond /= np.maximum(ranges[:, 1] - ranges[:, 0], least)
    low, high = typical.sides_px
    octaves = [max(0.0, np.log2(low / min(each)), np.log2(max(each) / high)) if each else 0.0 for each in sides]
    worst = [beyond[:, :1], beyond[:, 1 : 1 + channels], beyond[:, 1 + channels :]]
    return np.column_stack([*(each.max(axis=1) for each in worst), octaves])
