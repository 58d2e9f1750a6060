"""Which cells there are: sections of the table, and the learning rate of every setting, chosen on validation chips."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.method.cells import SOURCES, Cell, Setting
from sarslim.config import NETWORKS
from sarslim.config.recoveries import RECOVERIES, TWIN

SEEDS = (0, 1, 2, 3, 4)
RATES = (0.002, 0.005)
TUNING_SEEDS = (0, 1)
"""The learning rate is chosen on the validation chips of these seeds, for every setting alike."""

TUNED_RIVALS = ("shufflenet_v2_x0_5", "mobilenet_v3_small", "ghostnet", "mnasnet0_5", "aconvnet")
LARGE_RIVALS = ("shufflenet_v2_x1_0", "mobilenet_v2", "efficientnet_b0")
RIVALS = (*TUNED_RIVALS, "squeezenet1_1", *LARGE_RIVALS)

IN_TURN = (f"{TWIN} progressive", "kd progressive", "all terms-crd progressive")
DEFAULT = "all terms"
SHIPS, VERSIONS = "FUSAR-3", "MSTAR-versions"
ALONE = (SHIPS, VERSIONS)
"""Data sets with sections of their own, and no others."""
PAIR = (TWIN, DEFAULT)
CORE = (TWIN, "kd", DEFAULT)
BUDGETS = ("macs=10%", "macs=3%", "params=1%")
TRIED = (
    "all terms, bottlenecks",
    "all terms, reflecting more",
    "all terms, disputed",
    "all terms-crd, two rounds",
    "all terms-crd, bottlenecks",
    "all terms, sure",
    "all terms-crd+reflection",
)
"""Other ways of self-reflection, of commit 77e983c: none was better, and their code went out again."""
ROUGH = "all terms-crd, speckled"
METHODS = (*RECOVERIES, *TRIED, ROUGH)
"""In the order of the tables."""
ABLATED = tuple(name for name in RECOVERIES if not name.startswith("distill") and not name.endswith("progressive"))


@dataclass(frozen=True)
class Section:
    """Settings that one part of the table compares: every combination, less what cannot be."""

    fractions: Sequence[float]
    budgets: Sequence[str]
    paths: Sequence[str]
    methods: Sequence[str]
    unlabelled: Sequence[bool] = (False,)
    rates: Sequence[float] = RATES
    seeds: Sequence[int] = SEEDS
    generations: int = 1
    longer: int = 1
    views: Sequence[int] = (0,)
    only: str = ""  # one of ALONE

    def settings(self, data: str) -> Iterable[Setting]:
        """As ``Cell.setting``, each once."""
        if self.only != (data if data in ALONE else ""):
            return {}
        fractions = [fraction for fraction in self.fractions if fraction in SOURCES[data].schedules]
        choices = [self.generations], self.budgets, self.paths, self.methods, self.unlabelled, [self.longer], self.views
        every = itertools.starmap(Setting, itertools.product([data], fractions, *choices))
        return dict.fromkeys(map(possible, every))


def possible(setting: Setting) -> Setting:
    """A setting less what its method has no use for: without a teacher, no chips without labels, and no generations.

    A pruned network keeps those: its weights come from the teacher.
    """
    if RECOVERIES.get(setting.method, {}).get("method") != TWIN:
        return setting
    generations = 1 if setting.path in NETWORKS else setting.generations
    return setting._replace(unlabelled=False, generations=generations, views=0)


SECTIONS: dict[str, Section] = {
    "recovery": Section((0.1,), ("macs=1%", "macs=0.5%"), ("uniform",), (*CORE, "all terms-crd"), (False, True)),
    "full": Section((1.0,), ("params=50k macs=20M",), ("early",), PAIR),
    # No better there, so two seeds will do.
    "full, even": Section((1.0,), ("params=50k macs=20M",), ("even",), PAIR, seeds=TUNING_SEEDS),
    # At the rate that was chosen for both at 50k.
    "full, longer": Section((1.0,), ("params=50k macs=20M",), ("early",), PAIR, rates=(0.002,), longer=2),
    "full, wider": Section((1.0,), ("params=250k macs=20M",), ("early",), PAIR, rates=(0.002,)),
    "progressive": Section((0.1,), ("macs=1%",), ("uniform",), IN_TURN, (False, True)),
    "progressive, smaller": Section((0.1,), ("macs=0.5%",), ("uniform",), IN_TURN, (False, True)),
    # 3 % of the MACs: fewer parameters than ShuffleNetV2 x0.5.
    "second generation": Section(
        (0.1,), ("macs=1%", "macs=3%", "macs=0.5%"), ("uniform",), (*CORE, "all terms-crd"), (True,), generations=2
    ),
    "second generation, longer": Section(
        (0.1,), ("macs=1%",), ("uniform",), PAIR, (True,), rates=(0.005,), generations=2, longer=2
    ),
    # Fewer parameters for as many MACs: what a narrow last stage saves.
    "second generation, early": Section(
        (0.1,), ("macs=1%", "macs=3%"), ("early",), PAIR, (True,), rates=(0.005,), generations=2
    ),
    # Where there is most to gain, at the rate that was chosen there for every method.
    "ablation, smaller": Section((0.1,), ("macs=0.5%",), ("uniform",), ABLATED, (True,), rates=(0.005,)),
    "rivals": Section((0.1,), ("",), TUNED_RIVALS, (TWIN,)),
    # It has no batch normalisation, and learns nothing at the rates of the others.
    "squeezenet": Section((0.1,), ("",), ("squeezenet1_1",), (TWIN,), rates=(0.0005, 0.001)),
    "larger rivals": Section((0.1,), ("",), LARGE_RIVALS, (TWIN,), rates=(0.002,)),
    # With the teachers and the chips of the students of a second generation.
    "rivals, taught": Section((0.1,), ("",), TUNED_RIVALS, ("kd",), (True,), generations=2),
    "larger rivals, taught": Section((0.1,), ("",), LARGE_RIVALS, ("kd",), (True,), rates=(0.002,), generations=2),
    "rivals, all labels": Section((1.0,), ("",), TUNED_RIVALS[:3], (TWIN,), rates=(0.002,)),
    "quarter": Section((0.25,), ("macs=1%",), ("uniform",), PAIR, (False, True)),
    # At the rate that was chosen for both where the path is uniform.
    "paths": Section((0.1,), ("macs=1%",), ("early", "late", "isomorphic", "global"), PAIR, rates=(0.005,)),
    "criteria": Section((0.1,), ("macs=1%",), ("taylor", "random", "sparse", "search"), PAIR, rates=(0.005,)),
    # At the rate that was chosen for kd and for all terms.
    "ablation": Section((0.1,), ("macs=1%",), ("uniform",), ABLATED, rates=(0.005,)),
    # At the rates that were chosen in "recovery" and "full", both ways anew in a file of their own, for the machine and
    # the code are others: run --results benchmarks/results/stored-answers.jsonl --sections "stored answers".
    "stored answers": Section(
        (0.1,),
        ("macs=1%", "macs=0.5%"),
        ("uniform",),
        (DEFAULT,),
        (False, True),
        rates=(0.005,),
        views=(0, 16),
    ),
    # Into that file, too. Views as rough as one of the shifts on which students are measured, not as the others.
    "under shift": Section(
        (0.1,),
        ("macs=1%", "macs=0.5%"),
        ("uniform",),
        (ROUGH, TWIN, "all terms-crd"),
        rates=(0.005,),
        views=(16,),
    ),
    # At the default rate, for all networks alike: some hundred validation chips tell no two rates apart.
    "ships": Section(
        (1.0,),
        ("macs=5%", "macs=1%", "macs=0.5%"),
        ("uniform",),
        (*CORE, "all terms-crd"),
        (False, True),
        rates=RATES[:1],
        only=SHIPS,
    ),
    # Where intervals of five seeds are wider than the differences.
    "ships, more seeds": Section(
        (1.0,),
        ("macs=5%", "macs=1%", "macs=0.5%"),
        ("uniform",),
        (*CORE, "all terms-crd"),
        rates=RATES[:1],
        seeds=range(5, 10),
        only=SHIPS,
    ),
    "ships, rivals": Section((1.0,), ("",), TUNED_RIVALS, (TWIN,), rates=RATES[:1], only=SHIPS),
    "ships, rivals taught": Section((1.0,), ("",), TUNED_RIVALS, ("kd",), rates=RATES[:1], only=SHIPS),
    # At the rate that was chosen for all labels. Views are stored, for all ways see the same chips.
    "other versions": Section(
        (1.0,),
        ("macs=5%", "macs=1%"),
        ("uniform",),
        (*PAIR, ROUGH),
        rates=RATES[:1],
        views=(16,),
        only=VERSIONS,
    ),
    "other versions, met without labels": Section(
        (1.0,), ("macs=5%", "macs=1%"), ("uniform",), (DEFAULT,), (True,), rates=RATES[:1], views=(16,), only=VERSIONS
    ),
    # Stored answers against asking, with all labels: 16 above, here asked in every step, and half as many.
    "other versions, asked in every step or for 8 views": Section(
        (1.0,), ("macs=5%",), ("uniform",), (DEFAULT,), rates=RATES[:1], views=(0, 8), only=VERSIONS
    ),
    "budgets": Section((0.1,), BUDGETS, ("uniform",), PAIR, (False, True), rates=(0.005,)),
    "budgets, more labels": Section((1.0, 0.25), BUDGETS, ("uniform",), CORE),
}
"""In the order in which they run."""


def cells(section: Section, data: str, lines: Sequence[Mapping[str, Any]]) -> list[Cell]:
    """What a section still needs: all rates on the tuning seeds first, then every seed with the rate chosen there."""
    done = {cell_of(line) for line in lines}
    seeds = [seed for seed in section.seeds if seed in TUNING_SEEDS] or list(section.seeds)
    tuning = list(_of(section, data, seeds, dict.fromkeys(section.settings(data), section.rates)))
    if missing := [cell for cell in tuning if cell not in done]:
        return missing
    chosen = {setting: [rate] for setting, rate in rates(lines).items()}
    return [cell for cell in _of(section, data, section.seeds, chosen) if cell not in done]


def _of(section: Section, data: str, seeds: Iterable[int], tried: Mapping[Setting, Sequence[float]]) -> Iterator[Cell]:
    """The cells of a section with the learning rates tried for each setting, whole seeds first."""
    for seed, setting in itertools.product(seeds, section.settings(data)):
        for rate in tried[setting]:
            yield Cell(**setting._asdict(), learning_rate=rate, seed=seed)


def rates(lines: Iterable[Mapping[str, Any]]) -> dict[Setting, float]:
    """The learning rate of every setting: the lowest mean validation loss over the tuning seeds that ran at all rates.

    Where no seed did, the lowest rate.
    """
    losses: dict[Setting, dict[float, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for line in lines:
        cell = cell_of(line)
        if cell.seed in TUNING_SEEDS:
            losses[cell.setting][cell.learning_rate][cell.seed] = line["validation"]["loss"]
    chosen = {}
    for setting, found in losses.items():
        seeds = set.intersection(*map(set, found.values()))
        sums = {rate: sum(by_seed[seed] for seed in seeds) for rate, by_seed in sorted(found.items())}
        chosen[setting] = min(sums, key=sums.__getitem__)
    return chosen


def cell_of(line: Mapping[str, Any]) -> Cell:
    """The cell that a line of results belongs to."""
    return Cell(**{name: line[name] for name in Cell.__dataclass_fields__})
