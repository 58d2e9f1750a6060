"""Views that can be made again: nothing but seed, chip and number decides about one."""

import numpy as np
import pytest
import torch

from sarslim.config import DistillConfig, ViewsConfig
from sarslim.records import Scaling
from sarslim.training.views import Draws, Views

LINEAR = (Scaling(kind="linear", low=0.0, high=255.0),)
CPU = torch.device("cpu")
LABELLED, UNLABELLED = 30, 50


def chips(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 20, 20), dtype=np.uint8)


def views(seed: int = 3, **changes) -> Views:
    config = ViewsConfig.of(DistillConfig(**changes))
    return Views(config, seed, labelled=chips(LABELLED, 0), unlabelled=chips(UNLABELLED, 1), scaling=LINEAR)


EVERY = np.repeat(np.arange(LABELLED + UNLABELLED), 3), np.tile(np.arange(3), LABELLED + UNLABELLED)


@pytest.mark.parametrize(
    "changes", [{}, {"mixup": 0.0}, {"quarter_turns": True}, {"rotate": 30.0, "speckle_looks": 2.0}]
)
def test_a_view_is_the_same_bit_for_bit_whatever_else_is_in_the_batch(changes):
    whole = views(**changes).make(*EVERY, CPU)
    again = views(**changes)
    for rows in (np.random.default_rng(0).permutation(240)[:37], np.array([239]), np.arange(240)[::-1].copy()):
        made = again.make(EVERY[0][rows], EVERY[1][rows], CPU)
        assert torch.equal(made.images, whole.images[rows])
        assert torch.equal(made.share, whole.share[rows])
        assert (made.partners == whole.partners[rows]).all()


def test_every_chip_number_and_seed_has_a_view_of_its_own():
    one = views().make(*EVERY, CPU).images
    assert len(torch.unique(one.flatten(1), dim=0)) == len(one)
    other = views(seed=4).make(*EVERY, CPU).images
    assert not (one == other).flatten(1).all(dim=1).any()


def test_a_view_is_a_blend_of_two_chips_of_one_part():
    made = views(shift=0, flip=False).make(*EVERY, CPU)
    stored = torch.from_numpy(np.concatenate([chips(LABELLED, 0), chips(UNLABELLED, 1)])).float()
    share = made.share[:, None, None, None]
    expected = share * stored[EVERY[0]] + (1 - share) * stored[made.partners]
    assert torch.allclose(made.images, expected, atol=1e-4)
    assert ((made.partners < LABELLED) == (EVERY[0] < LABELLED)).all()
    assert len(np.unique(made.partners)) > 60
    assert 0.4 < made.share.mean() < 0.6
    assert ((made.share < 0.1) | (made.share > 0.9)).float().mean() > 0.5  # Beta(0.2, 0.2)


def test_without_mixup_a_chip_is_its_own_partner():
    made = views(mixup=0.0).make(*EVERY, CPU)
    assert (made.partners == EVERY[0]).all()
    assert (made.share == 1).all()


def test_draws_are_spread_as_those_of_numpy():
    rows = np.arange(4000)
    draws = Draws(0, rows // 8, rows % 8)
    found = np.bincount(draws.integers(-2, 3, (4000, 1))[:, 0] + 2)
    assert found.min() > 700
    assert len(found) == 5
    angle = draws.uniform(-10, 10, 4000)
    assert abs(angle.mean()) < 0.5
    assert abs(angle.std() - 20 / 12**0.5) < 0.2
    gamma = draws.standard_gamma(4.0, (4000, 1, 2, 2), dtype=np.float32)
    assert gamma.dtype == np.float32
    assert abs(gamma.mean() - 4) < 0.1
    assert abs(gamma.var() - 4) < 0.3
    assert len(np.unique(gamma)) > 15900
    assert abs(np.corrcoef(angle, draws.random((4000, 1))[:, 0])[0, 1]) < 0.06
    assert (Draws(0, rows[:9], rows[:9]).random((9, 1)) != Draws(0, rows[:9], rows[:9], lane=1).random((9, 1))).all()
