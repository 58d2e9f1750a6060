import subprocess
import sys

import pytest
import torch
from torch import nn

from sarslim import networks
from sarslim.config import NETWORKS
from sarslim.errors import InputError
from sarslim.networks.cost import count_macs, count_params, widths
from sarslim.networks.inference import folded

# Parameters of the torchvision networks as published for 1000 classes and 3 channels.
PUBLISHED = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "vgg16_bn": 138_365_992,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_small": 2_542_856,
    "mobilenet_v3_large": 5_483_032,
    "shufflenet_v2_x0_5": 1_366_792,
    "shufflenet_v2_x1_0": 2_278_604,
    "mnasnet0_5": 2_218_512,
    "efficientnet_b0": 5_288_548,
    "squeezenet1_1": 1_235_496,
}
NO_SMALL_STEM = ("vgg16_bn", "aconvnet")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def build(name, classes=3, channels=1, stem="standard"):
    return networks.build(
        name, classes=classes, channels=channels, stem=stem, mean=[40.0] * channels, std=[20.0] * channels
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_as_published(name):
    with torch.device("meta"):
        assert count_params(build(name, classes=1000, channels=3)) == PUBLISHED[name]


def test_ghostnet_costs_as_published():
    """5.2 M parameters and 141 M MACs in the paper; the authors' code has 5.18 M."""
    network = build("ghostnet", classes=1000, channels=3)
    assert count_params(network) == pytest.approx(5.18e6, abs=0.05e6)
    assert count_macs(network, (3, 224, 224)) == pytest.approx(141e6, rel=0.02)


def test_aconvnet_parameters_by_hand():
    weights = 25 * 1 * 16 + 25 * 16 * 32 + 36 * 32 * 64 + 25 * 64 * 128
    norms = 2 * (16 + 32 + 64 + 128)
    assert count_params(build("aconvnet", classes=10)) == weights + norms + (9 * 128 * 10 + 10)


@pytest.mark.parametrize("name", NETWORKS)
def test_smallest_chips_and_taps(name):
    network = build(name, channels=2).eval()
    chips = torch.randint(0, 256, (2, 2, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        logits, features = networks.forward_with_taps(network, chips)
        assert torch.equal(logits, network(chips))
    assert logits.shape == (2, 3)
    assert 3 <= len(features) == len(networks.stages(network)) <= 5
    sizes = [feature.shape[-1] for feature in features]
    assert all(feature.ndim == 4 for feature in features)
    assert sizes == sorted(sizes, reverse=True)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("name", NETWORKS)
def test_small_stem_keeps_the_resolution(name):
    if name in NO_SMALL_STEM:
        with pytest.raises(InputError, match=f"teacher.stem: small has no meaning for {name}"):
            build(name, stem="small")
        return
    images = torch.zeros(1, 1, 32, 32)
    sizes = []
    for stem in ("standard", "small"):
        network = build(name, stem=stem).eval()
        _, first = networks.first_convolution(network)
        with torch.no_grad():
            sizes.append(networks.forward_with_taps(network, images)[1][0].shape[-1])
        assert first.in_channels == 1
    assert first.stride == (1, 1)
    factor = 4 if name.startswith("resnet") else 2
    assert sizes[1] == pytest.approx(factor * sizes[0], abs=1)


@pytest.mark.parametrize("name", NETWORKS)
def test_output_layer_gives_one_channel_per_class(name):
    with torch.device("meta"):
        network = build(name, classes=7)
    assert [layer for layer, width in widths(network).items() if width == 7] == list(networks.output_layers(network))


def test_chips_are_normalised_inside():
    normalise = networks.Normalise([10.0, 100.0], [5.0, 50.0])
    chips = torch.tensor([20, 200], dtype=torch.uint8).view(1, 2, 1, 1)
    assert normalise(chips).flatten().tolist() == [2.0, 2.0]
    assert normalise(chips.half()).dtype == torch.float32


def test_weights_follow_the_seed():
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        states.append(build("mobilenet_v2").state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["backbone.features.0.0.weight"], states[2]["backbone.features.0.0.weight"])


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "mnasnet0_5", "ghostnet"])
def test_norms_follow_short_training(name):
    norms = [module for module in build(name).modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}


def test_resize_takes_the_shapes_of_the_weights():
    def make(width):
        return nn.Sequential(
            nn.Conv2d(1, width, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, width, 3, groups=width),
            nn.Flatten(),
            nn.Linear(width, 2),
        )

    small, network = make(3).eval(), make(16).eval()
    networks.resize(network, small.state_dict())
    network.load_state_dict(small.state_dict())
    images = torch.rand(2, 1, 5, 5)
    assert torch.equal(network(images), small(images))
    assert widths(network) == {"0": 3, "2": 3, "4": 2}
    assert (network[2].groups, network[2].in_channels, network[1].num_features, network[4].in_features) == (3, 3, 3, 3)


@pytest.mark.parametrize("name", NETWORKS)
def test_folding_leaves_the_outputs_and_takes_every_batch_norm_that_follows_a_convolution(name):
    torch.manual_seed(0)
    network = networks.build(name, classes=4, channels=1, stem="standard", mean=(50.0,), std=(20.0,))
    images = torch.rand(8, 1, 64, 64) * 255
    with torch.no_grad():
        network(images)  # statistics other than those of a fresh network
    network.eval()
    found = folded(network)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in found.modules())
    assert not any(weights.requires_grad for weights in found.parameters())
    assert all(weights.requires_grad for weights in network.parameters())
    (logits, taps), (own, own_taps) = (networks.forward_with_taps(each, images) for each in (found, network))
    for left, right in zip((logits, *taps), (own, *own_taps), strict=True):
        assert (left - right).abs().max() < 1e-3 * right.abs().max()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_networks_without_weights_have_the_shapes_of_those_with(name, device):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with networks.without_weights(device):
        bare = build(name)
    assert torch.equal(torch.get_rng_state(), before)  # nothing was drawn
    assert {tensor.device.type for tensor in bare.parameters()} == {device}
    shapes = {key: (tensor.shape, tensor.dtype) for key, tensor in build(name).state_dict().items()}
    assert {key: (tensor.shape, tensor.dtype) for key, tensor in bare.state_dict().items()} == shapes


def test_torchvision_does_without_the_compiler_which_is_the_real_one_for_whoever_wants_it():
    code = (
        "import sys, sarslim.networks, torchvision\n"
        "assert 'torch._dynamo' not in sys.modules\n"
        "import torch\n"
        "from torch._dynamo.utils import is_compile_supported\n"
        "assert is_compile_supported.__module__ == 'torch._dynamo.utils' and torch._dynamo.config.recompile_limit > 0\n"
        "assert torchvision.ops.nms(torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, 1]]), torch.ones(2), 0.5).tolist() == [0]\n"
        "print(torch.compile(lambda x: x + 1, backend='eager')(torch.ones(1)).item())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "2.0\n"), done.stderr
