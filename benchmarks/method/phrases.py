"""Shares, paired differences and tables as the page of results words them."""

from collections.abc import Iterable, Sequence

import numpy as np

from sarslim.evaluation.statistics import bootstrap_interval, t_interval
from sarslim.report import units


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, and an empty line."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def difference(pairs: Sequence[float]) -> str:
    """The mean of paired differences with its intervals, in points."""
    if not pairs:
        return ""
    texts = [_span(*bounds) for bounds in (bootstrap_interval(pairs), t_interval(pairs)) if bounds]
    return units.points(float(np.mean(pairs))) + (f" ({texts[0]}) [{texts[1]}]" if texts else "")


def brief(pairs: Sequence[float]) -> str:
    """As ``difference``, without the unit and with Student's interval alone."""
    if not pairs:
        return ""
    bounds = t_interval(pairs)
    return units.points(float(np.mean(pairs))).removesuffix(" points") + (f" [{_span(*bounds)}]" if bounds else "")


def _span(low: float, high: float) -> str:
    """An interval, in points."""
    return f"{100 * low:+.1f} to {100 * high:+.1f}".replace("-", "−")


def mean_of(values: Iterable[float]) -> str:
    """A mean of shares, as per cent."""
    return units.percent(float(np.mean(list(values))))


def listed(numbers: Iterable[float]) -> str:
    """Numbers in a row, as short as they go."""
    return ", ".join(f"{number:g}" for number in numbers)
