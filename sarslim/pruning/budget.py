"""Structured pruning down to a budget: where the channels go, and which."""

import copy
import difflib
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sarslim.config import Budget, PruneConfig
from sarslim.errors import InputError
from sarslim.networks.cost import widths
from sarslim.progress import Progress, note
from sarslim.pruning.costs import Meter, readable, up
from sarslim.pruning.coupling import Coupling, Unit
from sarslim.pruning.importance import NEED_GRADIENTS, accumulate_gradients, score
from sarslim.records import LayerWidth

Batches = Callable[[], Iterable[tuple[Tensor, Tensor]]]

# A measured time comes out a little different each time: so the search aims this much below the bound.
LATENCY_MARGIN = 0.95
HALVINGS, LATENCY_HALVINGS = 20, 7
LATENCY_TRIES = 5  # of the smallest network, before it is called too slow


class Pruned(NamedTuple):
    """A pruned network, what became of each of its layers, and in how many steps."""

    network: nn.Module
    layers: tuple[LayerWidth, ...]
    steps: int


def prune(
    network: nn.Module,
    config: PruneConfig,
    *,
    input_shape: tuple[int, ...],
    output_layers: tuple[str, ...],
    stages: tuple[str, ...],
    batches: Batches,
    teacher: nn.Module | None = None,
) -> Pruned:
    """Takes out the least important channels until every budget is met, as little below it as widths allow.

    ``uniform`` keeps the same share of every layer, times ``config.stage_growth`` from stage to stage, and ranks once,
    inside the layer. ``global`` and ``isomorphic`` rank channels of different layers against each other, in
    ``config.steps`` small steps: between two steps the bounds shrink by the same factor and the importance is found
    anew. ``search`` is not for here: it needs data, and ends in a ``uniform`` one.

    Args:
        network: left as it is; the result is a copy.
        input_shape: shape of one chip (C, H, W).
        output_layers: names of the layers that give the logits and keep all their outputs.
        stages: names of the modules that end a stage, in order, for ``stage_growth`` and ``stage_max_ratio``.
        batches: calibration chips (N, C, H, W) with labels (N,), on the device of the network; used by the criteria
            that need gradients.
        teacher: the network that shares and ratios refer to, where ``network`` has been pruned already.

    Raises:
        InputError: as ``check``; a latency that was within reach then, and is no longer, as the machine is busier;
            or a criterion that this network gives no ground for.
    """
    assert config.allocation != "search"
    meter = check(network, config, input_shape=input_shape, output_layers=output_layers, stages=stages, teacher=teacher)
    bounds = meter.bounds
    before = widths(teacher or network)
    pruned = _trainable_copy(network)
    start = meter.costs(pruned)
    steps = 1 if config.allocation == "uniform" else config.steps
    progress = Progress("pruning step", steps)
    plan_now = partial(_Plan, pruned, config, meter, output_layers, stages, before)

    def approach(due: dict[str, float], *, again: bool) -> None:
        plan = plan_now()
        if not plan.fits([unit.channels for unit in plan.units], due):
            plan.rank(batches, recalibrated=again)
            plan.carry_out(due)

    for step in range(1, steps + 1):
        shrink = {name: min(1.0, bound / start[name]) ** (step / steps) for name, bound in bounds.items()}
        approach({name: start[name] * factor for name, factor in shrink.items()}, again=step > 1)
        progress.step("  ".join(f"{key} {readable(key, cost)}" for key, cost in meter.counts(pruned).items()))
    if "latency" in bounds:
        aim = bounds["latency"]
        while (found := meter.latency(pruned)) > bounds["latency"]:  # the search was lucky with its timings
            if plan_now().smallest:
                found = min(meter.latency(pruned) for _ in range(LATENCY_TRIES))
                if found <= bounds["latency"]:
                    break
                raise InputError(
                    "prune.latency",
                    f"the smallest network takes {readable('latency', found)}, and less when it was checked: this "
                    "machine is slower or busier now",
                    "Run this stage again when it is less busy, or raise prune.latency",
                )
            note(f"latency {readable('latency', found)} is above the bound, pruning a little more")
            aim *= LATENCY_MARGIN
            approach(bounds | {"latency": aim}, again=True)
    pruned.zero_grad(set_to_none=True)
    after = widths(pruned)
    layers = tuple(LayerWidth(layer=name, before=width, after=after[name]) for name, width in before.items())
    return Pruned(pruned.train(network.training), layers, steps)


