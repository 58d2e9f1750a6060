"""What a network costs: multiply-accumulates, parameters and memory of one forward pass."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
# Of what an operator gave, from its arguments. PyTorch's own formulas load Triton.
MACS: dict[Any, Callable[..., int]] = {
    aten.convolution: lambda result, images, weight, *_: result.numel() * weight[0].numel(),
    aten.addmm: lambda result, bias, left, right: result.numel() * left.shape[1],
    aten.mm: lambda result, left, right: result.numel() * left.shape[1],
}
LARGE_LAYER = 5_000_000  # multiply-accumulates of one chip; below, changing the type costs more than it saves


def count_macs(network: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Multiply-accumulates of one chip, in convolutions and matrix products only.

    Args:
        network: any module on any device; its training mode is restored.
        input_shape: shape of one chip (C, H, W).
    """
    with inference(network) as device, _Operations() as counted:
        network(torch.zeros(1, *input_shape, device=device))
    return counted.macs


def count_params(network: nn.Module) -> int:
    """Number of parameters, trainable or not; buffers such as running statistics are not counted."""
    return sum(parameter.numel() for parameter in network.parameters())


def widths(network: nn.Module) -> dict[str, int]:
    """Output channels of every convolution and linear layer by name."""
    kinds = (nn.Conv2d, nn.Linear)
    return {name: module.weight.shape[0] for name, module in network.named_modules() if isinstance(module, kinds)}


def fast_in_bfloat16(network: nn.Module, input_shape: tuple[int, ...]) -> bool:
    """Whether the network's device runs it faster in bfloat16 than in float32.

    GPUs do. CPUs with instructions for it do where layers are large: on one core of a Xeon with AMX training took 0.54
    to 1.06 of the time from 7 M multiply-accumulates per layer and chip on, and 1.16 to 1.37 below 2 M.

    Args:
        input_shape: shape of one chip (C, H, W).
    """
    if next(network.parameters()).device.type == "cuda":
        return True
    instructions = ("avx512_bf16", "amx_bf16")
    if not any(torch.cpu.get_capabilities().get(name) for name in instructions):
        return False
    return count_macs(network, input_shape) >= LARGE_LAYER * len(widths(network))


def peak_memory_bytes(network: nn.Module, input_shape: tuple[int, ...], batch: int = 1) -> int:
    """Most bytes that the tensors made by one forward pass hold at one time.

    Counts what the pass allocates (activations and the output), each storage once; leaves out the input, the weights
    (see ``count_params`` and the file size) and scratch space inside an operator's kernel.

    Args:
        input_shape: shape of one chip (C, H, W).
        batch: chips per pass.
    """
    with inference(network) as device:
        images = torch.zeros(batch, *input_shape, device=device)
        with _LiveBytes([images, *network.parameters(), *network.buffers()]) as live:
            network(images)
    return live.peak


def kept_bytes(network: nn.Module, input_shape: tuple[int, ...]) -> float:
    """Bytes that a training step keeps of each chip, in FP32, from the forward pass until the backward pass needs them.

    Args:
        network: in whatever mode; statistics of BatchNorm are left as they are.
        input_shape: shape of one chip (C, H, W).
    """
    weights = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    seen: dict[int, int] = {}
    chips = 2  # BatchNorm asks for more than one
    alive = []  # so that no address is used twice

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
            alive.append(storage)
        return tensor

    with inference(network) as device, torch.enable_grad():
        images = torch.zeros(chips, *input_shape, device=device)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            network(images)
    return sum(seen.values()) / chips


class _Watch(TorchDispatchMode):
    """Sees every operator. Nothing here is compiled, so PyTorch need not load its compiler, 2 s, to except this."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class _Operations(_Watch):
    """Adds up multiply-accumulates."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if count := MACS.get(func.overloadpacket):
            self.macs += count(result, *args)
        return result


class _LiveBytes(_Watch):
    """Follows the storages that operators return, from their birth to their release."""

    def __init__(self, given: list[torch.Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        # The key of a storage is its address, which is free for another one only after the release was seen.
        self._known = {tensor.untyped_storage().data_ptr() for tensor in given}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._follow(leaf.untyped_storage())
        return result

    def _follow(self, storage: torch.UntypedStorage) -> None:
        address, size = storage.data_ptr(), storage.nbytes()
        if address in self._known:
            return
        self._known.add(address)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._release, address, size)

    def _release(self, address: int, size: int) -> None:
        self._known.discard(address)
        self.now -= size


@contextmanager
def inference(network: nn.Module) -> Iterator[torch.device]:
    """Evaluation mode without gradients; gives the device of the network and restores its training modes."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            yield next(network.parameters()).device
    finally:
        for module, training in modes.items():
            module.training = training
