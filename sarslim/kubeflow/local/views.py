"""How a person sees a run on this machine: a live table in a terminal, plain lines elsewhere."""

import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from sarslim.progress import duration

LEFT = re.compile(r"(?P<rest>.*?) *(?P<left>\S+ left)$")
CELL = re.compile(r"-\d+$")  # numbers the tasks of a loop
TRAINING = re.compile(r"(?:teacher|distill)(?:-(?P<round>\d+))?")
BAR = 10


class State(StrEnum):
    """How a stage stands, in the words of the table."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CACHED = "cached"
    FAILED = "FAILED"
    STOPPED = "stopped"
    NOT_RUN = "not run"


MARKS = {
    State.WAITING: ("·", "dim"),
    State.RUNNING: ("", "cyan"),
    State.DONE: ("✓", "green"),
    State.CACHED: ("✓", "green"),
    State.FAILED: ("✗", "bold red"),
    State.STOPPED: ("✗", "bold red"),
    State.NOT_RUN: ("·", "dim"),
}


class Lines:
    """Plain lines, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._file = console.file
        self._ended, self._expected = Counter[str](), Counter[str]()

    def _print(self, text: str) -> None:
        print(text, file=self._file, flush=True)

    def start(self, task: str) -> None:
        self._print(f"[{task}] started")

    def step(self, task: str, what: str, done: int, total: int, detail: str) -> None:
        self._print(f"[{task}] {what} {done}/{total}  {detail}".rstrip())

    def note(self, task: str, text: str) -> None:
        self._print(f"[{task}] {text}")

    def expect(self, task: str, times: int) -> None:
        self._expected[task] += times

    def finish(self, task: str, state: State, seconds: float, result: str) -> None:
        stage = CELL.sub("", task)
        self._ended[stage] += 1
        words = {State.DONE: f"done in {duration(seconds)}", State.CACHED: "from cache"}.get(state, state.value)
        count = f" ({self._ended[stage]} of {self._expected[stage]})" if self._expected[stage] else ""
        self._print(f"[{task}] {words}{count}{result and f': {result}'}")

    def close(self) -> None:
        pass


class Stages:
    """A live table of all stages, for a terminal."""

    def __init__(self, console: Console, stages: Sequence[str]) -> None:
        self._rows = {stage: _Row() for stage in stages}
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=8)
        self._live.start()

    def start(self, task: str) -> None:
        row = self._row(task)
        row.state, row.detail, row.bar = State.RUNNING, "", None
        row.started = row.started if row.running else time.monotonic()
        row.running += 1

    def step(self, task: str, what: str, done: int, total: int, detail: str) -> None:
        row = self._row(task)
        row.detail = _short(what, done, total, detail)
        row.bar = ProgressBar(total=total, completed=done, width=BAR)

    def note(self, task: str, text: str) -> None:
        row = self._row(task)
        row.detail, row.bar = text, None

    def expect(self, task: str, times: int) -> None:
        self._row(task).expected += times

    def finish(self, task: str, state: State, seconds: float, result: str) -> None:
        row = self._row(task)
        row.count += 1
        row.running = max(row.running - 1, 0)
        row.failed |= state is State.FAILED
        row.state, row.detail, row.bar = State.FAILED if row.failed else state, result, None
        if row.running:  # its time goes on
            row.state = State.RUNNING
        elif seconds:
            row.seconds += time.monotonic() - row.started

    def close(self) -> None:
        for row in self._rows.values():
            row.state = {State.WAITING: State.NOT_RUN, State.RUNNING: State.STOPPED}.get(row.state, row.state)
        self._live.stop()

    def _row(self, task: str) -> "_Row":
        return self._rows.setdefault(CELL.sub("", task), _Row())

    def _table(self) -> Table:
        table = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name in ("", "Stage", "State"):
            table.add_column(name, no_wrap=True)
        table.add_column("Time", justify="right", no_wrap=True, min_width=6)
        table.add_column("", no_wrap=True, ratio=1, overflow="ellipsis")
        for task, row in list(self._rows.items()):  # Live draws in a thread of its own
            running = row.state is State.RUNNING
            seconds = row.seconds + (time.monotonic() - row.started if running else 0)
            mark, style = MARKS[row.state]
            table.add_row(
                row.spinner if running else Text(mark, style=style),
                Text(task, style="bold" if running else "default"),
                Text(row.standing(), style=style),
                duration(seconds) if row.started or row.count else "",
                _beside(row.bar, row.detail) if row.bar else Text(row.detail),
            )
        return table


def _short(what: str, done: int, total: int, detail: str) -> str:
    """A step of a stage with what matters first, as the rest may be cut off: the epoch, and the time that is left."""
    if match := TRAINING.fullmatch(what):
        what = f"round {match['round']}, epoch" if match["round"] else "epoch"
    left = ""
    if match := LEFT.fullmatch(detail):
        left, detail = match["left"], match["rest"]
    return "  ".join(filter(None, (f"{what} {done}/{total}", left, detail)))


def _beside(bar: ProgressBar, text: str) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=bar.width)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_row(bar, Text(text))
    return grid


@dataclass
class _Row:
    """What the table knows of a stage: tasks that run, and that have ended, of ``expected`` where that is known."""

    state: State = State.WAITING
    started: float = 0.0
    seconds: float = 0.0
    running: int = 0
    failed: bool = False
    count: int = 0
    expected: int = 0
    detail: str = ""
    bar: ProgressBar | None = None
    spinner: Spinner = field(default_factory=lambda: Spinner("dots", style="cyan"))

    def standing(self) -> str:
        """The state in words; tasks of a loop share the row of their stage."""
        if self.expected and self.state in (State.RUNNING, State.DONE, State.CACHED, State.WAITING):
            return f"{self.count} of {self.expected}"
        return f"{self.state} {self.count}×" if self.count > 1 and not self.failed else self.state
