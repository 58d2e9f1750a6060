"""What pages say of networks side by side."""

import shlex
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

import sarslim.report.units as units
import sarslim.report.words.shift as shift
from sarslim.config.recoveries import TWIN
from sarslim.evaluation.statistics import FEWEST, bootstrap_interval, paired, t_interval
from sarslim.records import Comparison, Measured
from sarslim.report.words.run import DISTURBED

MEASURED = (
    "Network",
    "Accuracy",
    f"Gain over {TWIN}",
    "Balanced accuracy",
    "Macro-F1",
    "Parameters",
    "MACs",
    "Latency",
)


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
                    (units.percent(mean(runs, "balanced_accuracy")), ""),
                    (units.percent(mean(runs, "macro_f1")), ""),
                    (units.count(mean(runs, "params")), ""),
                    (units.count(mean(runs, "macs")), ""),
                    (units.milliseconds(mean(runs, "latency_ms")) + units.DISTURBED * _disturbed(runs), ""),
                ],
            )
        )
    return rows


def shifted(record: Comparison) -> list[tuple[str, list[tuple[str, str]]]]:
    """Per network the mean accuracy over seeds on test part and shifted sources, and the gain over its twin."""
    names = tuple(record.networks[0].shifted)
    if not names:
        return []
    rows = []
    for runs in grouped(record):
        values = [mean(runs, "accuracy"), *(shift.mean_accuracy(runs, name) for name in names)]
        gains = [_gain(runs, record, name) for name in ("", *names)]
        cells = [
            (units.percent(value), f"{gain} ({interval})" if interval else gain.strip("–"))
            for value, (gain, interval) in zip(values, gains, strict=True)
        ]
        rows.append((group_name(runs), cells))
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
    timing = first.latency
    assert timing is not None
    latency = (
        f"Latency: one chip at a time in ONNX Runtime on {timing.threads} thread{'s'[: timing.threads != 1]}, all "
        f"networks in turns; those of one shape are timed once"
    )
    gain = f"Gain over {TWIN}: points of accuracy above fine-tuning at the same budget, paired by seed"
    if seeds >= FEWEST:
        gain += ", with its 95 % bootstrap interval over seeds, which is too narrow for few of them"
    rule = tradeoff_rule(record)
    return [
        over_seeds,
        gain,
        *([rule] if rule else []),
        f"All networks saw the same {chips:,} test chips, whose choice alone leaves the {first.name} between "
        f"{units.percent(low)} and {units.percent(high)} (95 % Wilson interval)",
        latency,
        *([DISTURBED] if _disturbed(record.networks) else []),
    ]


def _disturbed(runs: Sequence[Measured]) -> bool:
    return any(run.latency is not None and run.latency.disturbed for run in runs)


def best_tradeoff(record: Comparison) -> list[Measured]:
    """The network with the fewest MACs that is not clearly below the most accurate one, with all its seeds.

    The first network, which the others are held against, stands aside: it is what is to be made smaller. Empty where
    there is no choice. Clearly below: see :func:`tradeoff_rule`.
    """
    candidates = grouped(record)[1:]
    if len(candidates) < 2:
        return []
    best = max(candidates, key=lambda runs: mean(runs, "accuracy"))
    near = [runs for runs in candidates if not _clearly_below(runs, best)]
    return min(near, key=lambda runs: (mean(runs, "macs"), -mean(runs, "accuracy")))


def _clearly_below(runs: Sequence[Measured], best: Sequence[Measured]) -> bool:
    over_seeds = bootstrap_interval(paired(*({run.seed: run.accuracy for run in each} for each in (runs, best))))
    if over_seeds is not None:
        return over_seeds[1] < 0
    chips = runs[0].test_chips
    return units.wilson(mean(runs, "accuracy") * chips, chips)[1] < mean(best, "accuracy")


def tradeoff(record: Comparison) -> str:
    """Which network is the best trade-off, in one sentence; empty where there is no choice."""
    runs = best_tradeoff(record)
    if not runs:
        return ""
    first = record.networks[0]
    fewer = units.times(mean(runs, "macs"), first.macs, "fewer", "more")
    return (
        f"Best trade-off: {group_name(runs)}, {units.percent(mean(runs, 'accuracy'))} with "
        f"{units.count(mean(runs, 'macs'))} MACs, {fewer} than the {first.name}"
    )


def tradeoff_rule(record: Comparison) -> str:
    """How the best trade-off was found; empty where there is no choice."""
    candidates = grouped(record)[1:]
    if len(candidates) < 2:
        return ""
    best = group_name(max(candidates, key=lambda runs: mean(runs, "accuracy")))
    clearly = (
        "the 95 % bootstrap interval of the difference in accuracy, paired by seed, lies below zero"
        if min(map(len, candidates)) >= FEWEST
        else f"the accuracy of {best} lies above the network's 95 % Wilson interval, because {FEWEST} seeds are missing"
    )
    return (
        f"Best trade-off: the fewest MACs among the networks that are not clearly below the most accurate of them, "
        f"{best}; the {record.networks[0].name} stands aside. Clearly below: {clearly}. The choice was made on the "
        f"test chips, which flatters it a little"
    )


def achieved(record: Comparison) -> dict[str, Any]:
    """What lists of runs tell of a comparison: the best trade-off among how many, or the only network beside the first.

    The names are those of :class:`sarslim.records.RunSummary`.
    """
    first, groups = record.networks[0], grouped(record)
    runs = best_tradeoff(record) or groups[-1]
    return {
        "simulated": first.simulated,
        "networks": len(groups),
        "student": group_name(runs),
        "teacher_accuracy": first.accuracy,
        "student_accuracy": mean(runs, "accuracy"),
        "macs_share": mean(runs, "macs") / first.macs,
        "params": round(mean(runs, "params")),
        "bytes": round(mean(runs, "bytes")),
    }


def makings(record: Comparison, *, remote: bool) -> list[tuple[str, str]]:
    """Name of each network that was recovered after pruning, and the options that make a bundle of its first seed.

    A run starts with the first stage that differs, the others are cached; a ``remote`` one is given what stands alone
    in its journal, which is the data set and the teacher.
    """
    return [(group_name(runs), _options(runs[0].sets, remote)) for runs in grouped(record) if runs[0].budget]


def _options(sets: Sequence[str], remote: bool) -> str:
    changed = [stage for stage in ("prune", "distill") if any(text.startswith(f"{stage}.") for text in sets)]
    start = "prune" if remote else (*changed, "evaluate")[0]
    return " ".join([f"--from {start}", *(f"--set {shlex.quote(text)}" for text in sets)])


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


def _gain(runs: Sequence[Measured], record: Comparison, source: str = "") -> tuple[str, str]:
    """Mean difference in accuracy to the fine-tuned twins of the same budget and seeds, in points, and its interval.

    On the test part, or on a shifted source.
    """
    ours, theirs = (
        {run.seed: run.shifted[source].accuracy if source else run.accuracy for run in networks}
        for networks in (runs, [n for n in record.networks if n.budget == runs[0].budget and n.method == TWIN])
    )
    differences = paired(ours, theirs)
    if not differences or runs[0].method == TWIN:
        return "–", ""
    interval = bootstrap_interval(differences)
    return _points(float(np.mean(differences))), " to ".join(map(_points, interval)) if interval else ""


def _points(difference: float) -> str:
    return units.points(difference).removesuffix(" points")
