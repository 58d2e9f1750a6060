"""Sorts what a local KFP run prints: everything into a file per task, progress to the person who waits."""

import contextlib
import io
import logging
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from sarslim.progress import duration

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
STARTED = re.compile(r"Executing task '([\w-]+)'")
CACHED = re.compile(r"Task ([\w-]+) cache hit")
FINISHED = re.compile(r"Task '([\w-]+)' finished with status (\w+)")
# KFP indents what a task prints by four blanks, or by eight.
STEP = re.compile(r" {4,8}(?P<what>\S.*?) (?P<done>\d+)/(?P<total>\d+)(?:  (?P<detail>.*))?$")
NOTE = re.compile(r" {4,8}note: (?P<text>.*)")
INDENT = re.compile(r"^( {8}| {4})")


class RunLog(io.TextIOBase):
    """A text stream that reads KFP's local log as it is written.

    ``names`` maps KFP's task names to the names that people know; ``console`` is where they look.
    """

    def __init__(self, folder: Path, names: Mapping[str, str], console: Console) -> None:
        self.seconds: dict[str, float] = {}
        self.cached: list[str] = []
        self.failed: str | None = None
        self.folder, self._names = folder, names
        self._lines: dict[str, list[str]] = {}
        self._task = "kfp"
        self._started = time.monotonic()
        self._rest = ""
        self._view = _Bars(console) if console.is_terminal else _Lines(console)

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
            self._task, self._started = self._name(match[1]), time.monotonic()
            self._view.start(self._task)
        self._keep(line)
        if match := CACHED.search(line):
            task = self._name(match[1])
            self.cached.append(task)
            self.seconds[task] = 0.0
            self._view.finish(task, "from cache")
        elif match := FINISHED.search(line):
            self._end(self._name(match[1]), succeeded=match[2] == "SUCCESS")
        elif match := STEP.match(line):
            self._view.step(self._task, match["what"], int(match["done"]), int(match["total"]), match["detail"] or "")
        elif match := NOTE.match(line):
            self._view.note(self._task, match["text"])

    def _name(self, task: str) -> str:
        # KFP numbers the tasks of one component: measure-network-2.
        return self._names.get(task, self._names.get(re.sub(r"-\d+$", "", task), task))

    def _end(self, task: str, *, succeeded: bool) -> None:
        self.seconds[task] = round(time.monotonic() - self._started, 2)
        if not succeeded:
            self.failed = task
        self._view.finish(task, f"done in {duration(self.seconds[task])}" if succeeded else "FAILED")
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
def watch(folder: Path, names: Mapping[str, str], screen: TextIO) -> Iterator[RunLog]:
    """Sends all that is printed in the context to a :class:`RunLog` that keeps its files in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    log = RunLog(folder, names, Console(file=screen))
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

    def finish(self, task: str, outcome: str) -> None:
        self._print(f"[{task}] {outcome}")

    def close(self) -> None:
        pass


class _Bars:
    """A live bar per task, for a terminal."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}"),
            console=console,
        )
        self._rows: dict[str, TaskID] = {}
        self._progress.start()

    def start(self, task: str) -> None:
        if task not in self._rows:
            self._rows[task] = self._progress.add_task(task, total=None, detail="")

    def step(self, task: str, what: str, done: int, total: int, detail: str) -> None:
        self.start(task)
        text = f"{what} {done}/{total}  {detail}".rstrip()
        self._progress.update(self._rows[task], completed=done, total=total, detail=text)

    def note(self, task: str, text: str) -> None:
        self._progress.console.print(f"[{task}] {text}", markup=False)

    def finish(self, task: str, outcome: str) -> None:
        self.start(task)
        self._progress.update(self._rows[task], completed=1, total=1, detail=outcome)
        self._progress.stop_task(self._rows[task])

    def close(self) -> None:
        self._progress.stop()
