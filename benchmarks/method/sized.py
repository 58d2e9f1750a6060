"""Whether size and shape tell a network of ships anything that it has not seen: both asked together, as experts are.

The product of experts (Hinton, Neural Computation 14(8), 2002) of the network and of what has the size-and-shape
shortcut only; how much the latter counts is chosen on validation chips.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline

from benchmarks.method.cells import commit, machine
from sarslim.chips.dataset import Dataset, Part
from sarslim.evaluation.shortcuts import NEIGHBOURS, fitted, size_and_shape, table
from sarslim.evaluation.statistics import balanced_accuracy, t_interval
from sarslim.networks import artifact
from sarslim.networks.inference import predict
from sarslim.stages.learn import device

SHARES = np.linspace(0, 2, 21)
FIGURES = ("accuracy", "balanced_accuracy")


def measure(work: Path, data: str) -> dict[str, Any] | None:
    """Test figures of every teacher in the folder ``work`` of a grid, alone and with size; None of only one."""
    alone, together, shares, digests = [], [], [], []
    for teacher in sorted(work.glob(f"{data}-1-?-teacher")):
        dataset = Dataset.open(teacher.with_name(teacher.name.removesuffix("-teacher")))
        network = artifact.load(teacher)[0].to(device())
        train = dataset.part("train")
        ruler = fitted(train.images, np.asarray(train.labels), size_and_shape)
        (val, val_size, val_labels), (test, test_size, test_labels) = (
            (log_softmax(predict(network, part.images), axis=1), sizes(ruler, part), np.asarray(part.labels))
            for part in map(dataset.part, ("val", "test"))
        )
        shares.append(share_of_size(val, val_size, val_labels))
        alone.append(figures(test, test_labels))
        together.append(figures(test + shares[-1] * test_size, test_labels))
        digests.append(dataset.record.digest)
    if len(alone) < 2:
        return None
    gain = np.array(together) - np.array(alone)
    return {
        "networks": len(alone),
        "chips": len(test_labels),
        "shares": [float(share) for share in shares],
        **{
            figure: {
                "alone": float(np.mean([one[k] for one in alone])),
                "with_size": float(np.mean([one[k] for one in together])),
                "gain": [float(each) for each in gain[:, k]],
                "interval": t_interval(gain[:, k].tolist()),
            }
            for k, figure in enumerate(FIGURES)
        },
        "command": f"python -m benchmarks.method sized --name {data}",
        "data_digests": digests,
        "commit": commit(),
        "machine": machine(),
    }


def sizes(ruler: Pipeline, part: Part) -> NDArray[np.float64]:
    """Log probabilities (N, K) by size and shape; one more neighbour is of all classes alike, so that none is -inf."""
    votes: NDArray[np.float64] = ruler.predict_proba(table(part.images, size_and_shape))
    return np.log((NEIGHBOURS * votes + 1 / votes.shape[1]) / (NEIGHBOURS + 1))


def share_of_size(seen: NDArray[np.float64], size: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The exponent of ``size`` (N, K) with the least log loss beside ``seen`` (N, K), both log probabilities."""
    losses = [log_loss(labels, np.exp(log_softmax(seen + share * size, axis=1))) for share in SHARES]
    return float(SHARES[int(np.argmin(losses))])


def figures(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Accuracy and balanced accuracy of the largest of scores (N, K)."""
    chosen = scores.argmax(axis=1)
    return float(np.mean(chosen == labels)), balanced_accuracy(labels, chosen)
