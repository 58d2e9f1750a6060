"""Intervals of a mean over seeds, and differences that are paired by seed."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

RESAMPLES = 10_000
FEWEST = 3  # below, an interval over seeds would say nothing

Key = TypeVar("Key", int, str)


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % percentile bootstrap interval of a mean (Efron 1979), None below 3 values.

    The same values give the same interval. With few of them it is too narrow.
    """
    if len(values) < FEWEST:
        return None
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(np.asarray(values)[drawn].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of a mean by Student's t (1908), None below 3 values; needs scipy."""
    if len(values) < FEWEST:
        return None
    # scipy comes with scikit-learn, where networks are compared; other stages import this room without it.
    from scipy.stats import t

    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / len(values) ** 0.5
    half = float(t.ppf(0.975, len(values) - 1)) * error
    return mean - half, mean + half


def paired(first: Mapping[Key, float], second: Mapping[Key, float]) -> list[float]:
    """``first`` minus ``second`` under every key that both have, in the order of the keys."""
    return [first[key] - second[key] for key in sorted(first.keys() & second.keys())]
