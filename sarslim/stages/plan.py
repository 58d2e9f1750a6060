"""What sweeps and comparisons run: each cell holds complete stage configurations, as JSON.

A cell holds the configuration of the evaluation too, which is the same in all: KFP's local runner gives the loop item
to every parameter in a loop that is the output of a task outside (kfp 2.17.0).
"""

from collections.abc import Iterable

from sarslim.config import DistillConfig, PrepareConfig, PruneConfig, RunConfig, TeacherConfig, parse
from sarslim.errors import InputError
from sarslim.stages.check import check_budgets

Cell = dict[str, str]


def plan_sweep(
    prepare: str, teacher: str, prune: str, distill: str, evaluate: str, *, budgets: str, methods: str
) -> list[Cell]:
    """Every budget with every recovery method.

    Args:
        prepare, teacher, prune, distill, evaluate: configurations as JSON; what the cells have in common.
        budgets: shares or numbers such as ``10%, 5%, 250k``, each a bound of MACs and of parameters.
        methods: recovery methods.

    Raises:
        InputError: a malformed or unreachable budget, or an unknown method.
    """
    base = RunConfig(
        prepare=parse(PrepareConfig, prepare), teacher=parse(TeacherConfig, teacher), prune=parse(PruneConfig, prune)
    )
    recoveries = plan_methods(distill, evaluate, methods=methods)
    cells = []
    for budget in _items("budgets", budgets):
        cut = parse(PruneConfig, base.prune.model_dump() | {"macs": budget, "params": budget}, where="budgets")
        check_budgets(base.model_copy(update={"prune": cut}))
        cells += [
            recovery | {"label": f"{budget} {recovery['label']}", "prune": cut.model_dump_json()}
            for recovery in recoveries
        ]
    return cells


def plan_methods(distill: str, evaluate: str, *, methods: str) -> list[Cell]:
    """Every recovery method on the same pruned network, with the same recipe and epochs.

    Raises:
        InputError: an unknown method.
    """
    recipe = parse(DistillConfig, distill).model_dump()
    cells = []
    for method in _items("methods", methods):
        config = parse(DistillConfig, recipe | {"method": method}, where="methods")
        cells.append({"label": method, "distill": config.model_dump_json(), "evaluate": evaluate})
    return cells


def plan_rivals(teacher: str, evaluate: str, *, networks: str) -> list[Cell]:
    """Every rival network from scratch, with the recipe and the epochs of the teacher.

    Raises:
        InputError: an unknown network.
    """
    recipe = parse(TeacherConfig, teacher).model_dump() | {"pretrained": ""}
    cells = []
    for name in _items("networks", networks):
        config = parse(TeacherConfig, recipe | {"network": name}, where="networks")
        cells.append({"label": name, "teacher": config.model_dump_json(), "evaluate": evaluate})
    return cells


def _items(name: str, text: str) -> Iterable[str]:
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not items or len(set(items)) < len(items):
        raise InputError(name, f"{text!r} is empty or names one twice", "Write items with commas between them")
    return items
