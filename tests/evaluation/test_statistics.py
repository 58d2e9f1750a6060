"""Intervals over seeds and paired differences, against published quantiles and laws."""

import sys

import numpy as np
import pytest

from sarslim.evaluation.statistics import bootstrap_interval, paired, t_interval


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
