"""The lines of one setting as tables and figures see it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.method import cells, plan
from sarslim.config.recoveries import TWIN


class Runs:
    """The lines of one setting at its learning rate, which was chosen among ``rates``: figures by seed."""

    def __init__(self, lines: Sequence[Mapping[str, Any]], rates: Iterable[float]) -> None:
        self.first = lines[0]
        self.rates = sorted(rates)
        self.lines = {line["seed"]: line for line in sorted(lines, key=lambda line: line["seed"])}

    @property
    def has_shortcuts(self) -> bool:
        """Whether it was held against shortcuts; the first lines were not."""
        return all("shortcuts" in line for line in self.lines.values())

    def test(self, figure: str = "accuracy") -> dict[int, Any]:
        """A figure of the test part by seed, of those that have it: the first lines were measured on fewer shifts."""
        return {seed: line["test"][figure] for seed, line in self.lines.items() if figure in line["test"]}

    def teacher(self, figure: str = "accuracy") -> dict[int, Any]:
        """The same of the teacher."""
        return {
            seed: line["teacher_test"][figure] for seed, line in self.lines.items() if figure in line["teacher_test"]
        }

    @property
    def cell(self) -> cells.Cell:
        """Of the first seed; the others differ by the seed alone."""
        return plan.cell_of(self.first)

    def rank(self) -> tuple[Any, ...]:
        """The place in a table: by path, then as methods are listed."""
        return self.cell.path, plan.METHODS.index(self.cell.method), self.cell.unlabelled, self.cell.views

    def size(self) -> tuple[Any, ...]:
        """The place in a table that is read from the smallest to the largest network."""
        return self.first["macs"], self.cell.generations, self.cell.longer, self.cell.method, self.cell.unlabelled

    @property
    def name(self) -> str:
        """As tables name it."""
        cell = self.cell
        method = "from scratch" if cell.is_rival and cell.method == TWIN else cell.method
        views = f", {cell.views} views answered beforehand" * bool(cell.views)
        return method + " + unlabelled chips" * cell.unlabelled + views

    @property
    def title(self) -> str:
        """As tables name it outside of its regime."""
        return ", ".join(filter(None, (self.cell.budget, self.cell.path, self.way)))

    @property
    def way(self) -> str:
        """How the network came to be what it is, whatever its size and path."""
        cell = self.cell
        line = f", teacher of generation {cell.generations}" * (cell.generations > 1)
        return self.name + line + f", {cell.longer} times as long" * (cell.longer > 1)


def settled(lines: Sequence[Mapping[str, Any]]) -> list[Runs]:
    """Every setting at the learning rate that validation chose; other rates served the choice only."""
    chosen = plan.rates(lines)
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    tried: dict[tuple[Any, ...], set[float]] = defaultdict(set)
    for line in lines:
        cell = plan.cell_of(line)
        tried[cell.setting].add(cell.learning_rate)
        if cell.learning_rate == chosen.get(cell.setting):
            groups[cell.setting].append(line)
    return [Runs(group, tried[setting]) for setting, group in groups.items()]
