"""What every network of the grid costs on this machine, measured in one go: nothing else may run beside it."""

import json
import tempfile
from collections.abc import Mapping, Sequence
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
from sarslim.networks import Recogniser, artifact, timing
from sarslim.networks.cost import count_macs, count_params
from sarslim.stages.deploy import preprocessing
from sarslim.stages.learn import input_shape
from sarslim.stages.results import CONFIG, read_json

BATCHES = (1, 64)
SECONDS = 3.0
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
    jobs = {(of, name): job for of, network in networks.items() for name, job in timings(*network).items()}
    latencies: dict[tuple[Any, ...], dict[str, float]] = {of: {} for of in networks}
    for (of, name), latency in timing.in_turns(jobs, seconds=SECONDS).items():
        latencies[of][name] = latency.median_ms / latency.batch
    rows = [
        {
            **dict(zip(KEY, of, strict=True)),
            "params": count_params(network),
            "macs": count_macs(network, input_shape(Dataset.open(dataset))),
            "latency_ms_per_chip": latencies[of],
        }
        for of, (network, dataset) in networks.items()
    ]
    found = {"command": "python -m benchmarks.method costs", "machine": cells.machine(), "commit": cells.commit()}
    file.write_text(json.dumps(found | {"networks": rows}, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {file}")


def timings(network: Recogniser, dataset: Path) -> dict[str, timing.Job]:
    """What measures a network in PyTorch and, in FP32, in ONNX Runtime, by runtime and batch."""
    data = Dataset.open(dataset)
    shape = input_shape(data)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        how = preprocessing(data, read_json(PrepareConfig, dataset / CONFIG))
        export.to_onnx(network, file, classes=data.record.classes, preprocessing=how)
        session = Session(file, threads=1)
    found: dict[str, timing.Job] = {}
    for batch in BATCHES:
        chips = np.zeros((batch, *shape), data.record.dtype)
        found[f"PyTorch, batch {batch}"] = timing.of_module(network, shape, batch=batch)
        found[f"ONNX Runtime, batch {batch}"] = timing.Job(partial(session.run, chips), batch, threads=1)
    return found
