"""SIGTERM to a run on this machine: the stage that runs ends first and keeps what it has learned, then the run."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 20  # seconds that a stage has to save
# What processes are called: one that forks stages and waits for them, and a stage (Linux: 15 letters at most).
FORKING, STAGE_PROCESS = "sarslim-forks", "sarslim-stage"
SHELLS = ("sh", "bash", "dash", FORKING)
CODE = 128 + signal.SIGTERM


def call_process(name: str) -> None:
    """Gives this process a name, where the system lets it."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name)


@contextmanager
def sigterm_cleans_up() -> Iterator[None]:
    """SIGTERM ends this process as an exception does, before there is a stage: what it has started ends with it."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(CODE)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stages_end_first() -> Iterator[list[int]]:
    """Passes SIGTERM on to the stages, and ends this process when they are gone; yields whether it was sent.

    The list is empty unless it was. Who dies at once would leave a stage behind, with no object store to save to.
    """
    asked: list[int] = []

    def end(number: int, frame: object) -> None:
        asked.append(number)
        stages = _stages()
        for stage in stages:
            with suppress(ProcessLookupError):
                os.kill(stage, signal.SIGTERM if len(asked) < PATIENCE else signal.SIGKILL)
        if not stages:
            raise SystemExit(CODE)
        signal.alarm(1)  # one may have started just now

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGALRM)}
    try:
        yield asked
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _stages() -> list[int]:
    """The processes of stages: those that this one or a shell of it started, but for the object store."""
    children: dict[int, list[tuple[int, str]]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            # pid (name) state parent ..., and a name may hold blanks and brackets
            head, _, rest = file.read_text(errors="replace").rpartition(")")
            state, parent = rest.split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append((int(file.parent.name), head.partition("(")[2]))
    found, waiting = [], children.get(os.getpid(), [])
    while waiting:
        process, name = waiting.pop()
        if name in SHELLS:  # would end at once, and leave what it waits for
            waiting += children.get(process, [])
        elif name != "rclone":
            found.append(process)
    return found
