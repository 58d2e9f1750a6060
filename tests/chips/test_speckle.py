"""Speckle: its statistics, its limits, its repeatability."""

import numpy as np
import pytest
import torch

from sarslim.chips.speckle import add_speckle
from sarslim.records import Scaling

LINEAR = Scaling(kind="linear", low=0.0, high=255.0)


@pytest.mark.parametrize("looks", [1.0, 4.0, 16.0])
def test_intensity_keeps_its_mean_and_gets_variance_one_over_looks(looks):
    images = torch.full((40, 1, 64, 64), 20.0)  # low enough that nothing is clipped
    ratio = (add_speckle(images, looks, (LINEAR,), np.random.default_rng(0)).double() / 20) ** 2
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    assert ratio.var() == pytest.approx(1 / looks, rel=0.03)


def test_amplitude_is_multiplied_behind_an_offset_scaling():
    scaling = Scaling(kind="percentile", low=10.0, high=61.0)  # 0.2 of amplitude per step
    images = torch.full((4, 1, 64, 64), 50.0)  # amplitude 20
    speckled = add_speckle(images, 4, (scaling,), np.random.default_rng(0))
    inside = (speckled > 0) & (speckled < 255)
    gain = np.sqrt(np.random.default_rng(0).standard_gamma(4, (4, 1, 64, 64), dtype=np.float32) / 4)
    expected = torch.from_numpy((20 * gain - 10) / 0.2)
    assert torch.allclose(speckled[inside], expected[inside], atol=1e-3)
    assert inside.float().mean() > 0.9


@pytest.mark.parametrize("kind", ["log", "chip_log"])
def test_log_scaling_gets_additive_speckle(kind):
    scaling = Scaling(kind=kind, low=0.0, high=8.0)
    images = torch.full((4, 1, 64, 64), 128.0)
    speckled = add_speckle(images, 4, (scaling,), np.random.default_rng(0))
    gain = np.sqrt(np.random.default_rng(0).standard_gamma(4, (4, 1, 64, 64), dtype=np.float32) / 4)
    assert torch.allclose(speckled - 128, torch.from_numpy(np.log(gain) * 255 / 8), atol=1e-2)


def test_values_stay_within_the_stored_range():
    log = Scaling(kind="log", low=-2.0, high=5.0, offset=0.1)
    images = torch.cat([torch.zeros(2, 2, 32, 32), torch.full((2, 2, 32, 32), 255.0)])
    speckled = add_speckle(images, 1, (LINEAR, log), np.random.default_rng(0))
    assert speckled.isfinite().all()
    assert speckled.min() >= 0
    assert speckled.max() == 255
    assert (speckled[:2, 0] == 0).all()  # multiplying nothing gives nothing


def test_channels_have_scalings_and_speckle_of_their_own():
    images = torch.full((1, 2, 32, 32), 30.0)
    speckled = add_speckle(images, 4, (LINEAR, LINEAR), np.random.default_rng(0))
    assert not torch.equal(speckled[:, 0], speckled[:, 1])


def test_same_generator_same_speckle():
    images = torch.rand(2, 1, 16, 16) * 255
    first, second, other = (add_speckle(images, 2, (LINEAR,), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
