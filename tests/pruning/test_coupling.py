import copy
import random

import pytest
import torch
from torch import nn

from sarslim import networks
from sarslim.config import NETWORKS
from sarslim.networks.cost import count_macs, count_params, widths
from sarslim.pruning.coupling import Coupling

SHAPE = (1, 32, 32)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def build(name):
    torch.manual_seed(0)
    network = networks.build(name, classes=5, channels=1, stem="standard", mean=[40.0], std=[20.0]).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # fresh ones do nothing, and would hide a mistake
            for tensor, low, high in ((module.weight, 0.5, 1.5), (module.bias, -0.5, 0.5)):
                nn.init.uniform_(tensor, low, high)
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


def silence(network, removed):
    """Makes the channels that ``removed`` names zero wherever they come from, and so without any effect."""
    silent = copy.deepcopy(network)
    coupling = Coupling(silent, SHAPE, networks.output_layers(silent))
    with torch.no_grad():
        for unit, roots in zip(coupling.units, removed, strict=True):
            for item in unit.group:
                module = item.dep.target.module
                if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d) and "out" in item.dep.handler.__name__:
                    gone = [i for i, root in zip(item.idxs, item.root_idxs, strict=True) if root in set(roots)]
                    for tensor in (module.weight, module.bias, getattr(module, "running_mean", None)):
                        if tensor is not None:
                            tensor[gone] = 0
    return silent


@pytest.mark.parametrize("name", NETWORKS)
def test_taking_out_silent_channels_changes_nothing(name):
    """Right layers, right indices, right costs: the smaller network computes what the silenced one does."""
    network = build(name)
    coupling = Coupling(network, SHAPE, networks.output_layers(network))
    whole = [unit.channels for unit in coupling.units]
    assert coupling.costs(whole) == {"macs": count_macs(network, SHAPE), "params": count_params(network)}

    draw = random.Random(0)
    removed = [draw.sample(range(width), int(width * draw.choice((0.25, 0.5, 0.75)))) for width in whole]
    silent = silence(network, removed)
    predicted = coupling.costs([width - len(gone) for width, gone in zip(whole, removed, strict=True)])
    coupling.take_out(removed)
    assert predicted == {"macs": count_macs(network, SHAPE), "params": count_params(network)}

    images = torch.randint(0, 256, (2, *SHAPE)).float()
    with torch.no_grad():
        expected, found = silent(images), network(images)
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
    for unit, width, gone in zip(coupling.units, whole, removed, strict=True):
        for layer in unit.layers:
            assert widths(network)[layer] == unit.taken[layer, "out"] * (width - len(gone))


def test_residual_layers_go_together():
    network = build("resnet18")
    units = {unit.name: unit for unit in Coupling(network, SHAPE, ()).units}
    stem = next(unit for unit in units.values() if "backbone.conv1" in unit.layers)
    assert set(stem.layers) == {"backbone.conv1", "backbone.layer1.0.conv2", "backbone.layer1.1.conv2"}
    assert stem.taken["backbone.layer2.0.conv1", "in"] == 1


def test_spared_layers_have_no_unit():
    network = build("aconvnet")
    units = Coupling(network, SHAPE, ("backbone.4", "backbone.1")).units
    assert [unit.name for unit in units] == ["backbone.0.0", "backbone.2.0", "backbone.3.1"]


def test_shuffled_channels_stay():
    """Every block of ShuffleNet keeps its outputs, and only loses channels inside."""
    network = build("shufflenet_v2_x0_5")
    taken = {layer for unit in Coupling(network, SHAPE, networks.output_layers(network)).units for layer in unit.layers}
    assert "backbone.stage3.1.branch2.0" in taken
    assert "backbone.stage3.1.branch2.5" not in taken
    assert "backbone.stage3.0.branch1.0" not in taken


def test_joined_ghosts_go_together():
    """A channel of a Ghost module takes its ghost along, and both their places in whatever is added to them."""
    network = build("ghostnet")
    coupling = Coupling(network, SHAPE, networks.output_layers(network))
    unit_of = {layer: unit for unit in coupling.units for layer in unit.layers}
    block = "backbone.features.4"
    hidden, joined = unit_of[f"{block}.layers.0.cheap.0"], unit_of[f"{block}.layers.3.cheap.0"]
    assert (hidden.channels, joined.channels) == (36, 20)
    assert hidden.taken[f"{block}.layers.0.primary.0", "out"] == 1
    assert hidden.taken[f"{block}.layers.1.0", "out"] == 2
    assert hidden.taken[f"{block}.layers.2.fc1", "in"] == hidden.taken[f"{block}.layers.2.fc2", "out"] == 2
    assert joined.taken["backbone.features.5.layers.2.primary.0", "out"] == 1
    assert joined.taken[f"{block}.shortcut.1.0", "out"] == 2
