"""The networks by name: built for SAR chips, tapped at their stages, rebuilt around pruned weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sarslim.errors import InputError
from sarslim.networks.architectures import AConvNet, GhostNet, MNASNet
from sarslim.networks.definitions import models
from sarslim.records import DatasetRecord, ModelRecord


class Normalise(nn.Module):
    """(images - mean) / std, channel by channel; images (N, C, H, W) of any number type, result floating point."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images.to(self.mean.dtype) - self.mean) / self.std


class Recogniser(nn.Module):
    """A network that takes raw chips (N, C, H, W) with values 0..255 and gives logits (N, classes)."""

    def __init__(self, name: str, stem: str, normalise: Normalise, backbone: nn.Module) -> None:
        super().__init__()
        self.name, self.stem = name, stem
        self.normalise = normalise
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone(self.normalise(images))


STAGES: dict[str, tuple[str, ...]] = {
    "resnet18": ("layer1", "layer2", "layer3", "layer4"),
    "resnet34": ("layer1", "layer2", "layer3", "layer4"),
    "resnet50": ("layer1", "layer2", "layer3", "layer4"),
    "vgg16_bn": ("features.6", "features.13", "features.23", "features.33", "features.43"),
    "mobilenet_v2": ("features.3", "features.6", "features.13", "features.18"),
    "mobilenet_v3_small": ("features.1", "features.3", "features.8", "features.12"),
    "mobilenet_v3_large": ("features.3", "features.6", "features.12", "features.16"),
    "shufflenet_v2_x0_5": ("stage2", "stage3", "stage4", "conv5"),
    "shufflenet_v2_x1_0": ("stage2", "stage3", "stage4", "conv5"),
    "mnasnet0_5": ("layers.8", "layers.9", "layers.11", "layers.16"),
    "ghostnet": ("features.3", "features.5", "features.11", "features.17"),
    "efficientnet_b0": ("features.2", "features.3", "features.5", "features.8"),
    "squeezenet1_1": ("features.4", "features.7", "features.10", "features.12"),
    "aconvnet": ("0", "1", "2", "3"),
}

OUTPUT_LAYERS: dict[str, str] = {
    "resnet18": "fc",
    "resnet34": "fc",
    "resnet50": "fc",
    "vgg16_bn": "classifier.6",
    "mobilenet_v2": "classifier.1",
    "mobilenet_v3_small": "classifier.3",
    "mobilenet_v3_large": "classifier.3",
    "shufflenet_v2_x0_5": "fc",
    "shufflenet_v2_x1_0": "fc",
    "mnasnet0_5": "classifier.1",
    "ghostnet": "classifier.5",
    "efficientnet_b0": "classifier.1",
    "squeezenet1_1": "classifier.1",
    "aconvnet": "4",
}

OWN: dict[str, Callable[[int, int], nn.Module]] = {"mnasnet0_5": MNASNet, "ghostnet": GhostNet, "aconvnet": AConvNet}

THREE_BY_THREE_STEM = ("resnet18", "resnet34", "resnet50")
NO_STRIDE_IN_STEM = ("vgg16_bn", "aconvnet")


