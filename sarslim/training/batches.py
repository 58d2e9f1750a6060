"""What a network is shown in a step: views of a batch of chips, and what is wanted of them."""

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sarslim.config import TrainingConfig
from sarslim.networks.inference import Stored, gather, resident, upload
from sarslim.records import Scaling
from sarslim.training.augmentation import OnDevice, augment, epoch_batches, mixup, steps_per_epoch


class Answered(Protocol):
    """Views of the training chips that a teacher has answered (``training.answers``, which shall not be imported
    here: an edit there shall not train every teacher anew).

    ``show`` draws one for each chip, numbered with labelled ones first: a blend of chip and partner with the chip's
    share, and the answer to it.
    """

    def show(self, chips: NDArray[np.int64], rng: np.random.Generator, device: torch.device) -> Any: ...


class Batches:
    """The training chips, labelled ones numbered from 0, unlabelled ones after them."""

    def __init__(
        self,
        recipe: TrainingConfig,
        *,
        images: Stored,
        labels: NDArray[np.int64],
        unlabelled_images: Stored | None,
        classes: int,
        scaling: tuple[Scaling, ...],
        answers: Answered | None,
        device: torch.device,
    ) -> None:
        """Arguments are as of ``fit``; ``classes`` is K, ``device`` where the network is."""
        self._recipe, self._labels, self._classes = recipe, labels, classes
        self._scaling, self._answers, self._device = scaling, answers, device
        self._images = resident(images, device)
        self._others = None if unlabelled_images is None else resident(unlabelled_images, device)
        self._unlabelled = 0 if unlabelled_images is None else len(unlabelled_images)
        self.steps = steps_per_epoch(len(labels), self._unlabelled, recipe.batch_size)
        """Number of batches in an epoch."""
        self.smallest = (len(labels) + min(self._unlabelled, len(labels))) // self.steps
        """Number of chips in the smallest batch."""

    def of_epoch(self, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        """The numbers of the chips of each step of an epoch."""
        recipe = self._recipe
        return epoch_batches(self._labels, self._unlabelled, recipe.batch_size, recipe.class_balanced, rng)

    def show(self, batch: NDArray[np.int64], rng: np.random.Generator) -> tuple[Any, ...]:
        """What an objective is given of the chips ``batch`` (N,), beside the network; labelled ones come first.

        Returns:
            images (N, C, H, W) float32, 0..255, a view of each chip; targets (N, K), probabilities; a mask (N,) of the
            labelled ones; and, if there are answers, the one to these images.
        """
        known, others = batch[batch < len(self._labels)], batch[batch >= len(self._labels)]
        targets = self._wanted(self._labels[known], len(batch))
        labelled = torch.arange(len(batch), device=self._device) < len(known)
        answer: list[Any] = []
        if self._answers is None:
            images = gather(self._images, known, self._device)
            if self._others is not None:
                images = torch.cat([images, gather(self._others, others - len(self._labels), self._device)])
            images = augment(images, self._recipe, self._scaling, OnDevice(rng) if images.is_cuda else rng)
            if self._recipe.mixup:
                images, targets = mixup(images, targets, len(known), self._recipe.mixup, rng)
        else:
            chips = np.concatenate([known, others])
            (images, partners, share), *answer = self._answers.show(chips, rng, self._device)
            targets = torch.lerp(
                self._wanted(self._labels[partners[: len(known)]], len(batch)), targets, share[:, None]
            )
        # The strides that indexing leaves behind pass, with one channel, for channels_last: on these oneDNN's
        # backward pass corrupts memory at some batch sizes (63 chips, two threads, torch 2.14.1).
        form = torch.channels_last if images.is_cuda else torch.contiguous_format
        return images.clone(memory_format=form), targets, labelled, *answer

    def _wanted(self, labels: NDArray[np.int64], rows: int) -> Tensor:
        return upload(soft_targets(labels, rows, self._classes, self._recipe.label_smoothing), self._device)


def soft_targets(labels: NDArray[np.int64], rows: int, classes: int, smoothing: float) -> Tensor:
    """(rows, classes) probabilities: the labels, smoothed, in the first rows, and zeros for chips without a label."""
    targets = torch.zeros(rows, classes)
    known = torch.from_numpy(labels)
    targets[: len(known)] = (1 - smoothing) * F.one_hot(known, classes) + smoothing / classes
    return targets
