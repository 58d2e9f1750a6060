"""The command line of the grid."""

import argparse
import contextlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

import benchmarks.method as method
from benchmarks.method import cells, costs, plan, tables

HERE = Path(__file__).parents[1]
RESULTS = HERE / "results" / "method.jsonl"


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser("benchmarks.method", description=method.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=("run", "costs", "table"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=HERE / tables.PAGE)
    parser.add_argument("--data", type=Path, help="where the chips are")
    parser.add_argument("--name", default="MSTAR", choices=list(cells.SOURCES))
    parser.add_argument("--work", type=Path, default=Path("runs") / "method")
    parser.add_argument("--sections", nargs="+", default=list(plan.SECTIONS), choices=list(plan.SECTIONS))
    parser.add_argument("--device", default="", choices=("", "cpu", "cuda"), help="left out: GPUs where there are any")
    parser.add_argument("--workers", type=int, default=0, help="processes; left out: one per GPU or core")
    given = parser.parse_args()
    if given.what == "table":
        tables.write(read(given.results), given.results, given.results.with_suffix(".costs.json"), given.page)
    elif given.what == "costs":
        costs.write(read(given.results), given.work, given.results.with_suffix(".costs.json"))
    elif given.data is None or not given.data.exists():
        parser.error(f"--data {given.data} does not exist; name the folder of the chips")
    else:
        for name in given.sections:
            while missing := plan.cells(plan.SECTIONS[name], given.name, read(given.results)):
                print(f"section {name}: {len(missing)} cells to run", flush=True)
                run_all(missing, given)


def run_all(missing: list[plan.Cell], given: argparse.Namespace) -> None:
    """Runs cells in several processes, whole seeds first: whatever time there is gives whole seeds."""
    gpus = torch.cuda.device_count() if given.device != "cpu" else 0
    if given.device == "cuda" and not gpus:
        raise SystemExit("--device cuda: there is no GPU here; leave it out")
    workers = given.workers or gpus or os.cpu_count() or 1
    context = get_context("spawn")
    places = context.Queue()
    for number in range(workers):
        places.put(number % gpus if gpus else "")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=settle, initargs=(places,)) as pool:
        ordered = sorted(missing, key=lambda cell: cell.seed)
        jobs = [pool.submit(run_one, cell, given.data.resolve(), given.work, given.results) for cell in ordered]
        for job in jobs:
            job.result()


def settle(places: Any) -> None:
    """Gives this process its device, before torch looks for one."""
    os.environ["CUDA_VISIBLE_DEVICES"] = str(places.get())
    torch.set_num_threads(1)


def run_one(cell: plan.Cell, chips: Path, work: Path, results: Path) -> None:
    """Runs a cell and appends its line in one write, so that processes do not mix theirs."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        line = cells.run(cell, chips, work)
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    found = f"{line['test']['accuracy']:.4f} in {line['seconds']:.0f} s"
    print(f"{' '.join(map(str, cell.setting))} {cell.learning_rate:g} seed {cell.seed}: {found}", flush=True)


def read(file: Path) -> list[Mapping[str, Any]]:
    """The lines of results; a last line that was cut short is left out."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            lines.append(json.loads(line))
    return lines


if __name__ == "__main__":
    main()
