"""Simulated chips: their statistics, and that a chip depends on its number and the seed only."""

from collections import Counter

import numpy as np
import pytest

from sarslim.chips import shipyard, simulator
from sarslim.chips.simulator import Simulator
from sarslim.config import SimulatorConfig


def make(seed=0, size=32, **values):
    return Simulator(SimulatorConfig(**values), size=size, seed=seed)


def stack(sim, chips):
    return np.stack(list(sim.load(chips)))


def test_classes_are_even_and_ships_shared():
    index = make(chips=240, classes=6, chips_per_ship=4).index()
    assert set(Counter(chip.label for chip in index.chips).values()) == {40}
    assert set(Counter(chip.ship for chip in index.chips).values()) == {4}
    labels = {}
    for chip in index.chips:
        labels.setdefault(chip.ship, set()).add(chip.label)
    assert all(len(found) == 1 for found in labels.values())


def test_a_chip_depends_on_seed_and_number_only():
    small, large = make(chips=40), make(chips=300)
    chips = large.index().chips
    first = stack(small, small.index().chips)
    assert first.shape == (40, 1, 32, 32)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_allclose(stack(large, chips[:40]), first, rtol=1e-5)
    np.testing.assert_allclose(stack(large, chips[7:30:5]), first[7:30:5], rtol=1e-5)
    other = make(seed=1, chips=40)
    assert not np.allclose(stack(other, other.index().chips), first)


@pytest.mark.parametrize("looks", [1, 4])
def test_calm_sea_has_speckle_of_so_many_looks(monkeypatch, looks):
    monkeypatch.setattr(simulator, "SEA_STATES", ((1e4, 40.0),))
    monkeypatch.setattr(simulator, "SHIP_TO_CLUTTER_DB", (-200.0, -199.0))
    monkeypatch.setattr(simulator, "GAIN_DB", 0.0)
    simulator._texture.cache_clear()
    sim = make(chips=200, looks=looks)
    intensity = (stack(sim, sim.index().chips) / simulator.GREY) ** 2
    simulator._texture.cache_clear()
    assert intensity.mean() == pytest.approx(1, abs=0.02)
    assert intensity.mean() ** 2 / intensity.var() == pytest.approx(looks, rel=0.08)


def test_rough_sea_is_spikier_than_speckle(monkeypatch):
    monkeypatch.setattr(simulator, "SHIP_TO_CLUTTER_DB", (-200.0, -199.0))
    monkeypatch.setattr(simulator, "GAIN_DB", 0.0)
    sim = make(chips=400, looks=1)
    intensity = stack(sim, sim.index().chips) ** 2
    # Compound model: var(I) / mean(I)^2 = 1 + 2 / shape for one look; the mean over the sea states.
    expected = 1 + 2 * np.mean([1 / shape for shape, _ in simulator.SEA_STATES])
    assert intensity.var() / intensity.mean() ** 2 == pytest.approx(expected, rel=0.12)


def test_ships_stand_out_of_the_sea_and_fit_into_the_chip():
    sim = make(chips=160, classes=8, size=64)
    power = stack(sim, sim.index().chips)[:, 0] ** 2
    inner, rim = power[:, 20:44, 20:44].mean(), power[:, :6].mean()
    assert inner > 3 * rim


@pytest.mark.parametrize("family", shipyard.FAMILIES, ids=lambda family: family.name)
def test_ships_keep_to_the_dimensions_of_their_class(family):
    for seed in range(20):
        ship = shipyard.build(family, np.random.default_rng(seed))
        used = ship.amplitude > 0
        length = np.ptp(ship.along_m[used])
        assert length < 1.2 * family.length_m[1]
        assert np.ptp(ship.across_m[used]) < 1.01 * family.length_m[1] / family.slenderness[0]
        assert used.sum() <= shipyard.HULL + shipyard.BRIDGE + shipyard.DECK
    assert family.rows[1] * family.abreast <= shipyard.DECK
