"""The page of results: every regime with its settings, then what is compared, over costs and under the ceiling."""

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.method import costs, figures, plan, versions
from benchmarks.method.comparisons import FIGURES, against_rivals, contrasts, under_shift
from benchmarks.method.phrases import difference, listed, mean_of, table
from benchmarks.method.runs import Runs, settled
from sarslim.config.recoveries import TWIN
from sarslim.evaluation.statistics import paired
from sarslim.report import units

Lines = Sequence[Mapping[str, Any]]
REGIME = ("data", "fraction", "budget", "generations", "longer")


def write(lines: Lines, source: Path, costs_file: Path, page: Path) -> None:
    """Writes the page and, where the costs were measured, a Pareto figure for each data set and share of the labels."""
    found = settled(lines)
    measured = json.loads(costs_file.read_text(encoding="utf-8")) if costs_file.exists() else {}
    parts = [
        *head(lines, source),
        *regimes(found),
        *contrasts(found),
        *under_shift(found),
        *against_rivals(found, measured),
    ]
    parts += over_costs(found, measured, source, page) if measured else ()
    limits = source.with_suffix(".ceiling.json")
    parts += ceiling(json.loads(limits.read_text(encoding="utf-8"))) if limits.exists() else ()
    page.write_text("\n".join(parts), encoding="utf-8")
    print(f"wrote {page}")


def head(lines: Lines, source: Path) -> Iterator[str]:
    """Where the figures come from, and how to read them."""
    commits, machines, digests = (
        ", ".join(sorted({str(line[name]) for line in lines})) for name in ("commit", "machine", "data_digest")
    )
    names = ", ".join(f"`NAME={name}`" for name in sorted({line["data"] for line in lines}))
    yield "# Recovery methods, pruning paths and lightweight networks against each other\n"
    yield (
        f"Made by `python -m benchmarks.method table` from `results/{source.name}`, a line per student "
        f"({len(lines)} so far), which `make method DATA=...` writes ({names}). Commit {commits}; {machines}. "
        f"Digests of the data sets (one per seed and share of the labels): "
        f"{', '.join(digest[:12] for digest in digests.split(', '))}.\n"
    )
    yield (
        "In each regime the students and the rivals have the same labelled chips, the same number of steps and the "
        "same augmentation, and the teacher no other labels. A teacher of generation 2 learned from the one of "
        "generation 1, too, and on the chips without labels, with two thirds of all its steps. "
        f"Learning rates are chosen for every row among {listed(plan.RATES)}, or as its row says, by the mean "
        f"validation loss of seeds {listed(plan.TUNING_SEEDS)}, as far as they ran at all of them; nothing is chosen "
        "on test chips. A seed draws the labelled chips, the teacher, and the order of the chips. "
        "Differences are paired: to the twin of the same seed that has no teacher, fine-tuned from the same pruned "
        "weights (a rival's: trained from scratch). Intervals: 95 % bootstrap percentiles over seeds, and in brackets "
        "Student's t, which is wider and the safer one with few seeds. One or two seeds prove nothing.\n"
    )


def regimes(found: Sequence[Runs]) -> Iterator[str]:
    """A table per data set, share of the labels and budget."""
    by_setting = {runs.cell.setting: runs for runs in found}
    groups: dict[tuple[Any, ...], list[Runs]] = defaultdict(list)
    for runs in found:
        groups[tuple(runs.first[name] for name in REGIME)].append(runs)
    for (data, fraction, budget, generations, longer), members in sorted(
        groups.items(), key=lambda item: (item[0][0], -item[0][1], *item[0][3:])
    ):
        some = members[0].first
        share = "all labels" if fraction == 1 else f"{fraction:.0%} of the labels"
        line = f", teachers of generation {generations}" * (generations > 1)
        line += f", {longer} times as long" * (longer > 1)
        yield f"## {data}, {share}, {budget or 'lightweight networks'}{line}\n"
        audited = [runs for runs in members if runs.has_shortcuts]
        floors = f"; without looking at the target: {shortcuts(audited)}" if audited else ""
        yield (
            f"{some['labelled']} labelled training chips; teacher {of_teachers(members)}; "
            f"{some['steps']} steps{floors}.\n"
        )
        header = "network, recovery, seeds, rate, parameters, MACs, test accuracy (least to most), macro-F1, 4 looks"
        elsewhere = [name for name in versions.NAMES if all(runs.test(f"accuracy_{name}") for runs in members)]
        more = ["balanced accuracy", "against the best shortcut", "the same, balanced"] if audited else []
        more += [versions.NAMES[name] for name in elsewhere]
        yield table(
            [*header.split(", "), "against its twin", "against the teacher", *more],
            [
                row(runs, by_setting.get(plan.possible(runs.cell.setting._replace(method=TWIN))))
                + (over_shortcut(runs) if audited else [])
                + [mean_of(runs.test(f"accuracy_{name}").values()) for name in elsewhere]
                for runs in sorted(members, key=Runs.rank)
            ],
        )


