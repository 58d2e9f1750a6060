"""What every network of the grid costs on this machine, measured in one go: nothing else may run beside it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.method import cells, plan
from sarslim import checkpoint
from sarslim.chips.dataset import Dataset
from sarslim.cost import count_macs, count_params, measure_latency
from sarslim.stages.learn import input_shape

BATCHES = (1, 64)
SECONDS = 2.0
ROUNDS = 3  # networks take turns, so that a slow minute of the machine hits all alike


def write(lines: Sequence[Mapping[str, Any]], work: Path, file: Path) -> None:
    """Measures one network per (data, share of the labels, budget, path), the teacher and all rivals, on one thread."""
    chosen: dict[tuple[Any, ...], plan.Cell] = {}
    for line in sorted(lines, key=lambda line: line["seed"]):
        cell = plan.cell_of(line)
        chosen.setdefault((cell.data, cell.fraction, cell.budget, cell.path), cell)
        for rival in plan.RIVALS:
            chosen.setdefault((cell.data, cell.fraction, "", rival), replace(cell, budget="", path=rival))
    networks = {}
    for key, cell in chosen.items():
        dataset, teacher, pruned = cells.places(cell, work)
        data = Dataset.open(dataset)
        networks[key] = cells.rival(cell, data) if cell.is_rival else checkpoint.load(pruned)[0], input_shape(data)
        networks[(*key[:2], "", "teacher")] = checkpoint.load(teacher)[0], input_shape(data)
    medians: dict[tuple[Any, ...], dict[int, list[float]]] = {key: {batch: [] for batch in BATCHES} for key in networks}
    for _ in range(ROUNDS):
        for key, (network, shape) in networks.items():
            for batch in BATCHES:
                timing = measure_latency(network, shape, batch=batch, seconds=SECONDS)
                medians[key][batch].append(timing.median_ms / batch)
    rows = [
        {
            **dict(zip(("data", "fraction", "budget", "path"), key, strict=True)),
            "params": count_params(network),
            "macs": count_macs(network, shape),
            "latency_ms_per_chip": {f"batch {batch}": min(medians[key][batch]) for batch in BATCHES},
        }
        for key, (network, shape) in networks.items()
    ]
    found = {"command": "python -m benchmarks.method costs", "machine": cells.machine(), "commit": cells.commit()}
    file.write_text(json.dumps(found | {"networks": rows}, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {file}")
