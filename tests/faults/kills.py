"""Runs that are killed at random moments in every stage: the run after the last kill ends as one that never was.

A run is started, and killed some time after the first line of a stage; the same command starts it again, until it
ends. SIGKILL goes to all its processes at once, as when the power fails; SIGTERM to the run, which has 20 seconds.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
STAGES = ("check", "prepare", "teacher", "ask", "prune", "distill", "evaluate", "publish")
CONFIG: dict[str, Any] = {
    "prepare": {"image_size": 32, "simulator": {"chips": 300, "classes": 2}},
    "teacher": {"network": "aconvnet", "epochs": 8, "batch_size": 32, "checkpoint_seconds": 0},
    "prune": {"macs": "40%", "params": "40%"},
    "ask": {"views": 4},
    "distill": {"epochs": 6, "batch_size": 32, "checkpoint_seconds": 0},
    "evaluate": {"latency_seconds": 0.02, "looks": [4], "max_drop": 1.0},
}
# What has no clock in it: the rest tells seconds and dates.
COMPARED = ("weights.safetensors", "_images.npy", "_labels.npy", "chips.csv", "model.onnx", "model.int8.onnx")
SAVE_SECONDS = 20.0
MOST_SECONDS = 300.0


@dataclass
class Tally:
    """``kills`` by stage and signal; ``same`` of the ``ended`` runs had the files of the one that was not killed."""

    kills: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    same: int = 0
    slowest_sigterm: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.kills.items()))
        return (
            f"kills: {self.kills.total()} ({kinds}); {self.same} of {self.ended} runs ended bit for bit as the one "
            f"that was not killed; SIGTERM took at most {self.slowest_sigterm:.1f} s; {len(self.wrong)} wrong"
        )


def start(runs: Path, config: Path) -> subprocess.Popen[str]:
    """A run in a session of its own, so that all of it can be killed at once."""
    command = [sys.executable, "-m", "sarslim.cli", "run", "--config", str(config), "--runs", str(runs)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def alone(root: Path) -> tuple[Path, dict[str, str]]:
    """The configuration, and the files of a run that nobody disturbs."""
    config = root / "config.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    done = start(root / "alone", config)
    printed, _ = done.communicate(timeout=MOST_SECONDS)
    assert done.returncode == 0, printed
    wanted = files(root / "alone")
    assert {name.partition("/")[0] for name in wanted} >= {"dataset", "teacher", "student", "published"}, sorted(wanted)
    return config, wanted


def files(runs: Path, run: str = "latest") -> dict[str, str]:
    """SHA-256 of what a finished run made, by the name of its task and file."""
    made = json.loads((runs / run / "summary.json").read_text())["artifacts"]
    found = {}
    for name, place in made.items():
        for file in sorted((runs / place).rglob("*")):
            if file.is_file() and file.name.endswith(COMPARED):
                found[f"{name}/{file.name}"] = hashlib.sha256(file.read_bytes()).hexdigest()
    for file in (runs / "store").glob("sarslim/models/*/sha-*/*"):
        if file.name.endswith(COMPARED):
            found[f"published/{file.name}"] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def lives(process: subprocess.Popen[str], stage: str, after: float, number: int) -> tuple[bool, float, list[str]]:
    """Waits for a stage, then kills; whether it was killed, how long it took to end, and what it printed."""
    printed: list[str] = []
    seen = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            printed.append(line)
            if line.startswith(f"[{stage}]"):
                seen.set()
        seen.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    seen.wait(MOST_SECONDS)
    with_time = time.monotonic() + after
    while process.poll() is None and time.monotonic() < with_time:
        time.sleep(0.01)
    killed, began = process.poll() is None, time.monotonic()
    if killed:
        (os.killpg if number == signal.SIGKILL else os.kill)(process.pid, number)
    try:
        process.wait(SAVE_SECONDS + 10 if killed else MOST_SECONDS)
    except subprocess.TimeoutExpired:
        printed.append("LEFT BEHIND: the run itself")
    finally:
        took = time.monotonic() - began
        try:
            os.killpg(process.pid, signal.SIGKILL)  # whoever is left of it; after SIGTERM nobody should be
            left = number == signal.SIGTERM and killed
        except ProcessLookupError:
            left = False
        process.wait()
        reader.join(10)
    if left:
        printed.append("LEFT BEHIND: a process of the run")
    return killed, took, printed


def campaign(
    root: Path, kills: int, seed: int, stages: Sequence[str] = STAGES, tell: Callable[[str], None] = print
) -> Tally:
    """So many kills, the stages in turn; a run that comes to its end is compared, and the next one starts afresh."""
    rng, tally = random.Random(seed), Tally()
    config, wanted = alone(root)
    runs, number = root / "runs", 0
    while tally.kills.total() < kills or runs.exists():
        stage = stages[number % len(stages)]
        kind = (signal.SIGKILL, signal.SIGTERM)[number // len(stages) % 2]
        number += 1
        last = tally.kills.total() >= kills
        process = start(runs, config)
        if last:
            printed, _ = process.communicate(timeout=MOST_SECONDS)
            _ended(process.returncode, printed, runs, wanted, tally)
            shutil.rmtree(runs)
            break
        killed, took, lines = lives(process, stage, rng.uniform(0, 2.5), kind)
        if killed:
            tally.kills[f"{stage} {kind.name}"] += 1
            if kind == signal.SIGTERM:
                tally.slowest_sigterm = max(tally.slowest_sigterm, took)
                if took > SAVE_SECONDS:
                    tally.wrong.append(f"SIGTERM in {stage} took {took:.0f} s")
                if process.returncode not in (143, -signal.SIGTERM):
                    tally.wrong.append(f"SIGTERM in {stage} gave {process.returncode}: {''.join(lines[-3:])}")
            if any("Traceback" in line or "LEFT BEHIND" in line for line in lines):
                tally.wrong.append(f"{kind.name} in {stage}: {''.join(lines[-30:])}")
        else:
            _ended(process.returncode, "".join(lines), runs, wanted, tally)
            shutil.rmtree(runs)
        if number % 5 == 0:
            tell(str(tally))
    return tally


def _ended(code: int, printed: str, runs: Path, wanted: dict[str, str], tally: Tally) -> None:
    tally.ended += 1
    if code:
        tally.wrong.append(f"the run after a kill gave {code}: {printed[-2000:]}")
        return
    found = files(runs)
    if found == wanted:
        tally.same += 1
    else:
        other = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        tally.wrong.append(f"other files: {', '.join(other)}")
