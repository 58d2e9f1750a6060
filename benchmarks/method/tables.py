"""The page of results: what was compared in each regime, with intervals, and how the terms and paths fared."""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.method import cells, costs, figures, plan, shifts, versions
from benchmarks.method.runs import Runs, settled
from sarslim.config.recoveries import TWIN
from sarslim.evaluation.statistics import bootstrap_interval, paired, t_interval
from sarslim.report import units

Lines = Sequence[Mapping[str, Any]]
FIGURES = ("accuracy", "balanced_accuracy")
SHIFTS = shifts.NAMES | versions.NAMES
REGIME = ("data", "fraction", "budget", "generations", "longer")

# What a setting has, and what it has in its place in the other of a pair, all else equal.
CONTRASTS: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = (
    ("a teacher: kd, not fine-tuning", {"method": "kd"}, {"method": TWIN}),
    ("a teacher: all terms, not fine-tuning", {"method": "all terms"}, {"method": TWIN}),
    ("stages and self-reflection: all terms, not kd alone", {"method": "all terms"}, {"method": "kd"}),
    ("self-reflection: all terms, not all but CRD", {"method": "all terms"}, {"method": "all terms-crd"}),
    *(
        (f"self-reflection otherwise: {name}, not all but CRD", {"method": name}, {"method": "all terms-crd"})
        for name in plan.TRIED
    ),
    ("rough views: of 4 looks", {"method": plan.ROUGH}, {"method": "all terms-crd"}),
    ("unlabelled chips", {"unlabelled": True}, {"unlabelled": False}),
    ("a teacher of the second generation", {"generations": 2}, {"generations": 1}),
    ("a teacher asked once: 16 views, not every step", {"views": 16}, {"views": 0}),
    ("twice the steps", {"longer": 2}, {"longer": 1}),
    *(
        (f"the pruning path: {path}, not uniform", {"path": path}, {"path": "uniform"})
        for path in list(cells.PATHS)[1:]
    ),
    ("inherited weights: fine-tuning, not fresh weights", {"method": TWIN}, {"method": "scratch"}),
    *(
        (f"pruning and recovering in turn: {method}", {"method": f"{method} progressive"}, {"method": method})
        for method in (TWIN, "kd", "all terms-crd")
    ),
    *(
        (f"a teacher, in turn: {method}, not fine-tuning", {"method": method}, {"method": f"{TWIN} progressive"})
        for method in ("kd progressive", "all terms-crd progressive")
    ),
)


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
    yield "# Recovery methods, pruning paths and lightweight networks against each other\n"
    yield (
        f"Made by `python -m benchmarks.method table` from `results/{source.name}`, a line per student "
        f"({len(lines)} so far), which `make method DATA=...` writes. Commit {commits}; {machines}. "
        f"Digests of the data sets (one per seed and share of the labels): "
        f"{', '.join(digest[:12] for digest in digests.split(', '))}.\n"
    )
    yield (
        "In each regime the students and the rivals have the same labelled chips, the same number of steps and the "
        "same augmentation, and the teacher no other labels. A teacher of generation 2 learned from the one of "
        "generation 1, too, and on the chips without labels, with two thirds of all its steps. "
        f"Learning rates are chosen for every row among {_listed(plan.RATES)}, or as its row says, by the mean "
        f"validation loss of seeds {_listed(plan.TUNING_SEEDS)}, as far as they ran at all of them; nothing is chosen "
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
    return rate if runs.rates == list(plan.RATES) else f"{rate} of {_listed(runs.rates)}"


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def contrasts(found: Sequence[Runs]) -> Iterator[str]:
    """What single ingredients bring, all else equal: regime by regime, and over all regimes of a data set."""
    by_setting = {runs.cell.setting: runs for runs in found}
    rows, overall = [], []
    for what, given, instead in CONTRASTS:
        ahead: dict[str, list[dict[int, float]]] = defaultdict(list)  # by seed, for every regime of a data set
        for setting, runs in sorted(by_setting.items()):
            other = plan.possible(setting._replace(**instead))
            if setting._replace(**given) == setting != other and other in by_setting:
                ours, theirs = runs.test(), by_setting[other].test()
                pairs = {seed: ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())}
                regime = f"{setting.data}, {setting.fraction:.0%}"
                rows.append([what, runs.title, regime, str(len(pairs)), difference(list(pairs.values()))])
                ahead[setting.data].append(pairs)
        for data, regimes in sorted(ahead.items()):
            count, *told = together(regimes)
            if count not in ("", "1"):
                overall.append([what, data, count, *told])
    if rows:
        yield "## What single ingredients bring\n"
        yield table(["ingredient", "student", "regime", "seeds", "difference of test accuracy"], rows)
    if overall:
        yield (
            "Over all regimes of a data set that ran on all seeds, the mean of each seed first, for its regimes share "
            "a teacher:\n"
        )
        yield table(["ingredient", "data", "regimes", "seeds", "difference of test accuracy"], overall)


