import pytest
import torch
from torch import nn

from sarslim.errors import InputError
from sarslim.pruning import importance
from sarslim.pruning.coupling import Coupling


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2),
    ).eval()  # fmt: skip


@pytest.fixture
def linear():
    """With all weights zero, both classes have the probability 1/2: the gradients are half the chip, or minus that."""
    layer = nn.Linear(1, 2, bias=False)
    nn.init.zeros_(layer.weight)
    return nn.Sequential(nn.Flatten(), layer)


BATCH = (torch.tensor([2.0, 4.0]).view(2, 1, 1, 1), torch.tensor([0, 1]))


def groups(network):
    return [unit.group for unit in Coupling(network, (1, 8, 8), ("7",)).units]


def test_gradients_by_hand(linear):
    importance.accumulate_gradients(linear, [BATCH, BATCH], "taylor")
    assert linear[1].weight.grad.flatten().tolist() == [2 * (-1 + 2), 2 * (1 - 2)]


def test_squared_gradients_by_hand(linear):
    importance.accumulate_gradients(linear, [BATCH, BATCH], "hessian")
    assert linear[1].weight.grad.flatten().tolist() == [(1 + 4) / 2, (1 + 4) / 2]


def test_l2_by_hand(network):
    """The mean over everything that holds a channel, divided by its mean over the channels."""
    first, norm, second = (network[index].weight for index in (0, 1, 3))
    squares = (first.square().sum((1, 2, 3)) + norm.square() + second.square().sum((0, 2, 3))) / 3
    found = importance.score(groups(network), "l2", seed=0)[0]
    assert torch.allclose(found, (squares / squares.mean()).detach())


def test_taylor_and_hessian_read_the_gradients(network):
    images, labels = torch.rand(6, 1, 8, 8), torch.tensor([0, 1, 0, 1, 0, 1])
    for criterion, power in (("taylor", 1), ("hessian", 2)):
        importance.accumulate_gradients(network, [(images, labels)], criterion)
        out, into = network[3], network[7]
        expected = torch.zeros(6)
        for weight, axes in ((out.weight, (1, 2, 3)), (into.weight, (0,))):
            expected = expected + (weight.abs().pow(power) * weight.grad.abs()).sum(axes)
        found = importance.score(groups(network), criterion, seed=0)[1]
        assert torch.allclose(found, (expected / expected.mean()).detach(), rtol=1e-4)


@pytest.mark.parametrize("criterion", importance.CRITERIA)
def test_every_criterion_scores_every_channel(network, criterion):
    if criterion in importance.NEED_GRADIENTS:
        importance.accumulate_gradients(network, [(torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 0, 1]))], criterion)
    scores = importance.score(groups(network), criterion, seed=0)
    assert [len(score) for score in scores] == [4, 6]
    assert all(score.isfinite().all() and not score.requires_grad for score in scores)


def test_random_follows_the_seed_and_leaves_the_others_alone(network):
    state = torch.get_rng_state()
    scores = [torch.cat(importance.score(groups(network), "random", seed)) for seed in (5, 5, 6)]
    assert torch.equal(scores[0], scores[1])
    assert not torch.equal(scores[0], scores[2])
    assert torch.equal(torch.get_rng_state(), state)


def test_layers_without_norm_are_scored_by_l2(network):
    by_norm, by_l2 = (importance.score(groups(network), criterion, seed=0) for criterion in ("bn_scale", "l2"))
    assert by_norm[0].tolist() == [1, 1, 1, 1]
    assert torch.equal(by_norm[1], by_l2[1])


def test_no_norm_at_all_is_refused():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(96, 2)).eval()
    found = [unit.group for unit in Coupling(network, (1, 8, 8), ("4",)).units]
    with pytest.raises(InputError, match=r"prune\.criterion: bn_scale says nothing about this network"):
        importance.score(found, "bn_scale", seed=0)


def test_dead_units_score_zero_not_nan(network):
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    assert torch.cat(importance.score(groups(network), "l2", seed=0)).tolist() == [0] * 10
