"""Processes that take turns, each of which says how many seconds its work took, without starting."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PEERS = Path("runs") / "peers"
LOCK = Path(__file__).with_name("peers.lock")


def seconds(work: str, kind: str, *arguments: object, **environment: str) -> float:
    """What a process that runs the module ``work`` of this package says that its work took."""
    command = [sys.executable, "-m", f"benchmarks.speed.{work}", kind, *map(str, arguments)]
    environment = {"PYTHONPATH": os.pathsep.join([str(peers()), os.environ.get("PYTHONPATH", "")])} | environment
    found = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(found.stdout.split()[-1])


def in_turn(work: str, kinds: Sequence[str], *arguments: object) -> dict[str, float]:
    """The seconds of each kind of ``work``, one after the other."""
    return {kind: seconds(work, kind, *arguments) for kind in kinds}


def peers() -> Path:
    """The folder of the peers that are no dependency of sarslim; they are installed where they are not yet."""
    if not PEERS.exists():
        draft = PEERS.with_suffix(".draft")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*command, "--target", draft, "--requirement", LOCK], check=True)
        draft.replace(PEERS)
    return PEERS.resolve()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps what work prints from standing before its seconds."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
