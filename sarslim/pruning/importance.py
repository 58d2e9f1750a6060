"""What makes a channel worth keeping: torch-pruning's criteria, and the gradients that some of them need."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
import torch_pruning as tp
from torch import Tensor, nn

from sarslim.errors import InputError

CRITERIA: dict[str, Callable[[], Callable[[Any], Tensor | None]]] = {
    "l1": lambda: tp.importance.GroupMagnitudeImportance(p=1),
    "l2": lambda: tp.importance.GroupMagnitudeImportance(p=2),
    "bn_scale": tp.importance.BNScaleImportance,
    "lamp": tp.importance.LAMPImportance,
    "fpgm": tp.importance.FPGMImportance,
    "taylor": tp.importance.GroupTaylorImportance,
    "hessian": tp.importance.GroupHessianImportance,
    "random": tp.importance.RandomImportance,
}
NEED_GRADIENTS = ("taylor", "hessian")


def score(groups: Sequence[Any], criterion: str, seed: int) -> list[Tensor]:
    """The importance of every channel, one tensor (channels,) per group, comparable between groups.

    ``bn_scale`` says nothing about channels without BatchNorm; they are scored by ``l2`` (both have the mean 1).

    Args:
        groups: torch-pruning's, with all their channels.
        criterion: a key of ``CRITERIA``; those in ``NEED_GRADIENTS`` read what ``accumulate_gradients`` left.
        seed: of the random criterion.

    Raises:
        InputError: the criterion says nothing about any of the groups.
    """
    importance, fallback = CRITERIA[criterion](), CRITERIA["l2"]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        scores = [importance(group) for group in groups]
    if all(values is None for values in scores):
        problem = f"{criterion} says nothing about this network, which has no BatchNorm"
        raise InputError("prune.criterion", problem, "Choose another criterion, such as l2")
    filled = [fallback(group) if values is None else values for group, values in zip(groups, scores, strict=True)]
    # Where all channels of a group score 0, dividing by their mean has given NaN.
    return [values.detach().cpu().nan_to_num() for values in filled if values is not None]


@torch.enable_grad()
def accumulate_gradients(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], criterion: str) -> None:
    """Leaves in ``.grad`` what ``criterion`` reads there, from the cross-entropy of labelled chips.

    taylor: the gradient summed over all chips. hessian: the mean square of each chip's gradient, the diagonal of the
    empirical Fisher matrix, which stands for the Hessian; torch-pruning's own accumulation keeps the last chip only.

    Args:
        batches: chips (N, C, H, W) and labels (N,).
    """
    network.zero_grad(set_to_none=True)
    if criterion == "taylor":
        for images, labels in batches:
            F.cross_entropy(network(images), labels, reduction="sum").backward()
        return
    parameters = list(network.parameters())
    sums = [torch.zeros_like(parameter) for parameter in parameters]
    chips = 0
    for images, labels in batches:
        for image, label in zip(images.split(1), labels.split(1), strict=True):
            gradients = torch.autograd.grad(F.cross_entropy(network(image), label), parameters)
            for total, gradient in zip(sums, gradients, strict=True):
                total += gradient.square()
            chips += 1
    for parameter, total in zip(parameters, sums, strict=True):
        parameter.grad = total / chips
