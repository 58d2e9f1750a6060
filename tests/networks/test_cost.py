import pytest
import torch
from torch import nn

from sarslim.networks import cost


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


def test_params_by_hand(small):
    assert cost.count_params(small) == 8 * 2 * 9 + (8 + 8) + (8 * 9 + 8) + (200 * 3 + 3)


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


def test_latency_is_ordered_and_restores_the_threads(small):
    torch.set_num_threads(1)
    latency = cost.measure_latency(small, (2, 10, 10), batch=4, threads=2, seconds=0.05, min_runs=7)
    assert torch.get_num_threads() == 1
    assert (latency.batch, latency.threads) == (4, 2)
    assert latency.runs >= 7
    assert 0 < latency.p05_ms <= latency.median_ms <= latency.p95_ms


def test_latency_keeps_to_its_runs_and_its_time():
    class Slow(nn.Module):
        def __init__(self):
            super().__init__()
            self.runs = [0]
            self.weight = nn.Parameter(torch.zeros(1))

        def __deepcopy__(self, memo):
            return self

        def forward(self, images):
            self.runs[0] += 1
            return images

    network = Slow()
    assert cost.measure_latency(network, (1, 2, 2), seconds=0, min_runs=11).runs == 11
    assert network.runs[0] == 11 + cost.WARM_UP_RUNS