def check(
    network: nn.Module,
    config: PruneConfig,
    *,
    input_shape: tuple[int, ...],
    output_layers: tuple[str, ...],
    stages: tuple[str, ...],
    teacher: nn.Module | None = None,
) -> Meter:
    """What the budgets bound and how far, once it is sure that all can be met.

    Depends on the shapes of the weights only: it tells before training whether the budget can be met after it. The
    smallest network has the same widths whatever the allocation is.

    Raises:
        InputError: layers or stages that do not exist; a budget above what the teacher needs, or out of reach.
    """
    _check_names(network, config, stages)
    meter = Meter(teacher or network, input_shape, config.budgets)
    costs, bounds = meter.teacher, meter.bounds
    smallest = _trainable_copy(network)
    plan = _Plan(smallest, config, meter, output_layers, stages, widths(teacher or network))
    plan.coupling.take_out([range(unit.channels - floor) for unit, floor in zip(plan.units, plan.floors, strict=True)])
    reachable = meter.costs(smallest)
    problems, remedies = [], []
    for name, budget in config.budgets.items():
        asked = f"{name}={getattr(config, name)}"
        if bounds[name] > costs[name]:
            needed = readable(name, costs[name])
            problems.append((name, f"{asked} is more than the teacher needs, {needed}"))
            remedies.append(f"set prune.{name} below {needed} or to a share such as 5%")
        elif bounds[name] < reachable[name]:
            nearest = _nearest_reachable(name, budget, reachable[name], costs[name])
            absolute = readable(name, reachable[name])
            problems.append((name, f"{asked} is out of reach, the smallest reachable is {nearest} ({absolute})"))
            remedies.append(f"set prune.{name}={nearest}, raise prune.max_layer_ratio or lower prune.round_to")
    if problems:
        where = ", ".join(f"prune.{name}" for name, _ in problems)
        remedy = "; ".join(remedies)
        raise InputError(where, "; ".join(problem for _, problem in problems), remedy[:1].upper() + remedy[1:])
    return meter


