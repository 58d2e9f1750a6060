"""Sorts what a local KFP run prints: everything into a file per task, progress to the person who waits."""

import contextlib
import io
import json
import logging
import re
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

from kfp.local import logging_utils
from rich.console import Console

from sarslim.kubeflow.local.views import CELL, Lines, Stages, State

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
STARTED = re.compile(r"Executing task '([\w-]+)'")
CACHED = re.compile(r"Task ([\w-]+) cache hit")
FINISHED = re.compile(r"Task '([\w-]+)' finished with status (\w+)")
# What a task prints is indented by four blanks.
STEP = re.compile(r" {4}(?P<what>\S.*?) (?P<done>\d+)/(?P<total>\d+)(?:  (?P<detail>.*))?$")
NOTE = re.compile(r" {4}note: (?P<text>.*)")
FIGURES = re.compile(r" {4}figures: (?P<json>\{.*\})$")
INDENT = "    "
TIME = "%H:%M:%S.%f"

Headline = Callable[[str, Mapping[str, float]], str]


def say(line: str) -> None:
    """Prints a line of a task."""
    sys.stdout.write(f"{INDENT}{line}\n")


@dataclass
class _Reading:
    """What is known of the task of a thread."""

    rest: str = ""
    kfp_name: str = ""
    task: str = "kfp"
    started: float = 0.0
    result: str = ""


class RunLog(io.TextIOBase):
    """A text stream that reads KFP's local log as it is written. Cells that run side by side write in a thread each.

    ``names`` maps KFP's task names to the stages that people know, ``stages`` are those of this run in their order,
    ``loops`` tells for the task of a plan what runs once for each of its cells, which are numbered, ``headline`` makes
    a line out of the figures of a stage; ``console`` is where people look.
    """

    def __init__(
        self,
        folder: Path,
        names: Mapping[str, str],
        stages: Sequence[str],
        loops: Mapping[str, str],
        headline: Headline,
        console: Console,
    ) -> None:
        self.seconds: dict[str, float] = {}
        self.cached: list[str] = []
        self.failed: str | None = None
        self.folder, self._names, self._headline = folder, names, headline
        self._loops = loops
        self._lines: dict[str, list[str]] = {}
        self._cells = Counter[str]()
        self._readings: dict[int, _Reading] = defaultdict(_Reading)
        self._lock = threading.RLock()
        live = console.is_terminal and not console.is_dumb_terminal
        self._view = Stages(console, stages) if live else Lines(console)

    def writable(self) -> bool:
        """The stream can be written to."""
        return True

    def write(self, text: str) -> int:
        """Takes in text, line by line."""
        with self._lock:
            now = self._readings[threading.get_ident()]
            *lines, now.rest = (now.rest + text).split("\n")
            for line in lines:
                self._read(COLOURS.sub("", line), now)
            return len(text)

    def lines(self, task: str) -> list[str]:
        """What a task has printed so far."""
        return self._lines.get(task, [])

    def _read(self, line: str, now: _Reading) -> None:
        if match := STARTED.search(line):
            now.kfp_name, now.started, now.result = match[1], time.monotonic(), ""
            now.task = self._numbered(match[1])
            self._view.start(now.task)
        self._keep(line, now.task)
        if match := CACHED.search(line):
            task = self._numbered(match[1])
            self.cached.append(task)
            self.seconds.setdefault(task, 0.0)
            self._view.finish(task, State.CACHED, 0.0, "")
        elif match := FINISHED.search(line):
            self._end(now, succeeded=match[2] == "SUCCESS")
        elif match := STEP.match(line):
            self._view.step(now.task, match["what"], int(match["done"]), int(match["total"]), match["detail"] or "")
        elif match := FIGURES.match(line):
            self._take(json.loads(match["json"]), now)
        elif match := NOTE.match(line):
            self._view.note(now.task, match["text"])

    def _numbered(self, task: str) -> str:
        name = self._name(task)
        if name not in self._loops.values():
            return name
        self._cells[name] += 1
        return f"{name}-{self._cells[name]}"

    def _name(self, task: str) -> str:
        # KFP numbers the tasks of one component: measure-network-2.
        return self._names.get(task, self._names.get(re.sub(r"-\d+$", "", task), task))

    def _end(self, now: _Reading, *, succeeded: bool) -> None:
        seconds = round(time.monotonic() - now.started, 2)
        self.seconds[now.task] = round(self.seconds.get(now.task, 0.0) + seconds, 2)
        if not succeeded:
            self.failed = now.task
        self._view.finish(now.task, State.DONE if succeeded else State.FAILED, seconds, now.result)
        now.task = "kfp"

    def _take(self, figures: Mapping[str, float], now: _Reading) -> None:
        now.result = self._headline(CELL.sub("", now.task), figures)
        if cell := self._loops.get(now.kfp_name):
            self._view.expect(cell, int(figures["cells"]))

    def _keep(self, line: str, task: str) -> None:
        line = line.removeprefix(INDENT)
        self._lines.setdefault(task, []).append(line)
        with (self.folder / f"{task}.log").open("a", encoding="utf-8") as file:
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
    loops: Mapping[str, str] = MappingProxyType({}),
    headline: Headline = lambda stage, figures: "",
) -> Iterator[RunLog]:
    """Sends all that is printed in the context to a :class:`RunLog` that keeps its files in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    log = RunLog(folder, names, stages, loops, headline, Console(file=screen))
    # KFP tells of cache hits by logging alone. Its own ways to indent what is printed and to show what is logged are
    # for one task at a time: of two, each would leave the other's behind.
    root, handler = logging.getLogger(), logging.StreamHandler(log)
    level, handlers = root.level, root.handlers[:]
    ways = {name: getattr(logging_utils, name) for name in ("indented_print", "local_logger_context")}
    handler.setFormatter(logging_utils.MillisecondFormatter("%(asctime)s - %(levelname)s - %(message)s", TIME))
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ways:
        setattr(logging_utils, name, contextlib.nullcontext)
    try:
        with contextlib.redirect_stdout(log):
            yield log
    finally:
        for name, way in ways.items():
            setattr(logging_utils, name, way)
        root.handlers[:] = handlers
        root.setLevel(level)
        log.close_view()
