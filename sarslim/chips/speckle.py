"""Multiplicative speckle, added to chips that are stored as 8-bit values."""

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sarslim.records import Scaling


class GammaSource(Protocol):
    """Draws as a ``numpy.random.Generator`` does."""

    def standard_gamma(self, shape: float, size: tuple[int, ...], dtype: Any) -> NDArray[np.float32] | Tensor: ...


def add_speckle(
    images: Tensor, looks: float, scaling: tuple[Scaling, ...], generator: np.random.Generator | GammaSource
) -> Tensor:
    """Multiplies the intensity of every pixel by a Gamma(L, 1/L) variate: mean 1, variance 1/L.

    The amplitude takes the square root of it; the level that a chip was divided by stays as it was. The variates come
    from numpy, three times as fast as torch on a CPU and the same for every device.

    Args:
        images: (N, C, H, W) stored values 0..255, floating point.
        looks: equivalent number of looks L, above 0; fewer looks are rougher.
        scaling: how amplitudes became stored values, one for each channel.
        generator: moved on by the draw.

    Returns:
        (N, C, H, W) stored values, clipped to 0..255.
    """
    intensity = generator.standard_gamma(looks, tuple(images.shape), dtype=np.float32) / looks
    gain = torch.as_tensor(intensity, device=images.device).sqrt()
    return from_amplitudes(to_amplitudes(images, scaling) * gain, scaling)


def to_amplitudes(images: Tensor, scaling: tuple[Scaling, ...]) -> Tensor:
    """The amplitudes (N, C, H, W) behind stored values, those of a chip divided by its level where that was done."""
    channels = []
    for stored, how in zip(images.unbind(dim=1), scaling, strict=True):
        value = how.low + (how.high - how.low) / 255 * stored
        # Rounding may bring an amplitude below 0, where the logarithm has no value.
        channels.append((value.exp() - how.offset).clamp(min=0) if how.logarithmic else value)
    return torch.stack(channels, dim=1)


def from_amplitudes(amplitudes: Tensor, scaling: tuple[Scaling, ...]) -> Tensor:
    """The stored values (N, C, H, W) of amplitudes, clipped to 0..255."""
    channels = []
    for amplitude, how in zip(amplitudes.unbind(dim=1), scaling, strict=True):
        value = (amplitude + how.offset).log() if how.logarithmic else amplitude
        channels.append(((value - how.low) / ((how.high - how.low) / 255)).clamp(0, 255))
    return torch.stack(channels, dim=1)
