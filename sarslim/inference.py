"""Chips from a memory-mapped array through a network, in constant memory, and the score that training goes by."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def gather(images: NDArray[np.generic], index: NDArray[np.int64] | slice, device: torch.device) -> Tensor:
    """Some chips of a part, (N, C, H, W), in the type in which they are stored."""
    return torch.from_numpy(np.array(images[index])).to(device)


def predict(
    network: nn.Module,
    images: NDArray[np.generic],
    batch_size: int = 256,
    alter: Callable[[Tensor], Tensor] | None = None,
) -> NDArray[np.float32]:
    """Logits (N, classes) of all chips, in evaluation mode; the network's training mode is restored.

    Args:
        images: (N, C, H, W) stored values 0..255, possibly memory-mapped.
        batch_size: chips in memory at one time.
        alter: applied to every batch, (n, C, H, W) float32, before the network sees it.
    """
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    logits = []
    try:
        with torch.inference_mode():
            for start in range(0, len(images), batch_size):
                batch = gather(images, slice(start, start + batch_size), device).float()
                logits.append(network(batch if alter is None else alter(batch)).float().cpu().numpy())
    finally:
        network.train(training)
    return np.concatenate(logits)


def macro_f1(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Mean F1 of the classes that occur among ``labels`` (N,) or ``predicted`` (N,)."""
    size = int(max(labels.max(), predicted.max())) + 1
    hits = np.bincount(labels[labels == predicted], minlength=size)
    either = np.bincount(labels, minlength=size) + np.bincount(predicted, minlength=size)
    return float(np.mean(2 * hits[either > 0] / either[either > 0]))
