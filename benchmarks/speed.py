"""How fast sarslim is beside what does the same without it: each figure a ratio, measured in turns in one run.

    python -m benchmarks.speed

Writes benchmarks/results/speed.json, and the table of benchmarks/SPEED.md between its two marks. Every peer takes turns
with ours (A B A B ...) in processes of their own; a figure is the median of the ratios of the turns, with the least and
the most. Where these lie far apart, other work was on the machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.method.cells import commit, machine

RESULT = Path(__file__).parent / "results" / "speed.json"
PAGE = Path(__file__).parent / "SPEED.md"
START, END = "<!-- table -->", "<!-- end of table -->"
SIDE, CHIPS, CLASSES = 64, 512, 4

# What runs in a process: prints the seconds that its work took, without starting.
TRAINING = """
import contextlib, io, sys, time
import numpy as np, torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sarslim.config import TeacherConfig, parse
from sarslim.networks import build
from sarslim.training import LabelObjective, fit

kind, side, chips, classes = sys.argv[1], *map(int, sys.argv[2:])
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (chips, 1, side, side), dtype=np.uint8)
labels = rng.integers(0, classes, chips)
torch.manual_seed(0)
network = build("resnet18", classes=classes, channels=1, stem="3x3", mean=(100.0,), std=(50.0,))
# In float32, as its peers: in bfloat16 oneDNN's threads spin on their own, whatever OpenMP is told (SPEED.md).
plain = {"mixed_precision": False, "epochs": 1, "mixup": 0, "shift": 0, "flip": False, "rotate": 0, "speckle_looks": 0}
recipe = parse(TeacherConfig, plain)

def bare(batches):
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    network.train()
    for pixels, wanted in batches:
        loss = nn.functional.cross_entropy(network(pixels), wanted)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

data = torch.from_numpy(images), torch.from_numpy(labels)
few = 8  # as many validation chips as the validation needs to take no time
start = time.perf_counter()
if kind == "ours":
    with contextlib.redirect_stdout(io.StringIO()):
        fit(network, LabelObjective(), train_images=images, train_labels=labels, val_images=images[:few],
            val_labels=labels[:few], recipe=recipe, scaling=(), what="teacher")
elif kind == "bare":
    order = torch.randperm(chips)
    bare((data[0][rows], data[1][rows]) for rows in order.split(recipe.batch_size))
else:
    bare(DataLoader(TensorDataset(*data), recipe.batch_size, shuffle=True))
print(time.perf_counter() - start)
"""
ANSWERING = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from PIL import Image
from sarslim import Bundle
from sarslim.config.machine import cores

kind, bundle, folder = sys.argv[1], Bundle.open(sys.argv[2], threads=cores()), Path(sys.argv[3])
files = sorted(folder.iterdir())
shape = (64, 1, bundle.session.preprocessing.image_size, bundle.session.preprocessing.image_size)
def decode(file):
    with Image.open(file) as image:
        return np.asarray(image)
start = time.perf_counter()
if kind == "ours":
    assert sum(1 for _ in bundle.predict(folder)) == len(files)
elif kind == "decoding":
    with ThreadPoolExecutor(cores()) as pool:
        assert sum(1 for _ in pool.map(decode, files, chunksize=8)) == len(files)
else:
    for _ in range(0, len(files), 64):
        bundle.session.run(np.zeros(shape, np.uint8))
print(time.perf_counter() - start)
"""
STARTING = """
import contextlib, io, subprocess, sys, time
from kfp.local import subprocess_task_handler
from sarslim.kubeflow.local import warm

code = "from sarslim.stages.distill import distill_student\\ndef task(): assert distill_student"
command = ["sh", "-c", "", code, "--executor_input", "{}", "--function_to_execute", "task"]
if sys.argv[1] == "ours":
    with warm.processes(), contextlib.redirect_stdout(io.StringIO()):
        subprocess_task_handler.run_local_subprocess(command)  # the first one of a run
        start = time.perf_counter()
        subprocess_task_handler.run_local_subprocess(command)
        end = time.perf_counter()
else:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import kfp.dsl.executor_main\\n" + code], check=True)
    end = time.perf_counter()
print(end - start)
"""


