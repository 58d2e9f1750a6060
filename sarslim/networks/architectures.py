"""The architectures that torchvision lacks, or has in a form that does not serve here."""

import math
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sarslim.networks.definitions import Conv2dNormActivation, SqueezeExcitation, models

Activation = Callable[..., nn.Module] | None


class AConvNet(nn.Sequential):
    """A-ConvNet (Chen et al., IEEE TGRS 54(8), 2016) for chips of any size from 32 x 32.

    Five convolutions and no linear layer. Unlike the original it pads, so that small chips survive; has
    BatchNorm, so that it trains without care and prunes; and ends in a global average instead of a 3 x 3 map.
    """

    def __init__(self, classes: int, channels: int) -> None:
        def block(inputs: int, outputs: int, kernel: int, pool: bool = True) -> nn.Sequential:
            layers: list[nn.Module] = [
                nn.Conv2d(inputs, outputs, kernel, padding=(kernel - 1) // 2, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
            return nn.Sequential(*layers, nn.MaxPool2d(2)) if pool else nn.Sequential(*layers)

        super().__init__(
            block(channels, 16, 5),
            block(16, 32, 5),
            block(32, 64, 6),
            nn.Sequential(nn.Dropout(0.5), *block(64, 128, 5, pool=False)),
            nn.Conv2d(128, classes, 3, padding=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )


# Kernel, hidden and output channels, squeeze-and-excitation, stride of every bottleneck: Table 1 of the GhostNet paper.
GHOST_BOTTLENECKS = (
    (3, 16, 16, False, 1),
    (3, 48, 24, False, 2), (3, 72, 24, False, 1),
    (5, 72, 40, True, 2), (5, 120, 40, True, 1),
    (3, 240, 80, False, 2), (3, 200, 80, False, 1), (3, 184, 80, False, 1), (3, 184, 80, False, 1),
    (3, 480, 112, True, 1), (3, 672, 112, True, 1),
    (5, 672, 160, True, 2), (5, 960, 160, False, 1), (5, 960, 160, True, 1), (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
)  # fmt: skip


class GhostNet(nn.Sequential):
    """GhostNet 1.0x (Han et al., CVPR 2020): half of the features are cheap ghosts of the other half."""

    def __init__(self, classes: int, channels: int) -> None:
        features: list[nn.Module] = [Conv2dNormActivation(channels, 16, 3, stride=2)]
        inputs = 16
        for kernel, hidden, outputs, squeeze, stride in GHOST_BOTTLENECKS:
            features.append(GhostBottleneck(inputs, hidden, outputs, kernel, stride, squeeze))
            inputs = outputs
        features.append(Conv2dNormActivation(inputs, 960, 1))
        classifier = (
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(960, 1280, 1),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(1280, classes),
        )
        super().__init__(OrderedDict(features=nn.Sequential(*features), classifier=nn.Sequential(*classifier)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # as torchvision starts the networks it is compared with
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class GhostBottleneck(nn.Module):
    """Widens by one Ghost module, narrows by another, and adds a shortcut; (N, inputs, H, W), in the end / stride."""

    def __init__(self, inputs: int, hidden: int, outputs: int, kernel: int, stride: int, squeeze: bool) -> None:
        def depthwise(width: int) -> nn.Module:
            return Conv2dNormActivation(width, width, kernel, stride, groups=width, activation_layer=None)

        super().__init__()
        layers: list[nn.Module] = [Ghost(inputs, hidden, nn.ReLU)]
        if stride > 1:
            layers.append(depthwise(hidden))
        if squeeze:
            squeezed = 4 * math.ceil(hidden / 16)
            layers.append(SqueezeExcitation(hidden, squeezed, scale_activation=nn.Hardsigmoid))
        self.layers = nn.Sequential(*layers, Ghost(hidden, outputs, None))
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            pointwise = Conv2dNormActivation(inputs, outputs, 1, activation_layer=None)
            self.shortcut = nn.Sequential(depthwise(inputs), pointwise)

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features) + self.shortcut(features)


class Ghost(nn.Module):
    """A 1 x 1 convolution gives half of the outputs, a 3 x 3 depthwise one makes the other half from those."""

    def __init__(self, inputs: int, outputs: int, activation: Activation) -> None:
        super().__init__()
        half = outputs // 2
        self.primary = Conv2dNormActivation(inputs, half, 1, activation_layer=activation)
        self.cheap = Conv2dNormActivation(half, half, 3, groups=half, activation_layer=activation)

    def forward(self, features: Tensor) -> Tensor:
        primary = self.primary(features)
        return torch.cat((primary, self.cheap(primary)), dim=1)


class MNASNet(models.MNASNet):
    """MNASNet-B1 0.5x of torchvision (Tan et al., CVPR 2019), which also loads weights that bear no version.

    torchvision's refuses them, and safetensors keeps none.
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__(0.5, num_classes=classes)
        self.layers[0] = nn.Conv2d(channels, 16, 3, stride=2, padding=1, bias=False)
        nn.init.kaiming_normal_(self.layers[0].weight, mode="fan_out", nonlinearity="relu")

    _load_from_state_dict = nn.Module._load_from_state_dict
