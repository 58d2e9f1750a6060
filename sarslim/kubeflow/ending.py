"""SIGTERM to a run on this machine: the stage that runs ends first and keeps what it has learned, then the run."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 20  # seconds that a stage has to save
CODE = 128 + signal.SIGTERM


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


def _stages(process: str = "self") -> list[int]:
    """The processes that this one and those that it started have started, but for the object store."""
    found = []
    for listed in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            found += [child for child in listed.read_text().split() if _name(child) not in ("rclone", "")]
    return [stage for child in found for stage in (int(child), *_stages(child))]


def _name(process: str) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/comm").read_text().strip()
    return ""