def seconds(code: str, *arguments: object, **environment: str) -> float:
    """What a process says that its work took."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    found = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(found.stdout.split()[-1])


def in_turns(runs: dict[str, Callable[[], float]], rounds: int) -> list[dict[str, float]]:
    """The seconds of each run in every round."""
    return [{name: run() for name, run in runs.items()} for _ in range(rounds)]


def training(rounds: int) -> list[dict[str, float]]:
    sizes = (SIDE // 2, CHIPS, CLASSES)
    return in_turns(
        {kind: lambda kind=kind: seconds(TRAINING, kind, *sizes) for kind in ("ours", "bare", "loader")},  # type: ignore[misc]
        rounds,
    )


def waiting(rounds: int) -> list[dict[str, float]]:
    """One process of Python that never waits beside a training: threads that sleep (ours) and threads that spin."""
    sizes = (SIDE // 2, CHIPS // 8, CLASSES)
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        kinds = {"ours": "passive", "spinning": "active"}
        return in_turns(
            {
                name: lambda policy=policy: seconds(TRAINING, "bare", *sizes, OMP_WAIT_POLICY=policy)  # type: ignore[misc]
                for name, policy in kinds.items()
            },
            rounds,
        )
    finally:
        neighbour.kill()
        neighbour.wait()


def starting(rounds: int) -> list[dict[str, float]]:
    return in_turns(
        {kind: lambda kind=kind: seconds(STARTING, kind) for kind in ("ours", "process")},  # type: ignore[misc]
        rounds,
    )


def answering(rounds: int, chips: int) -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory() as name:
        bundle, folder = Path(name) / "bundle", Path(name) / "chips"
        folder.mkdir()
        rng = np.random.default_rng(0)
        for number in range(chips):
            speckle = 60 * np.sqrt(rng.exponential(size=(128, 128)))
            Image.fromarray(speckle.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg")
        write_bundle(bundle)
        return in_turns(
            {
                kind: lambda kind=kind: seconds(ANSWERING, kind, bundle, folder)  # type: ignore[misc]
                for kind in ("ours", "decoding", "inference")
            },
            rounds,
        )


def write_bundle(folder: Path) -> None:
    """A bundle of an untrained network, with what opening it asks for."""
    from sarslim.delivery import export
    from sarslim.delivery.registry import METRICS, ONNX
    from sarslim.networks import build
    from sarslim.records import BundleRecord, Preprocessing, Scaling
    from sarslim.store.storage import write_sums

    folder.mkdir()
    network = build("shufflenet_v2_x0_5", classes=CLASSES, channels=1, stem="3x3", mean=(100.0,), std=(50.0,)).eval()
    how = Preprocessing(
        channels=("amplitude",), image_size=SIDE, dtype="uint8", values="uint8", polarisation_as="samples",
        labels="visual", merge={}, scaling=(Scaling(kind="linear", low=0, high=255),),
    )  # fmt: skip
    export.to_onnx(network, folder / ONNX, classes=[str(number) for number in range(CLASSES)], preprocessing=how)
    about = BundleRecord(
        sarslim_version="0", network="shufflenet_v2_x0_5", simulated=True, data_digest="", test_chips=0,
        gate_passed=True, files={},
    )  # fmt: skip
    (folder / METRICS).write_text(about.model_dump_json(), encoding="utf-8")
    write_sums(folder)


def figure(name: str, goal: str, ratios: Sequence[float]) -> dict[str, Any]:
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    return {"figure": name, "ratio": round(middle, 3), "least": round(low, 3), "most": round(high, 3), "goal": goal}


def table(found: dict[str, Any]) -> str:
    lines = ["| ours / its peer, in time | median | least to most | goal |", "|---|---|---|---|"]
    lines += [
        f"| {row['figure']} | {row['ratio']:.2f} | {row['least']:.2f} to {row['most']:.2f} | {row['goal']} |"
        for row in found["figures"]
    ]
    made = f"Made by `{found['command']}` ({found['commit']}, {found['machine']}, {found['load']})."
    return "\n".join([*lines, "", made])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chips", type=int, default=10_000)
    given = parser.parse_args()
    before = os.getloadavg()[0]
    trained, waited = training(given.rounds), waiting(given.rounds)
    answered, started = answering(given.rounds, given.chips), starting(given.rounds)
    figures = [
        figure("an epoch of `fit` / a bare PyTorch loop", "1.05", [one["ours"] / one["bare"] for one in trained]),
        figure("an epoch of `fit` / a loop over a `DataLoader`", "1", [one["ours"] / one["loader"] for one in trained]),
        figure(
            "training beside a busy process / the same with threads that spin", "below 1",
            [one["ours"] / one["spinning"] for one in waited],
        ),
        figure(
            f"`predict` of {given.chips:,} JPEG / the larger of decoding and inference alone", "1.2",
            [one["ours"] / max(one["decoding"], one["inference"]) for one in answered],
        ),
        figure(
            "a further local task / a process that loads its stage", "below 1",
            [one["ours"] / one["process"] for one in started],
        ),
    ]  # fmt: skip
    found = {
        "command": f"python -m benchmarks.speed --rounds {given.rounds} --chips {given.chips}",
        "commit": commit(),
        "machine": machine().replace("one core", f"{os.cpu_count()} cores"),
        "load": f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after",
        "figures": figures,
        "seconds": {"training": trained, "waiting": waited, "predict": answered, "starting": started},
    }
    RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    PAGE.write_text(f"{head}{START}\n{table(found)}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
