"""What sweeps and comparisons run: each cell holds complete stage configurations and a label, as JSON.

A cell holds the configuration of the evaluation too, which is the same in all: KFP's local runner gives the loop item
to every parameter in a loop that is the output of a task outside (kfp 2.17.0). The label is that of
:func:`sarslim.stages.measure.measure`.
"""

import json
import re
from typing import Any

from pydantic import BaseModel

from sarslim.config import DistillConfig, PrepareConfig, PruneConfig, RunConfig, TeacherConfig, parse
from sarslim.config.recoveries import recovery
from sarslim.errors import InputError
from sarslim.stages.tryout import check_budgets, check_rivals

Cell = dict[str, str]

SEED, MOST_SEED = re.compile("0|[1-9][0-9]{,9}", re.ASCII), 2**32


def plan_sweep(
    prepare: str, teacher: str, prune: str, distill: str, evaluate: str, *, budgets: str, methods: str, seeds: str
) -> list[Cell]:
    """Every budget with every recovery method and seed.

    Args:
        prepare, teacher, prune, distill, evaluate: configurations as JSON; what the cells have in common.
        budgets: shares or numbers such as ``10%, 5%, 250k``, each a bound of MACs and of parameters.
        methods: names of recovery methods.
        seeds: whole numbers such as ``0, 1, 2``.

    Raises:
        InputError: a malformed or unreachable budget, an unknown method, or a malformed seed.
    """
    base = RunConfig(
        prepare=parse(PrepareConfig, prepare), teacher=parse(TeacherConfig, teacher), prune=parse(PruneConfig, prune)
    )
    cells = []
    for budget in _items("budgets", budgets):
        cut = parse(PruneConfig, base.prune.model_dump() | {"macs": budget, "params": budget}, where="budgets")
        check_budgets(base.model_copy(update={"prune": cut}))
        cells += _recoveries(base.prune, cut, distill, evaluate, methods=methods, seeds=seeds)
    return cells


def plan_methods(prune: str, distill: str, evaluate: str, *, methods: str, seeds: str) -> list[Cell]:
    """Every recovery method and seed at one budget, with the same recipe and epochs.

    All methods of a seed start from the same pruned network, so that their results can be paired by seed.

    Raises:
        InputError: an unknown method or a malformed seed.
    """
    given = parse(PruneConfig, prune)
    return _recoveries(given, given, distill, evaluate, methods=methods, seeds=seeds)


def _recoveries(
    given: PruneConfig, cut: PruneConfig, distill: str, evaluate: str, *, methods: str, seeds: str
) -> list[Cell]:
    """Every recovery method and seed after pruning as ``cut`` says, in a run whose configuration is ``given``."""
    recipe = parse(DistillConfig, distill)
    budget = " and ".join(dict.fromkeys(text for text in (cut.macs, cut.params, cut.latency) if text))
    recoveries = {method: recovery(method, recipe) for method in _items("methods", methods)}
    cells = []
    for seed, suffix in _seeds(seeds).items():
        for method, config in recoveries.items():
            pruning, recovering = (each.model_copy(update={"seed": seed}) for each in (cut, config))
            sets = _sets("prune", given, pruning) + _sets("distill", recipe, recovering)
            origin = {"budget": budget, "method": method, "seed": seed, "sets": sets}
            cells.append(
                {
                    "label": _label(f"{budget} {method}", suffix, **origin),
                    "prune": pruning.model_dump_json(),
                    "distill": recovering.model_dump_json(),
                    "evaluate": evaluate,
                }
            )
    return cells


def plan_rivals(prepare: str, teacher: str, evaluate: str, *, networks: str, seeds: str) -> list[Cell]:
    """Every rival network and seed from scratch, with the recipe and the epochs of the teacher.

    Args:
        prepare, teacher, evaluate: configurations as JSON.

    Raises:
        InputError: an unknown network, one that does not take chips of this size, or a malformed seed.
    """
    recipe = parse(TeacherConfig, teacher)
    own = recipe.model_dump() | {"pretrained": "", "generations": 1}
    rivals = {
        name: parse(TeacherConfig, own | {"network": name}, where="networks") for name in _items("networks", networks)
    }
    check_rivals(RunConfig(prepare=parse(PrepareConfig, prepare), teacher=recipe), list(rivals))
    return [
        {
            "label": _label(name, suffix, method=name, seed=seed),
            "teacher": config.model_copy(update={"seed": seed}).model_dump_json(),
            "evaluate": evaluate,
        }
        for seed, suffix in _seeds(seeds).items()
        for name, config in rivals.items()
    ]


def _sets(stage: str, given: BaseModel, wanted: BaseModel) -> list[str]:
    """The ``--set`` texts that make ``wanted`` of ``given``, which differ in numbers, switches and plain words."""
    before, after = given.model_dump(mode="json"), wanted.model_dump(mode="json")
    changed = {name: value for name, value in after.items() if value != before[name]}
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in changed.items()}
    return [f"{stage}.{name}={text}" for name, text in texts.items()]


def _label(name: str, suffix: str, **origin: Any) -> str:
    return json.dumps({"name": f"{name}{suffix}", **origin})


def _seeds(text: str) -> dict[int, str]:
    """The seeds, each with what it adds to a name: nothing where it is the only one."""
    items = _items("seeds", text)
    wrong = ", ".join(repr(item) for item in items if not SEED.fullmatch(item) or int(item) >= MOST_SEED)
    if wrong:
        raise InputError(
            "seeds",
            f"{wrong}: not a seed",
            f"Write whole numbers from 0 on, such as 0, 1, 2; none above {MOST_SEED - 1}",
        )
    return {int(item): f" seed {item}" if len(items) > 1 else "" for item in items}


def _items(name: str, text: str) -> list[str]:
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not items or len(set(items)) < len(items):
        raise InputError(name, f"{text!r} is empty or names one twice", "Write items with commas between them")
    return items
