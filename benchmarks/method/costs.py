"""What every network of the grid costs on this machine, measured in one go: nothing else may run beside it."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.method import cells, plan
from sarslim.chips.dataset import Dataset
from sarslim.config import PrepareConfig
from sarslim.delivery import export
from sarslim.delivery.session import Session
from sarslim.networks import Recogniser, artifact
from sarslim.networks.cost import count_macs, count_params, measure_latency, time_runs
from sarslim.records import Latency
from sarslim.stages.deploy import preprocessing
from sarslim.stages.learn import input_shape
from sarslim.stages.results import CONFIG, read_json

BATCHES = (1, 64)
SECONDS = 1.0
ROUNDS = 3  # networks take turns, so that a slow minute of the machine hits all alike
DELIVERED = "ONNX Runtime, batch 1"
KEY = ("data", "budget", "path")


def key(cell: cells.Cell) -> tuple[Any, ...]:
    """What the costs of its network depend on."""
    return tuple(getattr(cell, name) for name in KEY)


def by_network(measured: Mapping[str, Any]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    """The rows of what ``write`` wrote, each by the ``key`` of its network."""
    return {tuple(row[name] for name in KEY): row for row in measured.get("networks", ())}


def write(lines: Sequence[Mapping[str, Any]], work: Path, file: Path) -> None:
    """Measures one network per (data, budget, path), the teacher and all rivals, on one thread."""
    chosen: dict[tuple[Any, ...], plan.Cell] = {}
    for line in sorted(lines, key=lambda line: line["seed"]):
        cell = plan.cell_of(line)
        chosen.setdefault(key(cell), cell)
        for rival in plan.RIVALS:
            as_published = replace(cell, budget="", path=rival)
            chosen.setdefault(key(as_published), as_published)
    networks: dict[tuple[Any, ...], tuple[Recogniser, Path]] = {}
    for of, cell in chosen.items():
        dataset, teacher, pruned = cells.places(cell, work)
        network = cells.rival(cell, Dataset.open(dataset)) if cell.is_rival else artifact.load(pruned)[0]
        networks[of] = network, dataset
        networks[(cell.data, "", "teacher")] = artifact.load(teacher)[0], dataset
    runs = {of: timings(*network) for of, network in networks.items()}
    medians: dict[tuple[Any, ...], dict[str, list[float]]] = {of: {name: [] for name in runs[of]} for of in runs}
    for _ in range(ROUNDS):
        for of, named in runs.items():
            for name, measure in named.items():
                timing = measure()
                medians[of][name].append(timing.median_ms / timing.batch)
    rows = [
        {
            **dict(zip(KEY, of, strict=True)),
            "params": count_params(network),
            "macs": count_macs(network, input_shape(Dataset.open(dataset))),
            "latency_ms_per_chip": {name: min(found) for name, found in medians[of].items()},
        }
        for of, (network, dataset) in networks.items()
    ]
    found = {"command": "python -m benchmarks.method costs", "machine": cells.machine(), "commit": cells.commit()}
    file.write_text(json.dumps(found | {"networks": rows}, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {file}")


def timings(network: Recogniser, dataset: Path) -> dict[str, Callable[[], Latency]]:
    """What measures a network in PyTorch and, in FP32, in ONNX Runtime, by runtime and batch."""
    data = Dataset.open(dataset)
    shape = input_shape(data)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        how = preprocessing(data, read_json(PrepareConfig, dataset / CONFIG))
        export.to_onnx(network, file, classes=data.record.classes, preprocessing=how)
        session = Session(file, threads=1)
    found: dict[str, Callable[[], Latency]] = {}
    for batch in BATCHES:
        chips = np.zeros((batch, *shape), data.record.dtype)
        found[f"PyTorch, batch {batch}"] = partial(measure_latency, network, shape, batch=batch, seconds=SECONDS)
        served = partial(session.run, chips)
        found[f"ONNX Runtime, batch {batch}"] = partial(time_runs, served, batch=batch, threads=1, seconds=SECONDS)
    return found
