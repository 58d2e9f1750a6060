"""Pareto figures of the grid: accuracy over costs, for each data set and share of the labels."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.method import costs, plan
from benchmarks.method.runs import Runs
from sarslim.config.recoveries import TWIN
from sarslim.evaluation.statistics import t_interval
from sarslim.report import drawing, pareto

FAR = 0.15  # below the best: too far to be drawn with the others


def write(found: Sequence[Runs], measured: Mapping[str, Any], source: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """Draws what was measured, beside ``source``: gives what a figure shows, its file, and what is too far off."""
    networks = costs.by_network(measured)
    for data, fraction in sorted({(runs.cell.data, runs.cell.fraction) for runs in found}):
        members = [runs for runs in _drawn(found, data, fraction) if costs.key(runs.cell) in networks]
        points = [_point(runs, networks[costs.key(runs.cell)]) for runs in members]
        least = max((point.accuracy for point in points), default=0.0) - FAR
        near = [point for point in points if point.accuracy >= least]
        if near:
            file = source.with_name(f"method-{data}-{100 * fraction:g}.svg")
            file.write_text(drawing.standalone(pareto.figure(near)), encoding="utf-8")
            far = [runs.title for runs, point in zip(members, points, strict=True) if point.accuracy < least]
            yield f"{data}, {fraction:.0%} of the labels: accuracy over costs", file, far


def _drawn(found: Sequence[Runs], data: str, fraction: float) -> list[Runs]:
    """Rivals, and of the pruned networks those along the path that most of them went: tables compare the paths."""
    members = [
        runs
        for runs in found
        if (runs.cell.data, runs.cell.fraction, runs.cell.longer) == (data, fraction, 1)
        and (runs.cell.is_rival or runs.cell.method in plan.PAIR)
    ]
    paths = Counter(runs.cell.path for runs in members if not runs.cell.is_rival)
    usual = max(paths, key=paths.__getitem__, default="")
    return [runs for runs in members if runs.cell.is_rival or runs.cell.path == usual]


def _point(runs: Runs, cost: Mapping[str, Any]) -> pareto.Point:
    values = list(runs.test().values())
    low, high = t_interval(values) or (min(values), max(values))
    rival, taught = runs.cell.is_rival, runs.cell.method != TWIN
    return pareto.Point(
        name=runs.cell.path if rival else runs.title,
        series="" if rival else runs.way,
        ring=runs.way if rival and taught else "",
        accuracy=float(np.mean(values)),
        low=max(low, 0.0),
        high=min(high, 1.0),
        params=cost["params"],
        macs=cost["macs"],
        latency_ms=cost["latency_ms_per_chip"][costs.DELIVERED],
    )
