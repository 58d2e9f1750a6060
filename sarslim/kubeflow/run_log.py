"""Sorts what a local KFP run prints: everything into a file per task, progress to the person who waits."""

import contextlib
import io
import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from sarslim.progress import duration

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
STARTED = re.compile(r"Executing task '([\w-]+)'")
CACHED = re.compile(r"Task ([\w-]+) cache hit")
FINISHED = re.compile(r"Task '([\w-]+)' finished with status (\w+)")
# KFP indents what a task prints by four blanks, or by eight.
STEP = re.compile(r" {4,8}(?P<what>\S.*?) (?P<done>\d+)/(?P<total>\d+)(?:  (?P<detail>.*))?$")
NOTE = re.compile(r" {4,8}note: (?P<text>.*)")
FIGURES = re.compile(r" {4,8}figures: (?P<json>\{.*\})$")
INDENT = re.compile(r"^( {8}| {4})")


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

Headline = Callable[[str, Mapping[str, float]], str]


class RunLog(io.TextIOBase):
    """A text stream that reads KFP's local log as it is written.

    ``names`` maps KFP's task names to the stages that people know, ``stages`` are those of this run in their order,
    ``headline`` makes a line out of the figures of a stage; ``console`` is where people look.
    """

    def __init__(
        self, folder: Path, names: Mapping[str, str], stages: Sequence[str], headline: Headline, console: Console
    ) -> None:
        self.seconds: dict[str, float] = {}
        self.cached: list[str] = []
        self.failed: str | None = None
        self.folder, self._names, self._headline = folder, names, headline
        self._result = ""
        self._lines: dict[str, list[str]] = {}
        self._task = "kfp"
        self._started = time.monotonic()
        self._rest = ""
        live = console.is_terminal and not console.is_dumb_terminal
        self._view = _Stages(console, stages) if live else _Lines(console)

    def writable(self) -> bool:
        """The stream can be written to."""
        return True

    def write(self, text: str) -> int:
        """Takes in text, line by line."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._read(COLOURS.sub("", line))
        return len(text)

    def lines(self, task: str) -> list[str]:
        """What a task has printed so far."""
        return self._lines.get(task, [])

    def _read(self, line: str) -> None:
        if match := STARTED.search(line):
            self._task, self._started, self._result = self._name(match[1]), time.monotonic(), ""
            self._view.start(self._task)
        self._keep(line)
        if match := CACHED.search(line):
            task = self._name(match[1])
            self.cached.append(task)
            self.seconds[task] = 0.0
            self._view.finish(task, State.CACHED, 0.0, "")
        elif match := FINISHED.search(line):
            self._end(self._name(match[1]), succeeded=match[2] == "SUCCESS")
        elif match := STEP.match(line):
            self._view.step(self._task, match["what"], int(match["done"]), int(match["total"]), match["detail"] or "")
        elif match := FIGURES.match(line):
            self._result = self._headline(self._task, json.loads(match["json"]))
        elif match := NOTE.match(line):
            self._view.note(self._task, match["text"])

    def _name(self, task: str) -> str:
        # KFP numbers the tasks of one component: measure-network-2.
        return self._names.get(task, self._names.get(re.sub(r"-\d+$", "", task), task))

    def _end(self, task: str, *, succeeded: bool) -> None:
        self.seconds[task] = round(time.monotonic() - self._started, 2)
        if not succeeded:
            self.failed = task
        self._view.finish(task, State.DONE if succeeded else State.FAILED, self.seconds[task], self._result)
        self._task = "kfp"

    def _keep(self, line: str) -> None:
        line = INDENT.sub("", line)
        self._lines.setdefault(self._task, []).append(line)
        with (self.folder / f"{self._task}.log").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def close_view(self) -> None:
        """Leaves the terminal as it was."""
        self._view.close()


@contextlib.contextmanager
def watch(
    folder: Path,
    names: Mapping[str, str],
    screen: TextIO,
    *,
    stages: Sequence[str] = (),
    headline: Headline = lambda stage, figures: "",
) -> Iterator[RunLog]:
    """Sends all that is printed in the context to a :class:`RunLog` that keeps its files in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    log = RunLog(folder, names, stages, headline, Console(file=screen))
    # KFP tells of cache hits by logging alone.
    root, handler = logging.getLogger(), logging.StreamHandler(log)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        with contextlib.redirect_stdout(log):
            yield log
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        log.close_view()


class _Lines:
    """Plain lines, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._file = console.file

    def _print(self, text: str) -> None:
        print(text, file=self._file, flush=True)

    def start(self, task: str) -> None:
        self._print(f"[{task}] started")

    def step(self, task: str, what: str, done: int, total: int, detail: str) -> None:
        self._print(f"[{task}] {what} {done}/{total}  {detail}".rstrip())

    def note(self, task: str, text: str) -> None:
        self._print(f"[{task}] {text}")

    def finish(self, task: str, state: State, seconds: float, result: str) -> None:
        words = {State.DONE: f"done in {duration(seconds)}", State.CACHED: "from cache"}.get(state, state.value)
        self._print(f"[{task}] {words}{result and f': {result}'}")

    def close(self) -> None:
        pass


class _Stages:
    """A live table of all stages, for a terminal."""

    def __init__(self, console: Console, stages: Sequence[str]) -> None:
        self._rows = {stage: _Row() for stage in stages}
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=8)
        self._live.start()

    def start(self, task: str) -> None:
        row = self._row(task)
        row.state, row.started, row.detail, row.bar = State.RUNNING, time.monotonic(), "", None

    def step(self, task: str, what: str, done: int, total: int, detail: str) -> None:
        row = self._row(task)
        row.detail = f"{what} {done}/{total}  {detail}".rstrip()
        row.bar = ProgressBar(total=total, completed=done, width=16)

    def note(self, task: str, text: str) -> None:
        row = self._row(task)
        row.detail, row.bar = text, None

    def finish(self, task: str, state: State, seconds: float, result: str) -> None:
        row = self._row(task)
        row.count += 1
        row.seconds += seconds
        row.state, row.detail, row.bar = state, result, None

    def close(self) -> None:
        for row in self._rows.values():
            row.state = {State.WAITING: State.NOT_RUN, State.RUNNING: State.STOPPED}.get(row.state, row.state)
        self._live.stop()

    def _row(self, task: str) -> "_Row":
        return self._rows.setdefault(task, _Row())

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
            # Tasks of a loop share the row of their stage.
            state = f"{row.state} {row.count}×" if row.count > 1 else row.state
            table.add_row(
                row.spinner if running else Text(mark, style=style),
                Text(task, style="bold" if running else "default"),
                Text(state, style=style),
                duration(seconds) if row.started or row.count else "",
                _beside(row.bar, row.detail) if row.bar else Text(row.detail),
            )
        return table


def _beside(bar: ProgressBar, text: str) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=bar.width)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_row(bar, Text(text))
    return grid


@dataclass
class _Row:
    """What the table knows of a stage; ``count`` tasks of it have ended."""

    state: State = State.WAITING
    started: float = 0.0
    seconds: float = 0.0
    count: int = 0
    detail: str = ""
    bar: ProgressBar | None = None
    spinner: Spinner = field(default_factory=lambda: Spinner("dots", style="cyan"))
