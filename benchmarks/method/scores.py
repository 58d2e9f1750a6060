"""What a network of the grid can do on the test part, and what is to be had without looking at the target."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from benchmarks.method.shifts import shifts
from sarslim.chips.dataset import Dataset
from sarslim.evaluation.shortcuts import audit
from sarslim.evaluation.statistics import balanced_accuracy, macro_f1, pair
from sarslim.networks import artifact
from sarslim.networks.inference import predict
from sarslim.stages.learn import device


def scores(network: nn.Module, data: Dataset, seed: int, shortcut: list[int]) -> dict[str, Any]:
    """What a network can do on the test part, as it is and shifted, and chip by chip against a shortcut."""
    part = data.part("test")
    assert part.labels is not None
    labels, predicted = np.asarray(part.labels), predict(network, part.images).argmax(axis=1)
    elsewhere = {
        name: predict(network, part.images, alter=alter).argmax(axis=1)
        for name, alter in shifts(data.record.scaling, seed).items()
    }
    against = pair(labels, predicted, np.array(shortcut))
    return {
        "accuracy": float((predicted == labels).mean()),
        "balanced_accuracy": balanced_accuracy(labels, predicted),
        "macro_f1": macro_f1(labels, predicted),
        "over_shortcut": against.interval,
        **{f"accuracy_{name}": float((chosen == labels).mean()) for name, chosen in elsewhere.items()},
        **{f"balanced_accuracy_{name}": balanced_accuracy(labels, chosen) for name, chosen in elsewhere.items()},
    }


def shortcuts(dataset: Path, data: Dataset) -> dict[str, Any]:
    """What shortcuts get on the test part, and the answers of the best one, measured once."""
    file = dataset.with_name(f"{dataset.name}.shortcuts.json")
    if not file.exists():
        train, test = data.part("train"), data.part("test")
        assert train.labels is not None
        assert test.labels is not None
        found, answers = audit(train.images, train.labels, test.images, test.labels)
        alone = {each.name: {"accuracy": each.accuracy, "balanced_accuracy": each.balanced_accuracy} for each in found}
        written = {"alone": alone, "answers": answers.tolist()}
        file.write_text(json.dumps(written), encoding="utf-8")
    made: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return made


def of_teacher(teacher: Path, data: Dataset, seed: int, shortcut: list[int]) -> dict[str, Any]:
    """Those of the teacher, measured once."""
    file = teacher.with_name(f"{teacher.name}.scores.json")
    if not file.exists():
        made = scores(artifact.load(teacher)[0].to(device()), data, seed, shortcut)
        file.write_text(json.dumps(made), encoding="utf-8")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
