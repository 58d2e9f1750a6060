import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sarslim.config import NETWORKS
from sarslim.networks import build, cost


@pytest.fixture
def small():
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8),
        nn.Flatten(),
        nn.Linear(8 * 5 * 5, 3),
    )


def test_macs_by_hand(small):
    standard = 10 * 10 * 8 * 2 * 9
    depthwise = 5 * 5 * 8 * 9
    linear = 200 * 3
    assert cost.count_macs(small, (2, 10, 10)) == standard + depthwise + linear


@pytest.mark.parametrize("name", NETWORKS)
def test_macs_are_what_pytorch_counts(name):
    network = build(name, classes=3, channels=2, stem="standard", mean=(0, 0), std=(1, 1)).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 2, 64, 64))
    assert cost.count_macs(network, (2, 64, 64)) == counter.get_total_flops() // 2 > 1e6


def test_params_by_hand(small):
    assert cost.count_params(small) == 8 * 2 * 9 + (8 + 8) + (8 * 9 + 8) + (200 * 3 + 3)


def test_bfloat16_is_for_large_layers_on_cpus_that_have_instructions_for_it(small):
    able = any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))
    large = nn.Conv2d(64, 64, 3, padding=1)
    assert cost.count_macs(large, (64, 16, 16)) == 16 * 16 * 64 * 64 * 9 > 5_000_000
    assert cost.fast_in_bfloat16(large, (64, 16, 16)) is able
    assert not cost.fast_in_bfloat16(large, (64, 8, 8))
    assert not cost.fast_in_bfloat16(small, (2, 10, 10))


def test_counting_changes_nothing(small):
    small[1].eval()
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    cost.count_macs(small, (2, 10, 10))
    cost.peak_memory_bytes(small, (2, 10, 10))
    assert small.training
    assert not small[1].training
    assert all(torch.equal(tensor, before[name]) for name, tensor in small.state_dict().items())


def test_peak_memory_is_the_fullest_moment():
    """Two maps are alive while the ReLU writes its own, the last convolution needs less."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    assert cost.peak_memory_bytes(network, (1, 8, 8)) == 4 * (4 * 64 + 4 * 64)
    assert cost.peak_memory_bytes(network, (1, 8, 8), batch=3) == 3 * 2048


def test_peak_memory_counts_work_in_place_once():
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1))
    assert cost.peak_memory_bytes(network, (1, 8, 8)) == 4 * (4 * 64 + 2 * 64)
