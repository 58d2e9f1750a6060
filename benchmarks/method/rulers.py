"""What size and shape alone get on other chips of the same data than the networks see: the strongest ruler, not any.

A ruler is fitted on training chips; which one counts is chosen on validation chips, as a network's recipe is.
"""

import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.method.cells import SOURCES, commit, machine
from benchmarks.method.plan import SEEDS
from sarslim.chips.dataset import Dataset
from sarslim.config import PrepareConfig, parse
from sarslim.evaluation.shortcuts import audit
from sarslim.stages.prepare import prepare

MULTILOOKS = {2: 128, 4: 64, 8: 32}  # and the side that leaves as much of the scene in view
SCALINGS = ("percentile", "log", "chip", "chip_log")
RULER = "size and shape"
PARTS = ("val", "test")
FIGURES = ("accuracy", "balanced_accuracy")


def measure(chips: Path, data: str) -> dict[str, Any]:
    """Accuracy and balanced accuracy of every ruler on validation and test chips, as means over the splits of seeds."""
    rulers = []
    for multilook, scaling in itertools.product(MULTILOOKS, SCALINGS):
        how = {"multilook": multilook, "image_size": MULTILOOKS[multilook], "scaling": scaling}
        found = np.mean([_scores(chips, data, {**how, "seed": seed}) for seed in SEEDS], axis=0)
        figures = ["accuracy", "balanced_accuracy"]
        rulers.append(
            how | {part: dict(zip(figures, row, strict=True)) for part, row in zip(PARTS, found, strict=True)}
        )
    return {
        "command": f"python -m benchmarks.method rulers --name {data}",
        "commit": commit(),
        "machine": machine(),
        "seeds": list(SEEDS),
        "rulers": sorted(rulers, key=lambda ruler: -ruler["val"]["accuracy"]),
    }


def _scores(chips: Path, data: str, how: dict[str, Any]) -> list[list[float]]:
    source = SOURCES[data]
    fields = {**source.prepare, **how, "source": str(chips), "val_fraction": source.schedules[1.0].val_fraction}
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / "dataset"
        prepare(parse(PrepareConfig, fields), dataset=dataset, card=Path(folder) / "card.html")
        train, *others = (Dataset.open(dataset).part(name) for name in ("train", *PARTS))
        answers = []
        for part in others:
            assert train.labels is not None
            assert part.labels is not None
            found, _ = audit(train.images, train.labels, part.images, part.labels)
            ruler = next(each for each in found if each.name == RULER)
            answers.append([ruler.accuracy, ruler.balanced_accuracy])
    return answers
