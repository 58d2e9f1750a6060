"""What single ingredients bring, what is left of it on shifted chips, and how students stand against rivals."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.method import cells, costs, plan, shifts, versions
from benchmarks.method.phrases import brief, difference, mean_of, table
from benchmarks.method.runs import Runs
from sarslim.config.recoveries import TWIN
from sarslim.evaluation.statistics import paired
from sarslim.report import units

FIGURES = ("accuracy", "balanced_accuracy")
SHIFTS = shifts.NAMES | versions.NAMES

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
    *((f"a teacher asked once: {views} views, not every step", {"views": views}, {"views": 0}) for views in (16, 8)),
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
