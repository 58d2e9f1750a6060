"""Intervals over seeds and paired differences, against published quantiles and laws."""

import sys

import numpy as np
import pytest

from sarslim.evaluation.statistics import (
    balanced_accuracy,
    balanced_interval,
    bootstrap_interval,
    macro_f1,
    pair,
    paired,
    t_interval,
)


def test_the_t_interval_is_that_of_the_tables():
    # Quantile 0.975 of Student's t: 4.3027 with 2 degrees of freedom, 2.7764 with 4.
    assert t_interval([1, 2, 3]) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-4)
    half = 2.7764 * 2.5**0.5 / 5**0.5
    assert t_interval([1, 2, 3, 4, 5]) == pytest.approx((3 - half, 3 + half), abs=1e-4)


def test_the_bootstrap_interval_of_three_values_follows_from_its_27_resamples():
    # The outermost resamples, all least and all most, have a chance of 1/27 each, which is more than 2.5 %.
    assert bootstrap_interval([0.0, 1.0, 5.0]) == (0.0, 5.0)


def test_the_bootstrap_interval_of_many_values_is_that_of_the_normal_law():
    values = np.random.default_rng(1).normal(0.3, 2.0, 900)
    error = 1.96 * values.std() / 900**0.5
    assert bootstrap_interval(values.tolist()) == pytest.approx(
        (values.mean() - error, values.mean() + error), abs=0.01
    )


def test_the_bootstrap_interval_is_the_same_every_time():
    values = [0.1, 0.4, 0.2, 0.9]
    assert bootstrap_interval(values) == bootstrap_interval(values)


@pytest.mark.parametrize("interval", [bootstrap_interval, t_interval])
def test_equal_values_leave_no_doubt_and_two_values_no_interval(interval):
    assert interval([0.5, 0.5, 0.5]) == (0.5, 0.5)
    assert interval([0.1, 0.2]) is None
    assert interval([]) is None


def test_two_values_need_no_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    assert t_interval([0.1, 0.2]) is None


def test_pairs_are_the_keys_of_both_in_order():
    assert paired({2: 5.0, 0: 3.0, 7: 1.0}, {0: 1.0, 2: 1.0, 9: 1.0}) == [2.0, 4.0]
    assert paired({"a": 1.0}, {}) == []


LABELS = np.repeat([0, 1, 3], [6, 3, 1])
FIRST = np.array([0, 0, 0, 0, 0, 2, 1, 1, 0, 3])
SECOND = np.array([0, 0, 0, 1, 2, 2, 1, 1, 1, 0])


def test_means_over_classes_are_over_those_that_the_chips_are_of():
    # Class 2 has no chip: nothing is counted for it, but what is taken for it lowers the recall of class 0.
    assert balanced_accuracy(LABELS, FIRST) == pytest.approx((5 / 6 + 2 / 3 + 1) / 3)
    assert macro_f1(LABELS, FIRST) == pytest.approx((10 / 12 + 4 / 5 + 1) / 3)
    assert macro_f1(LABELS, SECOND) == pytest.approx((6 / 10 + 6 / 7 + 0) / 3)


def test_two_are_held_against_each_other_chip_by_chip():
    found = pair(LABELS, FIRST, SECOND)
    assert (found.chips, found.only_first, found.only_second) == (10, 3, 1)
    assert found.accuracy == (0.8, 0.6)
    assert found.difference == pytest.approx(0.2)
    assert found.balanced_accuracy[1] == pytest.approx((3 / 6 + 1 + 0) / 3)
    assert found.macro_f1[0] == macro_f1(LABELS, FIRST)
    assert found.interval[0] < 0 < found.interval[1]
    assert not found.clearly_better
    assert pair(LABELS[:2], FIRST[:2], SECOND[:2]).interval is None
    many = pair(np.tile(LABELS, 40), np.tile(FIRST, 40), np.tile(SECOND, 40))
    values = [1.0] * 120 + [-1.0] * 40 + [0.0] * 240
    assert many.interval == pytest.approx(bootstrap_interval(values), abs=0.006)
    assert many.clearly_better
    assert not pair(np.tile(LABELS, 40), np.tile(SECOND, 40), np.tile(FIRST, 40)).clearly_better


def test_the_interval_of_balanced_accuracy_is_that_of_independent_classes():
    labels = np.repeat([0, 2], [900, 100])
    predicted = labels.copy()
    predicted[:450] = 1
    predicted[900:920] = 0
    error = 1.96 * np.sqrt(0.5 * 0.5 / 900 + 0.8 * 0.2 / 100) / 2
    assert balanced_accuracy(labels, predicted) == pytest.approx(0.65)
    assert balanced_interval(labels, predicted) == pytest.approx((0.65 - error, 0.65 + error), abs=0.003)
