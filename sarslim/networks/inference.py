"""Chips from a memory-mapped array through a network, in constant memory."""

import copy
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


Stored = NDArray[np.generic] | Tensor
"""Chips (N, C, H, W) in the type in which they are stored, in a file or on a device."""

RESIDENT = 0.25  # of a GPU's free memory, which chips may take before training or evaluation does


def resident(images: Stored, device: torch.device) -> Stored:
    """The chips on ``device``, if that is a GPU with room for them, else as they came."""
    if isinstance(images, Tensor) or device.type != "cuda":
        return images
    if images.nbytes > RESIDENT * torch.cuda.mem_get_info(device)[0]:
        return images
    return torch.from_numpy(np.array(images)).to(device)


def gather(images: Stored, index: NDArray[np.int64] | slice, device: torch.device) -> Tensor:
    """Some chips of a part, (N, C, H, W), in the type in which they are stored."""
    if isinstance(images, Tensor):
        return images[index if isinstance(index, slice) else upload(torch.from_numpy(index), device)]
    return upload(torch.from_numpy(np.array(images[index])), device)


def upload(values: Tensor, device: torch.device) -> Tensor:
    """``values`` on ``device``; a GPU fetches them when it comes to it, and nobody waits."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values


def folded(network: Network) -> Network:
    """A frozen copy in evaluation mode, each BatchNorm folded into the convolution that it alone follows.

    Outputs are the same but for rounding, and come a quarter sooner (ResNet-18 on a CPU). Names of modules stay, with
    an identity where a BatchNorm was. Parameters are left out of training for good.
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    layers = dict(copied.named_modules())
    for node in fx.symbolic_trace(copied).graph.nodes:
        before = node.args[0] if node.args else None
        if not isinstance(layers.get(str(node.target)), nn.BatchNorm2d) or not isinstance(before, fx.Node):
            continue
        convolution = layers.get(str(before.target))
        if isinstance(convolution, nn.Conv2d) and len(before.users) == 1:
            copied.set_submodule(str(before.target), fuse_conv_bn_eval(convolution, layers[str(node.target)]))
            copied.set_submodule(str(node.target), nn.Identity())
    return copied.requires_grad_(False)


def predict(
    network: nn.Module,
    images: Stored,
    batch_size: int = 256,
    alter: Callable[[Tensor], Tensor] | None = None,
) -> NDArray[np.float32]:
    """Logits (N, classes) of all chips, in evaluation mode; the network's training mode is restored.

    Args:
        images: (N, C, H, W) stored values 0..255, possibly memory-mapped or on the device.
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
