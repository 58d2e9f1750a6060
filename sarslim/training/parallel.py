"""Several processes that train one network as if they were one: each takes a share of the work on every batch.

All processes draw the same batch, and compute the same losses from what the networks say of all its chips. Only the
passes through the networks, which take the time, are shared out: ``gather(network(shard(images)), len(images))`` is
``network(images)``. So every loss keeps its meaning, whether it is a mean over the labelled chips or compares chips
with each other, however unequal the shares are. With one process nothing here does anything.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Result = TypeVar("Result")

# A process that is lost is noticed by what started it; one that is slow must not be taken for lost.
PATIENCE = timedelta(days=7)


@contextmanager
def joined() -> Iterator[None]:
    """Makes this process one of those that ``torch.distributed.run`` started, on a GPU of its own if there are GPUs."""
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
    yield
    dist.destroy_process_group()  # Not after an error: it would wait for processes that may be gone.


def count() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process is the one that writes what all have computed."""
    return rank() == 0


def from_first(make: Callable[..., Result], *arguments: Any) -> Result:
    """What ``make(*arguments)`` gives in the first process, the same in all: for what could differ between them.

    The result must be picklable and lie on the CPU.
    """
    if count() == 1:
        return make(*arguments)
    answer = [make(*arguments) if is_first() else None]
    dist.broadcast_object_list(answer, src=0)
    return answer[0]  # type: ignore[return-value]


def shard(batch: Tensor) -> Tensor:
    """The rows of ``batch`` (N, ...) that are this process's share: N / processes, rounded up or down."""
    return batch[_own(len(batch))] if count() > 1 else batch


def gather(rows: Tensor, total: int) -> Tensor:
    """The rows (total, ...) of all processes, from the share (n, ...) of each; gradients flow to one's own share.

    The gradient of a share is multiplied by the number of processes, so that the mean over processes
    (:func:`average_gradients`) is right for the parameters before the gathering, where each process knows its share
    only, and for those after it, where each knows all.
    """
    return _Gather.apply(rows, total) if count() > 1 else rows  # type: ignore[no-untyped-call]


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Gives every parameter the mean of its gradients over all processes."""
    if count() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= count()
    for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


@contextmanager
def shared_statistics(network: nn.Module) -> Iterator[None]:
    """Inside, BatchNorm in training mode goes by the mean and variance of the whole batch, not of one's own share.

    PyTorch's SyncBatchNorm does this on GPUs alone; this one is the same everywhere, and so can be tested anywhere.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)] if count() > 1 else []
    for layer in layers:
        layer.forward = partial(_batch_norm, layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _own(total: int) -> slice:
    """Which of ``total`` rows belong to this process."""
    return slice(total * rank() // count(), total * (rank() + 1) // count())


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, total: int) -> Tensor:
        ctx.own = _own(total)
        whole = rows.new_zeros(total, *rows.shape[1:])
        whole[ctx.own] = rows
        dist.all_reduce(whole)  # Zeros elsewhere: exact, and shares need not be equal.
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # Every process computes the same loss, and so has the whole gradient already.
        return gradients[0][ctx.own] * count(), None


class _Sum(torch.autograd.Function):
    """The sum over all processes, and of the gradients of all on the way back."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _batch_norm(layer: nn.BatchNorm2d, features: Tensor) -> Tensor:
    """``layer(features)``, features (n, C, H, W) being the share of this process."""
    if not layer.training:
        return type(layer).forward(layer, features)
    values = features.float()
    pixels = values.new_full((1,), values.numel() / values.shape[1])
    sums = _Sum.apply(torch.cat([values.sum(dim=(0, 2, 3)), pixels]))  # type: ignore[no-untyped-call]
    number = sums[-1].detach()
    mean = sums[:-1] / number
    centred = values - mean[:, None, None]
    variance = _Sum.apply(centred.square().sum(dim=(0, 2, 3))) / number  # type: ignore[no-untyped-call]
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.num_batches_tracked is not None
    assert layer.momentum is not None
    with torch.no_grad():
        layer.num_batches_tracked += 1
        layer.running_mean.lerp_(mean, layer.momentum)
        layer.running_var.lerp_(variance * number / (number - 1), layer.momentum)
    scale = layer.weight * (variance + layer.eps).rsqrt()
    return (centred * scale[:, None, None] + layer.bias[:, None, None]).to(features.dtype)
