"""How far labels let anybody get: what independently trained teachers of one data set say of the same test chips.

Each seed has drawn other chips for validation, other weights and another order, and none has seen a test chip.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from benchmarks.method.cells import commit, machine
from sarslim.chips.dataset import Dataset
from sarslim.networks import artifact
from sarslim.networks.inference import predict
from sarslim.stages.learn import device

Probabilities = NDArray[np.float64]


def measure(work: Path, data: str) -> dict[str, Any] | None:
    """What the teachers in the folder ``work`` of a grid say, on all labels of ``data``; None of only one."""
    answers, labels, digest = [], np.empty(0, int), ""
    for teacher in sorted(work.glob(f"{data}-1-?-teacher")):
        dataset = Dataset.open(teacher.with_name(teacher.name.removesuffix("-teacher")))
        part = dataset.part("test")
        assert part.labels is not None
        labels, digest = np.asarray(part.labels), dataset.record.digest
        logits = predict(artifact.load(teacher)[0].to(device()), part.images)
        answers.append(softmax(logits, axis=1))
    if len(answers) < 2:
        return None
    return {
        **summary(np.array(answers), labels),
        "command": f"python -m benchmarks.method ceiling --name {data}",
        "data_digest": digest,
        "commit": commit(),
        "machine": machine(),
    }


def summary(answers: Probabilities, labels: NDArray[np.int64]) -> Mapping[str, Any]:
    """Single accuracies, that of the mean of all, what all miss, how often two agree, and labels that look wrong.

    Args:
        answers: (networks, chips, classes) probabilities of two networks or more.
        labels: (chips,).
    """
    chosen, together = answers.argmax(axis=2), answers.mean(axis=0)
    right = chosen == labels
    pairs = [np.mean(one == other) for number, one in enumerate(chosen) for other in chosen[:number]]
    return {
        "networks": len(chosen),
        "chips": len(labels),
        "single": [float(share) for share in right.mean(axis=1)],
        "together": float(np.mean(together.argmax(axis=1) == labels)),
        "two_agree": float(np.mean(pairs)),
        "none_right": float(np.mean(~right.any(axis=0))),
        "all_name_the_same_other_class": float(np.mean((chosen == chosen[0]).all(axis=0) & ~right.any(axis=0))),
        "labels_in_doubt": float(np.mean(in_doubt(together, labels))),
    }


def in_doubt(answers: Probabilities, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The chips (N,) of which another class is as likely as it is, on average, of the chips that bear that class.

    These are off the diagonal of the confident joint: Northcutt, Jiang and Chuang, Confident Learning, JAIR 70, 2021.
    """
    classes = range(answers.shape[1])
    usual = np.array([answers[labels == name, name].mean() if (labels == name).any() else np.inf for name in classes])
    likely = np.where(answers >= usual, answers, -1.0)
    return (likely.max(axis=1) >= 0) & (likely.argmax(axis=1) != labels)