def recalibrate(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Estimates the statistics of every BatchNorm anew, in place: the mean over all batches of a batch's statistics.

    Dropout stays off, so that the statistics are those of inference. Every batch needs at least two chips.
    """
    modes = {module: module.training for module in network.modules()}
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch then takes the cumulative average
        norm.train()
    with torch.no_grad():
        for images, _ in batches:
            network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, training in modes.items():
        module.training = training


class _Plan:
    """One step of pruning: the channels there are, how few may be left, their ranks, and the search for the bound."""

    def __init__(
        self,
        network: nn.Module,
        config: PruneConfig,
        meter: Meter,
        output_layers: tuple[str, ...],
        stages: tuple[str, ...],
        before: dict[str, int],
    ) -> None:
        self.network, self.config, self.meter = network, config, meter
        self.spared = (*output_layers, *config.ignore)
        self.coupling = Coupling(network, meter.input_shape, self.spared)
        self.units = self.coupling.units
        self.full = [before[unit.name] for unit in self.units]
        numbers = _stage_numbers(network, stages)
        largest = _largest_ratios(numbers, config, stages)
        self.floors = [
            self._floor(unit, full, min(largest[layer] for layer in unit.layers))
            for unit, full in zip(self.units, self.full, strict=True)
        ]
        # Coupled channels that reach into a deeper stage make its features, and so keep the share of that stage.
        depths = [min(max(numbers[layer] for layer in unit.layers), len(stages) - 1) for unit in self.units]
        least = min(1.0, config.stage_growth ** (len(stages) - 1))
        self.growth = [config.stage_growth**depth / least for depth in depths]
        self.scores: list[Tensor] = []

    def _floor(self, unit: Unit, full: int, ratio: float) -> int:
        # The small subtraction keeps 100 channels less 95 % at 5, where floating point says 5.000000000000004.
        left = max(1, math.ceil(full * (1 - ratio) - 1e-6))
        return min(unit.channels, math.ceil(left / self.config.round_to) * self.config.round_to)

    @property
    def smallest(self) -> bool:
        """Whether no channel may go any more."""
        return [unit.channels for unit in self.units] == self.floors

    def rank(self, batches: Batches, *, recalibrated: bool) -> None:
        """Scores every channel of every unit; the network was pruned a step before, if it is to be recalibrated."""
        if self.config.criterion in NEED_GRADIENTS:
            if recalibrated:  # gradients mean nothing under the statistics of the network before that step
                recalibrate(self.network, batches())
            accumulate_gradients(self.network, batches(), self.config.criterion)
        self.scores = score([unit.group for unit in self.units], self.config.criterion, self.config.seed)

    def carry_out(self, bounds: dict[str, float]) -> None:
        """Takes out what must go for the bounds, the least important channels first."""
        left = self._search(bounds)
        self.coupling.take_out(self._removed(left))

    def fits(self, left: Sequence[int], bounds: dict[str, float]) -> bool:
        """Whether the network is within the bounds with so many channels left in each unit."""
        costs = self.coupling.costs(left)
        if any(costs[name] > bound for name, bound in bounds.items() if name in costs):
            return False
        if "latency" not in bounds:
            return True
        candidate = copy.deepcopy(self.network)
        coupling = Coupling(candidate, self.meter.input_shape, self.spared)
        coupling.take_out([range(unit.channels - width) for unit, width in zip(self.units, left, strict=True)])
        return self.meter.latency(candidate) <= LATENCY_MARGIN * bounds["latency"]

    def _search(self, bounds: dict[str, float]) -> list[int]:
        """The widths within the bounds that take out the least: bisection, then the largest remainders."""
        low, high = 0.0, 1.0
        for _ in range(LATENCY_HALVINGS if "latency" in bounds else HALVINGS):
            middle = (low + high) / 2
            if self.fits(self._rounded(self._shares(middle)), bounds):
                high = middle
            else:
                low = middle
        wanted = self._shares(high)
        left = self._rounded(wanted)
        if "latency" in bounds:  # what is left to gain is below what can be measured
            return left
        for index in sorted(range(len(left)), key=lambda index: left[index] - wanted[index]):
            notch = self.config.round_to - left[index] % self.config.round_to
            more = min(left[index] + notch, self.units[index].channels)
            if self.fits([*left[:index], more, *left[index + 1 :]], bounds):
                left[index] = more
        return left

    def _shares(self, taken: float) -> list[float]:
        """Channels left in each unit, unrounded, if the share ``taken`` goes from each pool of the allocation."""
        if self.config.allocation == "uniform":
            return [min(full, full * (1 - taken) * growth) for full, growth in zip(self.full, self.growth, strict=True)]
        pools: dict[object, list[int]] = {}
        for index, unit in enumerate(self.units):
            pools.setdefault(unit.kind if self.config.allocation == "isomorphic" else None, []).append(index)
        shares = [0.0] * len(self.units)
        for members in pools.values():
            owners = torch.cat([torch.full_like(self.scores[index], index) for index in members])
            order = _ascending([self.scores[index] for index in members])
            kept = owners[order[round(taken * len(order)) :]]
            for index in members:
                shares[index] = float((kept == index).sum())
        return shares

    def _rounded(self, wanted: Sequence[float]) -> list[int]:
        notch = self.config.round_to
        return [
            min(max(int(share / notch + 0.5) * notch, floor), unit.channels)
            for share, floor, unit in zip(wanted, self.floors, self.units, strict=True)
        ]

    def _removed(self, left: Sequence[int]) -> list[list[int]]:
        return [
            scores.argsort(stable=True)[: unit.channels - width].tolist()
            for unit, scores, width in zip(self.units, self.scores, left, strict=True)
        ]


def _ascending(scores: Sequence[Tensor]) -> Tensor:
    """Indices into the joined scores that put them in order; equal ones fall by turns, not one unit after another."""
    turns = torch.cat([values.argsort(stable=True).argsort() / len(values) for values in scores]).argsort(stable=True)
    return turns[torch.cat(list(scores))[turns].argsort(stable=True)]


def _nearest_reachable(name: str, budget: Budget, reachable: float, teacher: float) -> str:
    if name == "latency":  # so that asking for it succeeds in spite of the margin
        reachable /= LATENCY_MARGIN
    return f"{up(100 * reachable / teacher, 2):g}%" if budget.relative else readable(name, reachable)


def _check_names(network: nn.Module, config: PruneConfig, stages: tuple[str, ...]) -> None:
    known = {name for name, module in network.named_modules() if name and any(True for _ in module.parameters())}
    known |= set(stages)
    fields = {"ignore": config.ignore, "stage_max_ratio": config.stage_max_ratio}
    wrong = [(f"prune.{field}", name) for field, names in fields.items() for name in names if name not in known]
    if wrong:
        hints = []
        for _, name in wrong:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hints.append(f"{name} is no layer of this network" + (f" (did you mean {near[0]}?)" if near else ""))
        remedy = f"Name a layer, or one of the stages {', '.join(stages)}"
        raise InputError(", ".join(dict.fromkeys(field for field, _ in wrong)), "; ".join(hints), remedy)


def _stage_numbers(network: nn.Module, stages: tuple[str, ...]) -> dict[str, int]:
    """Layer -> number of its stage, from 0; what follows the last stage has the number ``len(stages)``.

    A stage reaches from the end of the one before to its own end, the first one from the beginning.
    """
    names = [name for name, _ in network.named_modules()]
    ends = [max(i for i, name in enumerate(names) if f"{name}.".startswith(f"{stage}.")) for stage in stages]
    return {name: bisect_left(ends, position) for position, name in enumerate(names)}


def _largest_ratios(numbers: dict[str, int], config: PruneConfig, stages: tuple[str, ...]) -> dict[str, float]:
    """Layer -> largest share that may be taken, for layers with the numbers of their stages."""
    ratios = dict.fromkeys(numbers, config.max_layer_ratio)
    for key, ratio in config.stage_max_ratio.items():
        if key in stages:
            members = [name for name, number in numbers.items() if number == stages.index(key)]
        else:
            members = [name for name in numbers if f"{name}.".startswith(f"{key}.")]
        for name in members:
            ratios[name] = min(ratios[name], ratio)
    return ratios


def _trainable_copy(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).requires_grad_(True).eval()