class _Undrawn(TorchFunctionMode):
    """Leaves weights as they are where they would be drawn."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        is_initial = getattr(func, "__module__", "") == nn.init.__name__  # these hand all on by name
        return kwargs["tensor"] if is_initial else func(*args, **kwargs)


@contextmanager
def without_weights(device: str = "meta") -> Iterator[None]:
    """Networks that are built within have shapes but no weights; on a CPU these are whatever the memory holds.

    To draw them takes time, and on ``meta``, where it means nothing, PyTorch loads its compiler for it, 2 s.
    """
    with torch.device(device), _Undrawn():
        yield


def build(
    name: str, *, classes: int, channels: int, stem: str, mean: Sequence[float], std: Sequence[float]
) -> Recogniser:
    """A network with fresh weights, the same for the same ``torch.manual_seed``.

    Args:
        name: one of ``config.NETWORKS``.
        classes: number of logits.
        channels: channels of a chip.
        stem: ``standard``, or ``small`` to keep the resolution of small chips: ResNets get a 3 x 3 stem without
            stride and pooling (as for CIFAR, He et al. 2016), the others a first convolution without stride.
        mean, std: per channel, in units of the chip values 0..255.

    Raises:
        InputError: ``small`` for a network whose stem has no stride.
    """
    if name in OWN:
        backbone: nn.Module = OWN[name](classes, channels)
    else:
        backbone = models.get_model(name, weights=None, num_classes=classes)
        _replace(backbone, channels=channels)
    if stem == "small":
        if name in NO_STRIDE_IN_STEM:
            raise InputError(
                "teacher.stem", f"small has no meaning for {name}, whose first layer keeps the resolution anyway",
                "Set stem=standard",
            )  # fmt: skip
        if name in THREE_BY_THREE_STEM:
            _replace(backbone, kernel_size=3, stride=1, padding=1)
            backbone.maxpool = nn.Identity()
        else:
            _replace(backbone, stride=1)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            # torchvision's MobileNetV3 has 0.01 and its MNASNet 0.0003, too slow for the few thousand steps that a SAR
            # data set gives.
            module.momentum = 0.1
    return Recogniser(name, stem, Normalise(mean, std), backbone)


def build_for(record: DatasetRecord | ModelRecord, name: str, stem: str = "standard") -> Recogniser:
    """As :func:`build`, for the classes and channels of a data set or of another network."""
    return build(
        name, classes=len(record.classes), channels=len(record.channels), stem=stem, mean=record.mean, std=record.std
    )


def _replace(backbone: nn.Module, *, channels: int | None = None, **changes: int) -> None:
    """Puts a fresh convolution in the place of the first one, with some of its properties changed."""
    place, old = first_convolution(backbone)
    kept = {key: getattr(old, key) for key in ("kernel_size", "stride", "padding")} | changes
    fresh = nn.Conv2d(channels or old.in_channels, old.out_channels, bias=old.bias is not None, **kept)
    nn.init.kaiming_normal_(fresh.weight, mode="fan_out", nonlinearity="relu")
    if fresh.bias is not None:
        nn.init.zeros_(fresh.bias)
    backbone.set_submodule(place, fresh)


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d]:
    """The name and the module of the convolution that sees the chip."""
    return next((name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d))


def stages(network: Recogniser) -> tuple[str, ...]:
    """Names of the modules that end the network's stages, deepest last; each gives features (N, C, H, W)."""
    return tuple(f"backbone.{name}" for name in STAGES[network.name])


def output_layers(network: Recogniser) -> tuple[str, ...]:
    """Names of the layers that give the logits: pruning must leave them alone."""
    return (f"backbone.{OUTPUT_LAYERS[network.name]}",)


def forward_with_taps(network: Recogniser, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """One forward pass that also gives the features at the end of every stage.

    Returns:
        logits (N, classes), and features (N, C_s, H_s, W_s) for each of ``stages(network)``.
    """
    features: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda module, inputs, output: features.update({name: output})

    names = stages(network)
    with ExitStack() as hooks:
        for name in names:
            hooks.callback(network.get_submodule(name).register_forward_hook(keep(name)).remove)
        logits = network(images)
    return logits, tuple(features[name] for name in names)


def forget(network: nn.Module, seed: int) -> None:
    """Draws all weights anew, in place, as torch's layers do; the widths stay. The global random state stays, too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
                layer.reset_parameters()


def resize(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Gives every convolution, linear layer and BatchNorm the shapes found in ``weights``, with undefined values.

    Args:
        network: a freshly built network, changed in place.
        weights: a state dict of the same architecture, possibly pruned; must hold every parameter.
    """
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            shape = weights[f"{name}.weight"].shape
            if isinstance(module, nn.Conv2d):
                if module.groups > 1:  # depthwise: one group per channel
                    module.groups = shape[0]
                module.out_channels, module.in_channels = shape[0], shape[1] * module.groups
            else:
                module.out_features, module.in_features = shape
        elif isinstance(module, nn.BatchNorm2d):
            module.num_features = weights[f"{name}.weight"].shape[0]
        else:
            continue
        for key, old in module.named_parameters(recurse=False):
            setattr(module, key, nn.Parameter(old.new_empty(weights[f"{name}.{key}"].shape)))
        for key, old in module.named_buffers(recurse=False):
            setattr(module, key, old.new_empty(weights[f"{name}.{key}"].shape))
