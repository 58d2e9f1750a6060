"""What pages say of networks side by side."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

import sarslim.report.units as units
from sarslim.config.recoveries import TWIN
from sarslim.evaluation.statistics import FEWEST, bootstrap_interval, paired, t_interval
from sarslim.records import Comparison, Measured

MEASURED = ("Network", "Accuracy", f"Gain over {TWIN}", "Macro-F1", "Parameters", "MACs", "Latency")


def measured_rows(record: Comparison) -> list[tuple[str, ...]]:
    """One row per network of a comparison, header first, with intervals in brackets."""
    rows = [
        (name, *(f"{value} ({interval})" if interval else value for value, interval in cells))
        for name, cells in measured(record)
    ]
    return [MEASURED, *rows]


def measured(record: Comparison) -> list[tuple[str, list[tuple[str, str]]]]:
    """Per network its name, and for each further column of ``MEASURED`` the mean over seeds and the interval."""
    rows = []
    for runs in grouped(record):
        low, high = spread([run.accuracy for run in runs])
        accuracy = mean(runs, "accuracy")
        rows.append(
            (
                group_name(runs),
                [
                    (units.percent(accuracy), f"{100 * low:.1f}–{100 * high:.1f}" if len(runs) > 1 else ""),
                    _gain(runs, record),
                    (units.percent(mean(runs, "macro_f1")), ""),
                    (units.count(mean(runs, "params")), ""),
                    (units.count(mean(runs, "macs")), ""),
                    (units.milliseconds(mean(runs, "latency_ms")), ""),
                ],
            )
        )
    return rows


def lead(record: Comparison) -> str:
    """What was compared, and which network is the most accurate, in one sentence."""
    groups = grouped(record)
    best = max(groups, key=lambda runs: mean(runs, "accuracy"))
    kind = "simulated " if record.networks[0].simulated else ""
    return (
        f"{len(groups)} networks on the same {record.networks[0].test_chips:,} {kind}test chips; the most accurate is "
        f"{group_name(best)} with {units.percent(mean(best, 'accuracy'))}."
    )


def measured_notes(record: Comparison) -> list[str]:
    """How the figures of a comparison are to be read."""
    seeds, chips = max(map(len, grouped(record))), record.networks[0].test_chips
    first = record.networks[0]
    low, high = units.wilson(first.accuracy * chips, chips)
    over_seeds = (
        "One run of each network, which says nothing about the luck of a seed; seeds=0,1,2 gives intervals"
        if seeds == 1
        else f"Means over {seeds} seeds, with the least and the most accuracy; {FEWEST} give an interval"
        if seeds < FEWEST
        else f"Means over {seeds} seeds, with the 95 % interval of the accuracy over seeds (Student's t)"
    )
    gain = f"Gain over {TWIN}: points of accuracy above fine-tuning at the same budget, paired by seed"
    if seeds >= FEWEST:
        gain += ", with its 95 % bootstrap interval over seeds, which is too narrow for few of them"
    return [
        over_seeds,
        gain,
        f"All networks saw the same {chips:,} test chips, whose choice alone leaves the {first.name} between "
        f"{units.percent(low)} and {units.percent(high)} (95 % Wilson interval)",
    ]


def grouped(record: Comparison) -> list[list[Measured]]:
    """The networks that differ in their seed alone, together, in the order of the record."""
    groups: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    for network in record.networks:
        groups[network.budget, network.method or network.name].append(network)
    return list(groups.values())


def group_name(runs: Sequence[Measured]) -> str:
    """The name of networks that differ in their seed alone."""
    return f"{runs[0].budget} {runs[0].method}".strip() or runs[0].name


def mean(runs: Sequence[Measured], figure: str) -> float:
    """The mean of one figure over seeds."""
    return float(np.mean([getattr(run, figure) for run in runs]))


def spread(shares: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of shares over seeds, or for less than three seeds the least and the most."""
    low, high = t_interval(shares) or (min(shares), max(shares))
    return max(low, 0.0), min(high, 1.0)


def _gain(runs: Sequence[Measured], record: Comparison) -> tuple[str, str]:
    """Mean difference in accuracy to the fine-tuned twins of the same budget and seeds, in points, and its interval."""
    twins = {one.seed: one.accuracy for one in record.networks if one.budget == runs[0].budget and one.method == TWIN}
    differences = paired({run.seed: run.accuracy for run in runs}, twins)
    if not differences or runs[0].method == TWIN:
        return "–", ""
    interval = bootstrap_interval(differences)
    return _points(float(np.mean(differences))), " to ".join(map(_points, interval)) if interval else ""


def _points(difference: float) -> str:
    return units.points(difference).removesuffix(" points")
