"""Sorts what a local KFP run prints: everything into a file per task, progress to the person who waits."""

import contextlib
import io
import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

from rich.console import Console

from sarslim.kubeflow.local.views import Lines, Stages, State

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
STARTED = re.compile(r"Executing task '([\w-]+)'")
CACHED = re.compile(r"Task ([\w-]+) cache hit")
FINISHED = re.compile(r"Task '([\w-]+)' finished with status (\w+)")
# KFP indents what a task prints by four blanks, or by eight.
STEP = re.compile(r" {4,8}(?P<what>\S.*?) (?P<done>\d+)/(?P<total>\d+)(?:  (?P<detail>.*))?$")
NOTE = re.compile(r" {4,8}note: (?P<text>.*)")
FIGURES = re.compile(r" {4,8}figures: (?P<json>\{.*\})$")
INDENT = re.compile(r"^( {8}| {4})")


Headline = Callable[[str, Mapping[str, float]], str]


class RunLog(io.TextIOBase):
    """A text stream that reads KFP's local log as it is written.

    ``names`` maps KFP's task names to the stages that people know, ``stages`` are those of this run in their order,
    ``loops`` tells for the task of a plan what runs once for each of its cells, ``headline`` makes a line out of the
    figures of a stage; ``console`` is where people look.
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
        self._kfp_name = ""
        self._result = ""
        self._lines: dict[str, list[str]] = {}
        self._task = "kfp"
        self._started = time.monotonic()
        self._rest = ""
        live = console.is_terminal and not console.is_dumb_terminal
        self._view = Stages(console, stages) if live else Lines(console)

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
            self._kfp_name, self._started, self._result = match[1], time.monotonic(), ""
            self._task = self._name(match[1])
            self._view.start(self._task)
        self._keep(line)
        if match := CACHED.search(line):
            task = self._name(match[1])
            self.cached.append(task)
            self.seconds.setdefault(task, 0.0)
            self._view.finish(task, State.CACHED, 0.0, "")
        elif match := FINISHED.search(line):
            self._end(self._name(match[1]), succeeded=match[2] == "SUCCESS")
        elif match := STEP.match(line):
            self._view.step(self._task, match["what"], int(match["done"]), int(match["total"]), match["detail"] or "")
        elif match := FIGURES.match(line):
            self._take(json.loads(match["json"]))
        elif match := NOTE.match(line):
            self._view.note(self._task, match["text"])

    def _name(self, task: str) -> str:
        # KFP numbers the tasks of one component: measure-network-2.
        return self._names.get(task, self._names.get(re.sub(r"-\d+$", "", task), task))

    def _end(self, task: str, *, succeeded: bool) -> None:
        seconds = round(time.monotonic() - self._started, 2)
        self.seconds[task] = round(self.seconds.get(task, 0.0) + seconds, 2)
        if not succeeded:
            self.failed = task
        self._view.finish(task, State.DONE if succeeded else State.FAILED, seconds, self._result)
        self._task = "kfp"

    def _take(self, figures: Mapping[str, float]) -> None:
        self._result = self._headline(self._task, figures)
        if cell := self._loops.get(self._kfp_name):
            self._view.expect(cell, int(figures["cells"]))

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
    loops: Mapping[str, str] = MappingProxyType({}),
    headline: Headline = lambda stage, figures: "",
) -> Iterator[RunLog]:
    """Sends all that is printed in the context to a :class:`RunLog` that keeps its files in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    log = RunLog(folder, names, stages, loops, headline, Console(file=screen))
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
