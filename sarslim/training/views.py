"""Views of chips that can be made again, bit for bit: each follows from (seed, chip, number) alone."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sarslim.config import ViewsConfig
from sarslim.networks.inference import upload
from sarslim.records import Scaling
from sarslim.training.augmentation import augment

DRAWS = 8  # the most numbers that a view takes, beside those of its speckle


class Made(NamedTuple):
    """Views (N, C, H, W) float32, 0..255: a ``share`` (N,) of the chip, the rest of its partner (N,) among all chips.

    Without mixup a chip is its own partner.
    """

    images: Tensor
    partners: NDArray[np.int64]
    share: Tensor


class Views:
    """The views of all training chips, labelled ones numbered from 0, unlabelled ones after them."""

    def __init__(
        self,
        config: ViewsConfig,
        seed: int,
        *,
        labelled: NDArray[np.generic],
        unlabelled: NDArray[np.generic] | None,
        scaling: tuple[Scaling, ...],
    ) -> None:
        """
        Args:
            config: how a view is made.
            seed: other seeds give other views.
            labelled, unlabelled: (chips, C, H, W) stored values 0..255, possibly memory-mapped.
            scaling: of each channel, for the speckle.
        """
        self._config, self._seed, self._scaling = config, seed, scaling
        self._labelled = labelled
        self._unlabelled = labelled[:0] if unlabelled is None else unlabelled

    def make(self, chips: NDArray[np.int64], numbers: NDArray[np.int64], device: torch.device) -> Made:
        """View ``numbers`` (N,) of ``chips`` (N,).

        Mixup is part of a view, so that the answer to the blend is the teacher's own: a labelled chip has a labelled
        partner and an unlabelled an unlabelled, as in ``augmentation.mixup``.
        """
        draws = Draws(self._seed, chips, numbers)
        images = self._augmented(chips, draws, device)
        if not self._config.mixup:
            return Made(images, chips, torch.ones(len(chips), device=device))
        is_labelled, count = chips < len(self._labelled), len(self._labelled)
        partners = np.where(is_labelled, 0, count) + draws.integers(
            0, np.where(is_labelled, count, len(self._unlabelled))[:, None], (len(chips), 1)
        )[:, 0]  # fmt: skip
        share = upload(torch.from_numpy(draws.beta(self._config.mixup).astype(np.float32)), device)
        others = self._augmented(partners, Draws(self._seed, chips, numbers, lane=1), device)
        return Made(torch.lerp(others, images, share[:, None, None, None]), partners, share)

    def _augmented(self, chips: NDArray[np.int64], draws: "Draws", device: torch.device) -> Tensor:
        known = chips < len(self._labelled)
        stored = np.empty((len(chips), *self._labelled.shape[1:]), self._labelled.dtype)
        stored[known] = self._labelled[chips[known]]
        stored[~known] = self._unlabelled[chips[~known] - len(self._labelled)]
        return augment(upload(torch.from_numpy(stored), device), self._config, self._scaling, draws)


class Draws:
    """Stands in for a ``numpy.random.Generator`` where every row of what it draws belongs to a view of a chip.

    Each row has a stream of its own, which begins where a key and a counter say (Philox, Salmon et al., SC 2011): what
    stands in the other rows, and their number, do not matter.
    """

    def __init__(self, seed: int, chips: NDArray[np.int64], numbers: NDArray[np.int64], lane: int = 0) -> None:
        """
        Args:
            seed, chips, numbers: what names the streams.
            lane: names a second stream of the same view.
        """
        self._philox = np.random.Philox(key=seed)
        self._generator = np.random.Generator(self._philox)
        self._fresh: Any = self._philox.state
        self._names = [(lane, int(number), int(chip)) for chip, number in zip(chips, numbers, strict=True)]
        # All at once, as starting a stream takes longer than drawing from it.
        self._uniform = np.stack([self._start(name).random(DRAWS) for name in self._names])
        self._taken = 0

    def _start(self, name: tuple[int, int, int], part: int = 0) -> np.random.Generator:
        """The generator at the beginning of a part of a stream; parts are 2^56 blocks apart."""
        self._fresh["state"]["counter"] = np.array([part << 56, *name], np.uint64)
        self._philox.state = self._fresh
        return self._generator

    def random(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Uniform in [0, 1), of shape (N, 1)."""
        assert shape == (len(self._names), 1)
        self._taken += 1
        return self._uniform[:, self._taken - 1 : self._taken]

    def integers(self, low: int, high: Any, shape: tuple[int, int]) -> NDArray[np.int64]:
        """Whole numbers from ``low`` to below ``high``, of shape (N, 1)."""
        return (low + np.floor(self.random(shape) * (high - low))).astype(np.int64)

    def uniform(self, low: float, high: float, count: int) -> NDArray[np.float64]:
        """Uniform in [low, high), of shape (N,)."""
        return low + self.random((count, 1))[:, 0] * (high - low)

    def beta(self, alpha: float) -> NDArray[np.float64]:
        """Of the Beta(alpha, alpha) distribution, of shape (N,)."""
        return np.array([self._start(name, 1).beta(alpha, alpha) for name in self._names])

    def standard_gamma(self, shape: float, size: tuple[int, ...], dtype: Any) -> NDArray[np.float32]:
        """Of the Gamma(shape, 1) distribution, of shape (N, ...)."""
        return np.stack([self._start(name, 2).standard_gamma(shape, size[1:], dtype=dtype) for name in self._names])
