"""Random views of a batch of chips: shift, mirror, turn, rotation, speckle, mixup."""

import math
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sarslim.chips.speckle import add_speckle
from sarslim.config import TrainingConfig, ViewsConfig
from sarslim.networks.inference import upload
from sarslim.records import Scaling


class RowSource(Protocol):
    """What :func:`augment` draws with, if not a ``numpy.random.Generator``."""

    def random(self, shape: tuple[int, int]) -> NDArray[np.float64]: ...
    def integers(self, low: int, high: int, shape: tuple[int, int]) -> NDArray[np.int64]: ...
    def uniform(self, low: float, high: float, count: int) -> NDArray[np.float64]: ...
    def standard_gamma(self, shape: float, size: tuple[int, ...], dtype: Any) -> NDArray[np.float32] | Tensor: ...


class OnDevice:
    """The draws of a generator, but for those that every pixel takes: a GPU makes these by itself, after its seed."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.random, self.integers, self.uniform = rng.random, rng.integers, rng.uniform

    def standard_gamma(self, shape: float, size: tuple[int, ...], dtype: Any) -> Tensor:
        """Of the Gamma(shape, 1) distribution, float32."""
        return torch._standard_gamma(torch.full(size, shape, device="cuda"))


Source = np.random.Generator | RowSource


def augment(images: Tensor, recipe: TrainingConfig | ViewsConfig, scaling: tuple[Scaling, ...], rng: Source) -> Tensor:
    """A random view of every chip, as far as ``recipe`` asks for it.

    Args:
        images: (N, C, H, W) stored values 0..255 of any number type.
        scaling: of each channel, for the speckle.
        rng: moved on by what the recipe asks for.

    Returns:
        (N, C, H, W) float32, 0..255.
    """
    if recipe.shift or recipe.flip:
        images = shift_and_flip(images, recipe.shift, recipe.flip, rng)
    if recipe.quarter_turns:
        images = quarter_turns(images, rng)
    images = images.float()
    if recipe.rotate:
        images = rotate(images, recipe.rotate, rng)
    if recipe.speckle_looks:
        images = add_speckle(images, recipe.speckle_looks, scaling, rng)
    return images


def shift_and_flip(images: Tensor, shift: int, flip: bool, rng: Source) -> Tensor:
    """Moves every chip of (N, C, H, W) by up to ``shift`` pixels and mirrors it at random along each axis.

    What moves in is the mirrored edge: clutter looks like clutter, where zeros would draw a frame.
    """
    count, _, height, width = images.shape
    rows = upload(_line(count, height, shift, flip, rng), images.device)
    columns = upload(_line(count, width, shift, flip, rng), images.device)
    # Indexing with two lists that a slice stands between moves them to the front: (N, H, W, C).
    chips = torch.arange(count, device=images.device)[:, None, None]
    return images[chips, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _line(count: int, size: int, shift: int, flip: bool, rng: Source) -> Tensor:
    """Where each pixel of one axis comes from, (N, size)."""
    source = np.abs(np.arange(size) + rng.integers(-shift, shift + 1, (count, 1)))
    source = (size - 1) - np.abs((size - 1) - source)
    if flip:
        source = np.where(rng.random((count, 1)) < 0.5, source[:, ::-1], source)
    return torch.from_numpy(np.ascontiguousarray(source))


def quarter_turns(images: Tensor, rng: Source) -> Tensor:
    """Turns every chip of (N, C, H, H) by 0, 90, 180 or 270 degrees; pixels stay what they are."""
    count = len(images)
    turns = upload(torch.from_numpy(rng.integers(0, 4, (count, 1))[:, 0]), images.device)
    every = torch.stack([torch.rot90(images, turn, (2, 3)) for turn in range(4)])
    return every[turns, torch.arange(count, device=images.device)]


def rotate(images: Tensor, degrees: float, rng: Source) -> Tensor:
    """Turns every chip of (N, C, H, W) float about its centre by up to ``degrees`` either way, edges mirrored."""
    angle = np.deg2rad(rng.uniform(-degrees, degrees, len(images)))
    cosine, sine, zero = np.cos(angle), np.sin(angle), np.zeros_like(angle)
    matrix = np.stack([cosine, -sine, zero, sine, cosine, zero], axis=1).reshape(-1, 2, 3)
    theta = upload(torch.from_numpy(matrix.astype(np.float32)), images.device)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def mixup(
    images: Tensor, targets: Tensor, labelled: int, alpha: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Blends every chip and its target with those of another chip (Zhang et al., ICLR 2018).

    Labelled chips are blended with labelled ones and unlabelled with unlabelled, so that no target is half known.

    Args:
        images: (N, C, H, W) float.
        targets: (N, K) probabilities.
        labelled: the first so many chips have labels.
        alpha: of the Beta(alpha, alpha) distribution of the share that stays.
    """
    count = len(images)
    partner = np.concatenate([rng.permutation(labelled), labelled + rng.permutation(count - labelled)])
    other = upload(torch.from_numpy(partner), images.device)
    share = upload(torch.from_numpy(rng.beta(alpha, alpha, count).astype(np.float32)), images.device)
    return (
        torch.lerp(images[other], images, share[:, None, None, None]),
        torch.lerp(targets[other], targets, share[:, None]),
    )


def epoch_batches(
    labels: np.ndarray, unlabelled: int, batch_size: int, balanced: bool, rng: np.random.Generator
) -> list[np.ndarray]:
    """The chips of each step of one epoch, in batches of nearly equal size.

    Labelled chips are numbered from 0, unlabelled ones after them. Each epoch takes every labelled chip once (or, if
    ``balanced``, as many chips in all but every class equally often), and joins up to as many unlabelled chips,
    others in each epoch: an epoch is at most twice as long, and about half of a batch has labels.

    Args:
        labels: (N,) class indices of the labelled chips.
        unlabelled: number of chips without a label.
        batch_size: most chips per step.
    """
    order = _balanced(labels, rng) if balanced else np.arange(len(labels))
    extra = len(labels) + rng.choice(unlabelled, min(unlabelled, len(labels)), replace=False)
    order = rng.permutation(np.concatenate([order, extra]))
    return np.array_split(order, steps_per_epoch(len(labels), unlabelled, batch_size))


def steps_per_epoch(labelled: int, unlabelled: int, batch_size: int) -> int:
    """Number of batches that ``epoch_batches`` makes, each of at least two chips: BatchNorm cannot take one."""
    chips = labelled + min(unlabelled, labelled)
    return max(1, min(math.ceil(chips / batch_size), chips // 2))


def _balanced(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many chips as there are labels, their numbers per class differing by at most one."""
    classes = np.unique(labels)
    share, rest = divmod(len(labels), len(classes))
    favoured = rng.permutation(classes)[:rest]
    drawn = []
    for label in classes:
        members = np.flatnonzero(labels == label)
        wanted = share + int(label in favoured)
        rounds = math.ceil(wanted / len(members))
        # Whole rounds before any chip comes again: no chip of a rare class is left out by chance.
        drawn.append(np.concatenate([rng.permutation(members) for _ in range(rounds)])[:wanted])
    return np.concatenate(drawn)
