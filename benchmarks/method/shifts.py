"""The test chips as another sensor or another day would show them; no network of the grid is trained on that."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from sarslim.chips.speckle import add_speckle, from_amplitudes, to_amplitudes
from sarslim.records import Scaling

NAMES = {"4_looks": "4 looks", "1_looks": "1 look", "blurred": "blurred", "noisy": "noisy", "dim": "dim"}
"""As tables say them."""
GAIN = 0.6
WIDTH = 1.0  # standard deviation of the blur in pixels


def shifts(scaling: tuple[Scaling, ...], seed: int) -> Mapping[str, Callable[[Tensor], Tensor]]:
    """By name what is done to stored values (N, C, H, W), 0..255; every call draws the same again.

    More speckle of so many looks; a coarser point spread; thermal noise at the median intensity of each chip; a lower
    gain, where chips are not divided by their own level.
    """
    draws: Callable[[], np.random.Generator] = partial(np.random.default_rng, seed)
    made: dict[str, Callable[[Tensor], Tensor]] = {
        "4_looks": partial(add_speckle, looks=4.0, scaling=scaling, generator=draws()),
        "1_looks": partial(add_speckle, looks=1.0, scaling=scaling, generator=draws()),
        "blurred": partial(gaussian_blur, kernel_size=[5, 5], sigma=[WIDTH, WIDTH]),
        "noisy": partial(add_noise, scaling=scaling, generator=draws()),
    }
    if not any(channel.per_chip for channel in scaling):
        made["dim"] = lambda images: from_amplitudes(GAIN * to_amplitudes(images, scaling), scaling)
    return made


def add_noise(images: Tensor, scaling: tuple[Scaling, ...], generator: np.random.Generator) -> Tensor:
    """Adds circular complex Gaussian noise of the power that the median pixel of a chip has to every pixel."""
    amplitudes = to_amplitudes(images, scaling)
    power = amplitudes.square().flatten(1).median(dim=1).values[:, None, None, None]
    noise = torch.from_numpy(generator.standard_normal((2, *images.shape), dtype=np.float32)).to(images.device)
    along, across = noise * (power / 2).sqrt()
    return from_amplitudes(((amplitudes + along).square() + across.square()).sqrt(), scaling)
