"""Means over classes, intervals of a mean, and differences that are paired."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sarslim.records import PairedScores

RESAMPLES = 10_000
BLOCK = 4_000_000  # values drawn at one time
FEWEST = 3  # below, an interval over seeds would say nothing

Key = TypeVar("Key", int, str)


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % percentile bootstrap interval of a mean (Efron 1979), None below 3 values.

    The same values give the same interval. With few of them it is too narrow.
    """
    if len(values) < FEWEST:
        return None
    rng, given = np.random.default_rng(0), np.asarray(values)
    rows = max(1, BLOCK // len(given))
    blocks = (min(rows, RESAMPLES - done) for done in range(0, RESAMPLES, rows))
    means = [given[rng.integers(len(given), size=(block, len(given)))].mean(axis=1) for block in blocks]
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
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


def wilson(hits: float, chips: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share of ``chips`` (Wilson 1927); (0, 1) where there are none."""
    if chips == 0:
        return 0.0, 1.0
    share = hits / chips
    middle = (share + z * z / (2 * chips)) / (1 + z * z / chips)
    half = z * math.sqrt(share * (1 - share) / chips + z * z / (4 * chips * chips)) / (1 + z * z / chips)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def beats_guessing(accuracy: float, chips: Sequence[int]) -> tuple[bool, float, float]:
    """Whether an accuracy is clearly more than guessing gets, which learns nothing of the chips.

    Args:
        chips: how many there are of each class.

    Returns:
        The verdict; the lower end of the accuracy's 95 % interval (Wilson 1927); and what this has to exceed, the
        larger of the largest class's share and of 1 / classes.
    """
    total = sum(chips)
    low, _ = wilson(accuracy * total, total)
    bound = max(max(chips) / total, 1 / len(chips))
    return low > bound, low, bound


def paired(first: Mapping[Key, float], second: Mapping[Key, float]) -> list[float]:
    """``first`` minus ``second`` under every key that both have, in the order of the keys."""
    return [first[key] - second[key] for key in sorted(first.keys() & second.keys())]


def macro_f1(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Mean F1 of the classes that occur among ``labels`` (N,); what is taken for another one lowers theirs."""
    size = int(max(labels.max(), predicted.max())) + 1
    hits, chips = np.bincount(labels[labels == predicted], minlength=size), np.bincount(labels, minlength=size)
    either = chips + np.bincount(predicted, minlength=size)
    return float(np.mean(2 * hits[chips > 0] / either[chips > 0]))


def balanced_accuracy(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Mean recall of the classes that occur among ``labels`` (N,)."""
    chips = np.bincount(labels)
    hits = np.bincount(labels[labels == predicted], minlength=len(chips))
    return float(np.mean(hits[chips > 0] / chips[chips > 0]))


def balanced_interval(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> tuple[float, float]:
    """The 95 % bootstrap interval of :func:`balanced_accuracy`, chips drawn anew within every class."""
    chips = np.bincount(labels)
    hits = np.bincount(labels[labels == predicted], minlength=len(chips))[chips > 0]
    chips = chips[chips > 0]
    recalls = np.random.default_rng(0).binomial(chips, hits / chips, size=(RESAMPLES, len(chips))) / chips
    low, high = np.quantile(recalls.mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def pair(labels: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]) -> PairedScores:
    """Holds the answers of two against each other, chip by chip.

    Args:
        labels, first, second: (N,) true and chosen classes.
    """
    right = first == labels, second == labels
    only_first, only_second = int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0]))
    return PairedScores(
        chips=len(labels),
        accuracy=(float(right[0].mean()), float(right[1].mean())),
        balanced_accuracy=(balanced_accuracy(labels, first), balanced_accuracy(labels, second)),
        macro_f1=(macro_f1(labels, first), macro_f1(labels, second)),
        difference=(only_first - only_second) / len(labels),
        interval=_interval_of_counts(only_first, only_second, len(labels)),
        only_first=only_first,
        only_second=only_second,
    )


def _interval_of_counts(wins: int, losses: int, chips: int) -> tuple[float, float] | None:
    """As :func:`bootstrap_interval` of so many 1, -1 and else 0: how often each is drawn is a multinomial variate."""
    if chips < FEWEST:
        return None
    shares = (wins / chips, losses / chips, (chips - wins - losses) / chips)
    drawn = np.random.default_rng(0).multinomial(chips, shares, size=RESAMPLES)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / chips, (0.025, 0.975))
    return float(low), float(high)
