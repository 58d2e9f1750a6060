"""What a network of the grid can do on the test part, and what is to be had without looking at the target."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
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
from sarslim.stages.shifted import Source


@dataclass(frozen=True)
class Trial:
    """What networks are measured on.

    Args:
        seed: of the shifts that are made of test chips.
        shortcut: what the best shortcut answers to each test chip.
        shifted: labelled chips of another kind.
    """

    data: Dataset
    seed: int
    shortcut: Sequence[int]
    shifted: Sequence[Source]


def scores(network: nn.Module, trial: Trial) -> dict[str, Any]:
    """What a network can do on the test part, as it is and shifted, and chip by chip against a shortcut."""
    part = trial.data.part("test")
    assert part.labels is not None
    labels, predicted = np.asarray(part.labels), predict(network, part.images).argmax(axis=1)
    elsewhere = {
        name: predict(network, part.images, alter=alter).argmax(axis=1)
        for name, alter in shifts(trial.data.record.scaling, trial.seed).items()
    }
    answers = {name: (labels, chosen) for name, chosen in elsewhere.items()}
    for source in trial.shifted:
        answers[source.name] = source.labels, predict(network, source.images).argmax(axis=1)
    against = pair(labels, predicted, np.array(trial.shortcut))
    return {
        "accuracy": float((predicted == labels).mean()),
        "balanced_accuracy": balanced_accuracy(labels, predicted),
        "macro_f1": macro_f1(labels, predicted),
        "over_shortcut": against.interval,
        **{f"accuracy_{name}": float((chosen == true).mean()) for name, (true, chosen) in answers.items()},
        **{f"balanced_accuracy_{name}": balanced_accuracy(true, chosen) for name, (true, chosen) in answers.items()},
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


def of_teacher(teacher: Path, trial: Trial) -> dict[str, Any]:
    """Those of the teacher, measured once."""
    file = teacher.with_name(f"{teacher.name}.scores.json")
    if not file.exists():
        made = scores(artifact.load(teacher)[0].to(device()), trial)
        file.write_text(json.dumps(made), encoding="utf-8")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
