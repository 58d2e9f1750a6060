"""Which channels of a network can only go together, what they cost, and how they are taken out."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn

from sarslim.networks.definitions import ShuffleBlock


@dataclass(frozen=True)
class Unit:
    """Channels that go together: channel i of every layer in ``layers`` (of some, several), and whatever reads it.

    Attributes:
        name: the layer that torch-pruning starts from.
        layers: names of the convolutions and linear layers that lose outputs.
        channels: how many there are.
        kind: equal for units with the same pattern of layers (isomorphic pruning, Fang et al., ECCV 2024).
        taken: (layer, "in" or "out") -> inputs or outputs that this layer loses with one channel.
        group: the group of torch-pruning with all channels, as its importance criteria want it.
    """

    name: str
    layers: tuple[str, ...]
    channels: int
    kind: tuple[tuple[str, str, bool], ...]
    taken: dict[tuple[str, str], int]
    group: Any


@dataclass(frozen=True)
class _Layer:
    """A convolution, linear layer or BatchNorm as numbers: what it takes to know its cost at other widths."""

    inputs: int
    outputs: int
    depthwise: bool
    kernel: int
    positions: int
    bias: bool

    def cost(self, lost_inputs: int, lost_outputs: int) -> tuple[int, int]:
        outputs = self.outputs - lost_outputs
        weights = outputs * (1 if self.depthwise else self.inputs - lost_inputs) * self.kernel
        return weights * self.positions, weights + outputs * self.bias


class Coupling:
    """The channels of a network as torch-pruning's dependency graph couples them (DepGraph, CVPR 2023).

    Good for one ``take_out``; then the network is another one, and needs another Coupling.

    Args:
        network: in evaluation mode; every parameter requires gradients.
        input_shape: shape of one chip (C, H, W).
        spared: names of layers, or of modules around them, that keep all their outputs.
    """

    def __init__(self, network: nn.Module, input_shape: tuple[int, ...], spared: Iterable[str]) -> None:
        self._names = {module: name for name, module in network.named_modules()}
        images = torch.zeros(1, *input_shape, device=next(network.parameters()).device)
        self._layers = self._measure(network, images)
        ignored = [module for name in spared for module in network.get_submodule(name).modules()]
        with torch.enable_grad():
            self._graph = tp.DependencyGraph().build_dependency(
                network, images, forward_fn=lambda model, x: _forward_in_pieces(model, x, ignored)
            )
        # A group begins at the first of its layers: at the narrowest, of which one channel goes with two in the
        # joined layers of GhostNet; not at a depthwise one, which the criteria of torch-pruning pass over.
        nodes = self._graph.module2node
        order_of_roots = sorted(nodes, key=lambda node: (getattr(node, "out_channels", 0), getattr(node, "groups", 1)))
        self._graph.module2node = {layer: nodes[layer] for layer in order_of_roots}
        groups = self._graph.get_all_groups(ignored_layers=ignored)
        order = {name: position for position, name in enumerate(self._names.values())}
        self.units = sorted((self._unit(group) for group in groups), key=lambda unit: order[unit.name])

    def costs(self, widths: Sequence[int]) -> dict[str, float]:
        """``macs`` (as ``cost.count_macs``) and ``params`` with so many channels left in each unit."""
        lost: dict[tuple[str, str], int] = {}
        for unit, width in zip(self.units, widths, strict=True):
            for key, count in unit.taken.items():
                lost[key] = lost.get(key, 0) + count * (unit.channels - width)
        costs = [
            layer.cost(lost.get((name, "in"), 0), lost.get((name, "out"), 0)) for name, layer in self._layers.items()
        ]
        return {"macs": sum(macs for macs, _ in costs), "params": sum(params for _, params in costs)}

    def take_out(self, removed: Sequence[Sequence[int]]) -> None:
        """Takes the channels with these indices out of each unit, changing the network in place."""
        for unit, indices in zip(self.units, removed, strict=True):
            if indices:
                unit.group.prune(idxs=sorted(indices), record_history=False)

    def _unit(self, group: Any) -> Unit:
        root = group[0].dep.target.module
        channels = len(group[0].idxs)
        layers: list[str] = []
        taken: dict[tuple[str, str], int] = {}
        kind = []
        for dep, indices in group:
            outgoing = self._graph.is_out_channel_pruning_fn(dep.handler)
            kind.append((type(dep.source.module).__name__, type(dep.target.module).__name__, outgoing))
            name = self._names.get(dep.target.module)
            if name not in self._layers:
                continue
            key = (name, "out" if outgoing else "in")
            taken[key] = taken.get(key, 0) + len(indices) // channels
            if outgoing and not isinstance(dep.target.module, nn.BatchNorm2d):
                layers.append(name)
        return Unit(self._names[root], tuple(layers), channels, tuple(kind), taken, group)

    def _measure(self, network: nn.Module, images: Tensor) -> dict[str, _Layer]:
        """Every layer with weights, by name, from one forward pass."""
        layers: dict[str, _Layer] = {}

        def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            name = self._names[module]
            if isinstance(module, nn.Conv2d):
                depthwise = module.groups > 1
                size, kernel = output[0, 0].numel(), math.prod(module.kernel_size)
                shape = (module.in_channels, module.out_channels)
                layers[name] = _Layer(*shape, depthwise, kernel, size, module.bias is not None)
            elif isinstance(module, nn.Linear):
                shape = (module.in_features, module.out_features)
                layers[name] = _Layer(*shape, False, 1, 1, module.bias is not None)
            elif isinstance(module, nn.BatchNorm2d):
                layers[name] = _Layer(0, module.num_features, True, 1, 0, module.affine)

        with ExitStack() as hooks, torch.no_grad():
            for module in network.modules():
                hooks.callback(module.register_forward_hook(look).remove)
            network(images)
        return layers


def _forward_in_pieces(network: nn.Module, images: Tensor, ignored: list[nn.Module]) -> list[Tensor]:
    """A forward pass that torch-pruning can follow: cut where it would lose track of the channels.

    ShuffleNet halves, joins and shuffles channels, which a dependency graph does not see through. So every branch of a
    block is a piece of its own, with its last convolution added to ``ignored``: blocks are pruned inside only.
    """
    ends: list[Tensor] = []

    def cut(branch: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        convolutions = [module for module in branch.modules() if isinstance(module, nn.Conv2d)]
        if not convolutions:
            return output
        ignored.append(convolutions[-1])
        if convolutions[0].groups > 1 and not inputs[0].requires_grad:  # it would have to lose inputs, which stay
            ignored.append(convolutions[0])
        ends.append(output)
        return output.detach()

    with ExitStack() as hooks:
        for branch in _shuffle_branches(network):
            hooks.callback(branch.register_forward_hook(cut).remove)
        return [network(images), *ends]


def _shuffle_branches(network: nn.Module) -> Iterator[nn.Module]:
    for module in network.modules():
        if isinstance(module, ShuffleBlock):
            yield from (module.branch1, module.branch2)
