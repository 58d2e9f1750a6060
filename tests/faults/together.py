"""Runs that share a folder at the same time: each ends as if it were alone, and none mixes with another."""

import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from faults.kills import MOST_SECONDS, alone, files, start


@dataclass
class Tally:
    """``same`` of the ``ended`` runs had the files of the one that was alone."""

    ended: int = 0
    same: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        alike = f"{self.same} ended bit for bit as the one that was alone"
        return f"runs in pairs: {self.ended}; {alike}; {len(self.wrong)} wrong"


def campaign(root: Path, pairs: int, seed: int, tell: Callable[[str], None] = print) -> Tally:
    """So many times two runs in one folder, the second some seconds after the first, each time in a new folder."""
    rng, tally = random.Random(seed), Tally()
    config, wanted = alone(root)
    for number in range(pairs):
        runs = root / f"pair-{number}"
        processes: list[subprocess.Popen[str]] = []
        for pause in (0.0, rng.uniform(0, 10)):
            time.sleep(pause)
            processes.append(start(runs, config))
        for process in processes:
            printed, _ = process.communicate(timeout=2 * MOST_SECONDS)
            if process.returncode:
                tally.wrong.append(f"one of two runs gave {process.returncode}: {printed[-2000:]}")
        ended = sorted(file.parent.name for file in runs.glob("[0-9]*/summary.json"))
        if len(ended) != len(processes):
            tally.wrong.append(f"two runs left {ended}")
        for run in ended:
            tally.ended += 1
            if files(runs, run) == wanted:
                tally.same += 1
            else:
                tally.wrong.append(f"other files in {run} of pair {number}")
        tell(str(tally))
    return tally
