"""The cells of a grid in several processes, one per device."""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.method import cells


def run_all(
    missing: Iterable[cells.Cell], *, at: cells.Places, results: Path, device: str = "", workers: int = 0
) -> None:
    """Runs cells, whole seeds first: whatever time there is gives whole seeds.

    Args:
        at: where the chips are, and what cells share.
        results: the file that lines are appended to.
        device: ``cpu``, ``cuda``, or empty for GPUs where there are any.
        workers: processes; 0: one per GPU or core.
    """
    gpus = torch.cuda.device_count() if device != "cpu" else 0
    if device == "cuda" and not gpus:
        raise SystemExit("--device cuda: there is no GPU here; leave it out")
    if results.exists() and not results.read_bytes().endswith(b"\n"):  # cut short, with the machine
        with results.open("a", encoding="utf-8") as file:
            file.write("\n")
    workers = workers or gpus or os.cpu_count() or 1
    context = get_context("spawn")
    places = context.Queue()
    for number in range(workers):
        places.put(number % gpus if gpus else "")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_settle, initargs=(places,)) as pool:
        ordered = sorted(missing, key=lambda cell: cell.seed)
        # All teachers first: workers that need the same one would wait for each other.
        first = {(cell.data, cell.fraction, cell.generations, cell.seed): cell for cell in reversed(ordered)}
        jobs = [pool.submit(_teach_one, cell, at) for cell in reversed(first.values())]
        for job in jobs + [pool.submit(_run_one, cell, at, results) for cell in ordered]:
            job.result()


def _settle(places: Any) -> None:
    """Gives this process its device, before torch looks for one."""
    os.environ["CUDA_VISIBLE_DEVICES"] = str(places.get())
    torch.set_num_threads(1)


def _teach_one(cell: cells.Cell, at: cells.Places) -> None:
    with _silence():
        cells.taught(cell, at)


def _run_one(cell: cells.Cell, at: cells.Places, results: Path) -> None:
    """Runs a cell and appends its line in one write, so that processes do not mix theirs."""
    with _silence():
        line = cells.run(cell, at)
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    found = f"{line['test']['accuracy']:.4f} in {line['seconds']:.0f} s"
    print(f"{' '.join(map(str, cell.setting))} {cell.learning_rate:g} seed {cell.seed}: {found}", flush=True)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
