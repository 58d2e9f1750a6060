"""What the costs of a network depend on: told in few numbers, and enough to build it anew."""

import torch
from torch import Tensor, nn

from sarslim.networks.recogniser import Recogniser, build, forget, resize
from sarslim.records import ModelRecord, Shape


def shape_of(network: Recogniser, record: ModelRecord) -> Shape:
    """The shape of the network in a model artifact."""
    sizes: list[int] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            sizes += module.weight.shape[:2]
        elif isinstance(module, nn.BatchNorm2d):
            sizes.append(module.num_features)
    return Shape(
        network=record.network,
        stem=record.stem,
        classes=len(record.classes),
        channels=len(record.channels),
        image_size=record.image_size,
        sizes=tuple(sizes),
    )


def untrained(shape: Shape) -> Recogniser:
    """A network of this shape with random weights, in evaluation mode; it costs what any other of its shape costs."""
    network = build(
        shape.network,
        classes=shape.classes,
        channels=shape.channels,
        stem=shape.stem,
        mean=[0.0] * shape.channels,
        std=[1.0] * shape.channels,
    )
    sizes = iter(shape.sizes)
    weights: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            out, inputs = next(sizes), next(sizes)
            weights[f"{name}.weight"] = torch.empty(out, inputs, *module.weight.shape[2:], device="meta")
            if module.bias is not None:
                weights[f"{name}.bias"] = torch.empty(out, device="meta")
        elif isinstance(module, nn.BatchNorm2d):
            width = next(sizes)
            for key, tensor in module.state_dict().items():
                weights[f"{name}.{key}"] = torch.empty([width] * tensor.ndim, device="meta")
    resize(network, weights)
    forget(network, seed=0)
    return network.eval()
