"""What a budget bounds: multiply-accumulates, parameters, milliseconds; and how such a cost is written."""

import math

from torch import nn

from sarslim.config import Budget
from sarslim.networks.cost import count_macs, count_params
from sarslim.networks.timing import in_turns, of_module

SECONDS_PER_LATENCY = 0.3


class Meter:
    """Tells what networks need, in the unit of ``bounds``.

    Where the latency is bounded by a share, networks are timed in turns with the teacher, and their milliseconds are
    those of a machine on which the teacher always takes as long. Else a minute in which the machine is busy would
    decide how much is pruned, or whether anything is.

    Args:
        teacher: what the shares of ``budgets`` refer to.
        input_shape: shape of one chip (C, H, W).

    Attributes:
        teacher: what the teacher needs.
        bounds: the most that is allowed (macs, params, latency in ms), of what is bounded.
    """

    def __init__(self, teacher: nn.Module, input_shape: tuple[int, ...], budgets: dict[str, Budget]) -> None:
        self.input_shape, self.timed = input_shape, "latency" in budgets
        self.beside = teacher if self.timed and budgets["latency"].relative else None
        self.teacher = self.counts(teacher)
        if self.timed:
            (self.teacher["latency"],) = self._milliseconds(teacher)
        self.bounds = {name: budget.limit(self.teacher[name]) for name, budget in budgets.items()}

    def costs(self, network: nn.Module) -> dict[str, float]:
        """Multiply-accumulates and parameters, and milliseconds if these are bounded."""
        return self.counts(network) | ({"latency": self.latency(network)} if self.timed else {})

    def counts(self, network: nn.Module) -> dict[str, float]:
        """Multiply-accumulates and parameters."""
        return {"macs": count_macs(network, self.input_shape), "params": count_params(network)}

    def latency(self, network: nn.Module) -> float:
        """Milliseconds for one chip on one thread of this CPU."""
        if self.beside is None:
            return self._milliseconds(network)[0]
        found, beside = self._milliseconds(network, self.beside)
        return self.teacher["latency"] * found / beside

    def _milliseconds(self, *networks: nn.Module) -> list[float]:
        """Of each, taken in turns."""
        jobs = {number: of_module(network, self.input_shape) for number, network in enumerate(networks)}
        return [found.median_ms for found in in_turns(jobs, seconds=SECONDS_PER_LATENCY / len(jobs)).values()]


def readable(name: str, cost: float) -> str:
    """A cost as a budget is written, rounded up to three digits so that it can be asked for: ``1.24M``, ``0.8ms``."""
    if name == "latency":
        return f"{up(cost, 2):g}ms"
    unit, scale = next(
        ((unit, scale) for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)) if cost >= scale), ("", 1)
    )
    return f"{up(cost / scale, 3):g}{unit}"


def up(value: float, digits: int) -> float:
    """Rounded up to so many significant digits."""
    step = 10.0 ** (math.floor(math.log10(value)) - digits + 1)
    return round(math.ceil(value / step - 1e-9) * step, 12)
