import math

import pytest
import torch
from torch import nn

from sarslim.pruning import Coupling, group_lasso


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def network():
    """Two channels of 2 x 2 kernels that a linear layer reads at 2 x 2 positions each."""
    return nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).eval()


def penalty(of):
    return group_lasso(Coupling(of, (1, 3, 3), ("4",)).units)


def fill(of, *, kernels, scales, readers):
    """Sets the weights of each channel to one value per layer; biases are large, and count for nothing."""
    with torch.no_grad():
        of[0].weight[:] = torch.tensor(kernels)[:, None, None, None]
        of[1].weight[:] = torch.tensor(scales)
        of[4].weight[:] = torch.tensor(readers).repeat_interleave(4)
        for layer in (of[0], of[1], of[4]):
            layer.bias.fill_(100.0)
    return of


def test_group_lasso_by_hand():
    found = penalty(fill(network(), kernels=[1.0, 0.0], scales=[2.0, 3.0], readers=[0.5, -1.0]))
    size = 4 + 1 + 3 * 4
    first, second = 4 * 1**2 + 2**2 + 12 * 0.5**2, 3**2 + 12 * 1**2
    assert found.item() == pytest.approx(math.sqrt(size) * (math.sqrt(first) + math.sqrt(second)))


def test_the_pull_on_a_usual_weight_is_one():
    own = fill(network(), kernels=[0.3, 0.01], scales=[0.3, 0.01], readers=[0.3, 0.01])
    penalty(own).backward()
    for weight in (own[0].weight, own[1].weight, own[4].weight):
        assert torch.allclose(weight.grad, torch.ones_like(weight))
    assert all(layer.bias.grad is None for layer in (own[0], own[1], own[4]))


def test_a_channel_at_zero_stays_there():
    own = fill(network(), kernels=[1.0, 0.0], scales=[1.0, 0.0], readers=[1.0, 0.0])
    penalty(own).backward()
    assert torch.equal(own[0].weight.grad[1], torch.zeros(1, 2, 2))
    assert torch.equal(own[4].weight.grad[:, 4:], torch.zeros(3, 4))


def test_layers_of_a_residual_sum_share_their_channels():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 3, 1, bias=False), nn.Conv2d(3, 3, 1, bias=False)
            self.last = nn.Linear(3, 2, bias=False)

        def forward(self, images):
            shortcut = self.first(images)
            return self.last((shortcut + self.second(shortcut)).mean(dim=(2, 3)))

    own = Residual().eval()
    units = Coupling(own, (1, 3, 3), ("last",)).units
    assert [unit.channels for unit in units] == [3]
    # Of channel c: one weight of first, a row and a column of second, a column of last.
    rows, columns = own.second.weight.squeeze().square().sum(1), own.second.weight.squeeze().square().sum(0)
    squares = own.first.weight.flatten().square() + rows + columns + own.last.weight.square().sum(0)
    assert group_lasso(units).item() == pytest.approx((math.sqrt(1 + 3 + 3 + 2) * squares.sqrt()).sum().item())