def under_shift(found: Sequence[Runs]) -> Iterator[str]:
    """How much more students lose than their teachers where test chips are shifted, and what is left of their lead."""
    by_setting = {runs.cell.setting: runs for runs in found}
    lost: dict[tuple[str, str, str], list[dict[int, float]]] = defaultdict(list)
    ahead: dict[tuple[str, str, str], list[dict[int, float]]] = defaultdict(list)
    for runs in sorted(found, key=Runs.rank):
        twin = by_setting.get(plan.possible(runs.cell.setting._replace(method=TWIN)))
        for name in SHIFTS if not runs.cell.is_rival else ():
            key = runs.first["data"], runs.name, name
            figure = f"accuracy_{name}"
            own, theirs = fall(runs.test(), runs.test(figure)), fall(runs.teacher(), runs.teacher(figure))
            if own.keys() & theirs.keys():
                lost[key].append({seed: own[seed] - theirs[seed] for seed in own.keys() & theirs.keys()})
            if twin and twin is not runs and (both := own.keys() & twin.test(figure).keys()):
                ahead[key].append({seed: runs.test(figure)[seed] - twin.test(figure)[seed] for seed in both})
    rows = [
        [data, recovery, SHIFTS[name], *told, *together(ahead[data, recovery, name])]
        for (data, recovery, name), regimes in lost.items()
        if any(told := together(regimes))
    ]
    if rows:
        yield "## Shifted test chips\n"
        yield (
            "How much more a student loses than its teacher where the test chips are shifted, and its lead over the "
            "twin there, over all regimes that ran on as many seeds as any, the mean of each seed first.\n"
        )
        header = "data, recovery, test chips, regimes, seeds, loses more than its teacher, regimes, seeds"
        yield table([*header.split(", "), "against its twin, on these chips"], rows)


def fall(before: Mapping[int, float], after: Mapping[int, float]) -> dict[int, float]:
    """By how much a figure falls, by seed."""
    return {seed: before[seed] - after[seed] for seed in sorted(before.keys() & after.keys())}


def together(regimes: Sequence[Mapping[int, float]]) -> list[str]:
    """Regimes that ran on as many seeds as any, these seeds, and the mean difference: each seed has one say in it."""
    seeds = max(regimes, key=len, default={}).keys()
    whole = [pairs for pairs in regimes if pairs.keys() == seeds]
    if len(seeds) < 3:
        return ["", "", ""]
    means = [float(np.mean([pairs[seed] for pairs in whole])) for seed in sorted(seeds)]
    return [str(len(whole)), str(len(seeds)), difference(means)]


def against_rivals(found: Sequence[Runs], measured: Mapping[str, Any]) -> Iterator[str]:
    """Whether a lightweight network is as accurate, as small or as fast as the best students recovered by default."""
    networks = costs.by_network(measured)
    known = [
        runs for runs in sorted(found, key=Runs.size) if costs.key(runs.cell) in networks and runs.cell.longer == 1
    ]
    groups: dict[tuple[str, float, bool], list[Runs]] = defaultdict(list)
    for runs in known:
        if runs.cell.method == plan.DEFAULT and not runs.cell.is_rival:
            groups[runs.cell.data, runs.cell.fraction, runs.cell.unlabelled].append(runs)
    for (data, fraction, unlabelled), members in sorted(groups.items()):
        students = unbeaten(members)
        rivals = [
            runs
            for runs in known
            if runs.cell.is_rival
            and (runs.cell.data, runs.cell.fraction) == (data, fraction)
            and runs.cell.unlabelled <= unlabelled
        ]
        if not rivals:
            continue
        names = [f"student {number}" for number in range(1, len(students) + 1)]
        compared = FIGURES if all(runs.has_shortcuts for runs in (*students, *rivals)) else FIGURES[:1]
        rows = []
        for name, runs in [*zip(names, students, strict=True), *((runs.title, runs) for runs in rivals)]:
            cost = networks[costs.key(runs.cell)]
            ahead = [
                brief(paired(one.test(figure), runs.test(figure))) if runs.cell.is_rival else ""
                for figure in compared
                for one in students
            ]
            rows.append(
                [
                    name if runs.cell.is_rival else f"{name}: {runs.title}", str(len(runs.lines)),
                    units.count(cost["params"]), units.count(cost["macs"]),
                    units.milliseconds(cost["latency_ms_per_chip"][costs.DELIVERED]),
                    mean_of(runs.test().values()), *ahead,
                ]
            )  # fmt: skip
        chips = ", and the other chips without labels" * unlabelled
        yield f"## Students against lightweight networks: {data}, {fraction:.0%} of the labels{chips}\n"
        yield (
            "Students that no other beats in accuracy, parameters and MACs at once. "
            f"Time: {costs.DELIVERED}. Last columns: by how many points of test accuracy a student is ahead of a rival "
            "on the same seeds.\n"
        )
        header = ["network", "seeds", "parameters", "MACs", "time", "test accuracy"]
        yield table([*header, *names, *(f"{name}, balanced" for name in names if len(compared) > 1)], rows)


def unbeaten(students: Sequence[Runs]) -> list[Runs]:
    """Those that no other beats in mean accuracy, parameters and MACs at once."""
    figures = [(-np.mean(list(runs.test().values())), runs.first["params"], runs.first["macs"]) for runs in students]
    return [
        runs
        for runs, own in zip(students, figures, strict=True)
        if not any(other != own and all(a <= b for a, b in zip(other, own, strict=True)) for other in figures)
    ]


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
