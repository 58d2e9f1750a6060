"""A training beside a process that never waits: with threads that sleep while they wait, and with such that spin."""

import subprocess
import sys

from benchmarks.speed.turns import seconds

POLICIES = {"ours": "passive", "spinning": "active"}


def measure(kind: str, *training: str) -> float:
    """Seconds of a bare loop (arguments as of the module ``training``), ``ours`` or ``spinning``."""
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        return seconds("training", "bare", *training, OMP_WAIT_POLICY=POLICIES[kind])
    finally:
        neighbour.kill()
        neighbour.wait()


if __name__ == "__main__":
    print(measure(*sys.argv[1:]))