def of_teachers(found: Sequence[Runs]) -> str:
    """Mean accuracy of the teachers on the test part and on chips of another kind, each seed once."""
    told = []
    for name, where in {"": "", **versions.NAMES}.items():
        figure = f"accuracy_{name}" if name else "accuracy"
        by_seed = {seed: accuracy for runs in found for seed, accuracy in runs.teacher(figure).items()}
        told += [f"{where} {mean_of(by_seed.values())}".strip()] if by_seed else []
    return ", ".join(told)


def shortcuts(found: Sequence[Runs]) -> str:
    """Mean test accuracy of every shortcut over the seeds, and in brackets balanced accuracy."""
    alone = list({seed: line["shortcuts"] for runs in found for seed, line in runs.lines.items()}.values())
    both = [[mean_of(line[name][figure] for line in alone) for figure in FIGURES] for name in alone[0]]
    return ", ".join(f"{name} {plain} ({balanced})" for name, (plain, balanced) in zip(alone[0], both, strict=True))


def over_shortcut(runs: Runs) -> list[str]:
    """Balanced accuracy, and by how much a setting is above what the best shortcut of each seed gets."""
    if not runs.has_shortcuts:
        return ["", "", ""]
    ahead = []
    for figure in FIGURES:
        best = {seed: max(alone[figure] for alone in line["shortcuts"].values()) for seed, line in runs.lines.items()}
        ahead.append(difference(paired(runs.test(figure), best)))
    return [mean_of(runs.test("balanced_accuracy").values()), *ahead]


def row(runs: Runs, twin: Runs | None) -> list[str]:
    """One setting."""
    first, accuracy = runs.first, runs.test()
    values = list(accuracy.values())
    versus = "" if twin is None or twin is runs else difference(paired(accuracy, twin.test()))
    return [
        first["path"], runs.name, str(len(values)), _rate(runs),
        units.count(np.mean([line["params"] for line in runs.lines.values()])),
        units.count(np.mean([line["macs"] for line in runs.lines.values()])),
        f"{mean_of(values)} ({100 * min(values):.1f} to {100 * max(values):.1f})",
        mean_of(runs.test("macro_f1").values()), mean_of(runs.test("accuracy_4_looks").values()), versus,
        difference(paired(accuracy, runs.teacher())),
    ]  # fmt: skip


def _rate(runs: Runs) -> str:
    rate = f"{runs.first['learning_rate']:g}"
    if len(runs.rates) == 1:
        return f"{rate}, the only one"
    return rate if runs.rates == list(plan.RATES) else f"{rate} of {listed(runs.rates)}"


def over_costs(found: Sequence[Runs], measured: Mapping[str, Any], source: Path, page: Path) -> Iterator[str]:
    """The table of costs, and the figures that go by it."""
    yield "## Accuracy over costs\n"
    yield (
        f"Made by `{measured['command']}` ({measured['commit']}, {measured['machine']}, one thread): time per chip, "
        "each network in turns with all others, the fastest of the medians. The figures take the times of ONNX "
        "Runtime. Black: lightweight networks, filled from scratch, rings as the legend says. Whiskers: Student's t "
        "over seeds, or least to most where there are fewer than three.\n"
    )
    rows = [
        [
            *network, units.count(row["params"]), units.count(row["macs"]),
            *map(units.milliseconds, row["latency_ms_per_chip"].values()),
        ]
        for network, row in costs.by_network(measured).items()
    ]  # fmt: skip
    times = measured["networks"][0]["latency_ms_per_chip"]
    yield table(["data", "budget", "network", "parameters", "MACs", *times], rows)
    for title, file, far in figures.write(found, measured, source):
        yield f"![{title}]({os.path.relpath(file, page.parent)})\n"
        if far:
            yield f"Not drawn, more than {100 * figures.FAR:.0f} points below the best: {'; '.join(far)}.\n"


def ceiling(found: Mapping[str, Any]) -> Iterator[str]:
    """How far the labels let anybody get."""
    yield "## How far the labels let anybody get\n"
    yield (
        f"Made by `{found['command']}` ({found['commit']}): {found['networks']} teachers, each trained on its own, get "
        f"{_span_of(found['single'])} of {found['chips']} test chips, the mean of their answers "
        f"{units.percent(found['together'])}; two of them agree on {units.percent(found['two_agree'])}. On "
        f"{units.percent(found['none_right'])} no teacher is right, and on "
        f"{units.percent(found['all_name_the_same_other_class'])} all name the same other class. By "
        f"confident learning (Northcutt 2021) {units.percent(found['labels_in_doubt'])} of the labels are in doubt.\n"
    )


def _span_of(shares: Sequence[float]) -> str:
    return f"{100 * min(shares):.1f} to {100 * max(shares):.1f} %"
