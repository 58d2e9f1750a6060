"""What a network can do on the test part, what it costs, and whether it may be published."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import metrics
from torch import nn

from sarslim.chips.speckle import add_speckle
from sarslim.config import EvaluateConfig
from sarslim.evaluation.statistics import beats_guessing
from sarslim.networks import cost
from sarslim.networks.inference import predict
from sarslim.records import (
    ClassScores,
    GateCheck,
    Mistake,
    NetworkScores,
    PairedScores,
    ReliabilityBin,
    RocCurve,
    Scaling,
)

BINS = 15
ROC_POINTS = 200
MOST_MISTAKES = 24
BEATS_GUESSING = "95 % lower bound of accuracy above the largest class's"
OVER_SHORTCUT = "95 % lower bound of the lead over the best shortcut at least"


def score(
    network: nn.Module,
    logits: NDArray[np.float32],
    images: NDArray[np.generic],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    *,
    config: EvaluateConfig,
    scaling: tuple[Scaling, ...],
    input_shape: tuple[int, ...],
    file_bytes: int,
) -> NetworkScores:
    """Every figure of one network on the test part, but for its latency: networks are timed together.

    Args:
        network: takes (N, C, H, W) values 0..255, gives logits (N, K).
        logits: (N, K) that it gives for the images.
        images: (N, C, H, W) stored values 0..255, possibly memory-mapped.
        labels: (N,) class indices.
        classes: names of the K classes.
        config: batch sizes, speckle levels, seed.
        scaling: of each channel, for the speckle.
        input_shape: (C, H, W) of one chip.
        file_bytes: size of the file of weights.
    """
    labels = np.asarray(labels)
    chosen, p = logits.argmax(axis=1), _probabilities(logits)
    names = range(len(classes))
    precision, recall, f1, chips = metrics.precision_recall_fscore_support(
        labels, chosen, labels=names, zero_division=0
    )
    curves = {k: _roc(labels == k, p[:, k], classes[k]) for k in names if 0 < chips[k] < len(labels)}
    aucs = {k: float(metrics.roc_auc_score(labels == k, p[:, k])) for k in curves}
    reliability = reliability_bins(p.max(axis=1), chosen == labels)
    return NetworkScores(
        accuracy=float(np.mean(chosen == labels)),
        macro_f1=float(f1[chips > 0].mean()),
        balanced_accuracy=float(recall[chips > 0].mean()),
        expected_calibration_error=calibration_error(reliability),
        classes=tuple(
            ClassScores(
                name=classes[k],
                chips=int(chips[k]),
                precision=float(precision[k]),
                recall=float(recall[k]),
                f1=float(f1[k]),
                auc=aucs.get(k),
            )
            for k in names
        ),
        confusion=tuple(map(tuple, metrics.confusion_matrix(labels, chosen, labels=names).tolist())),
        roc=tuple(curves.values()),
        reliability=reliability,
        speckle_accuracy={
            f"{looks:g}": speckle_accuracy(network, images, labels, looks, scaling, config.seed)
            for looks in config.looks
        },
        params=cost.count_params(network),
        macs=cost.count_macs(network, input_shape),
        bytes=file_bytes,
        peak_memory_bytes=cost.peak_memory_bytes(network, input_shape, config.batch_sizes[0]),
    )


def speckle_accuracy(
    network: nn.Module,
    images: NDArray[np.generic],
    labels: NDArray[np.int64],
    looks: float,
    scaling: tuple[Scaling, ...],
    seed: int,
) -> float:
    """Accuracy with extra speckle of so many looks; one seed gives every network the same speckle."""
    rng = np.random.default_rng(seed)
    logits = predict(network, images, alter=lambda batch: add_speckle(batch, looks, scaling, rng))
    return float(np.mean(logits.argmax(axis=1) == labels))


def reliability_bins(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    """Mean confidence and accuracy in 15 bins of equal width, open below and closed above; empty ones left out.

    Args:
        confidence: (N,) probability of the chosen class.
        correct: (N,) whether it is the right one.
    """
    # Rounding keeps a confidence of exactly 3/15 in the bin that ends there.
    place = np.clip(np.ceil(np.round(confidence * BINS, 9)).astype(int) - 1, 0, BINS - 1)
    return tuple(
        ReliabilityBin(
            confidence=float(confidence[place == k].mean()),
            accuracy=float(correct[place == k].mean()),
            chips=int((place == k).sum()),
        )
        for k in np.unique(place)
    )


def calibration_error(reliability: Sequence[ReliabilityBin]) -> float:
    """Expected calibration error (Guo et al., ICML 2017): the gaps of the bins, weighted by their chips."""
    gaps = sum(each.chips * abs(each.confidence - each.accuracy) for each in reliability)
    return gaps / sum(each.chips for each in reliability)


def _roc(positive: NDArray[np.bool_], p: NDArray[np.float64], name: str) -> RocCurve:
    """One class against the rest, thinned to at most ``ROC_POINTS`` points with both ends kept."""
    false_positive, true_positive, thresholds = metrics.roc_curve(positive, p)
    kept = np.unique(np.linspace(0, len(thresholds) - 1, ROC_POINTS).round().astype(int))
    # The curve starts at an infinite threshold; any number above 1 rejects every chip just as well.
    finite = np.minimum(thresholds, np.nextafter(1, 2))
    return RocCurve(
        name=name,
        false_positive_rate=tuple(false_positive[kept].tolist()),
        true_positive_rate=tuple(true_positive[kept].tolist()),
        thresholds=tuple(finite[kept].tolist()),
    )


def surest_mistakes(
    student: NDArray[np.float32],
    teacher: NDArray[np.float32],
    labels: NDArray[np.int64],
    classes: Sequence[str],
) -> tuple[Mistake, ...]:
    """What the student got wrong, the surest first, at most ``MOST_MISTAKES``, and what the teacher says of it.

    Args:
        student, teacher: their logits (N, K).
        labels: (N,) class indices.
        classes: names of the K classes.
    """
    p, theirs = _probabilities(student), _probabilities(teacher)
    chosen, confidence = p.argmax(axis=1), p.max(axis=1)
    wrong = np.flatnonzero(chosen != labels)
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_MISTAKES]
    return tuple(
        Mistake(
            chip=int(row),
            true=classes[labels[row]],
            student=classes[chosen[row]],
            student_confidence=float(confidence[row]),
            teacher=classes[theirs[row].argmax()],
            teacher_confidence=float(theirs[row].max()),
        )
        for row in rows
    )


def _probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return torch.softmax(torch.from_numpy(logits).double(), dim=1).numpy()


def majority_accuracy(train_labels: NDArray[np.int64], test_labels: NDArray[np.int64]) -> float:
    """Test accuracy of always answering the class that is most frequent in training."""
    return float(np.mean(np.asarray(test_labels) == np.bincount(train_labels).argmax()))


def gate(
    config: EvaluateConfig,
    teacher: NetworkScores,
    student: NetworkScores,
    budgets: Sequence[tuple[str, float, float]],
    *,
    over_shortcut: PairedScores | None = None,
    shifted: Mapping[str, PairedScores] | None = None,
) -> tuple[GateCheck, ...]:
    """The conditions for publishing: better than guessing, enough accuracy, near the teacher, within every budget.

    Whatever its teacher can do, a student has to be clearly better than always naming the largest class. Conditions
    that nothing could fail, an accuracy of at least 0 or a drop of at most 1, are left out.

    Args:
        budgets: for each one its name, what the student needs and the most it may need.
        over_shortcut: the student held against the best shortcut.
        shifted: the student held against the teacher, by the name of the source.
    """
    # Differences of decimals are not exact: 0.95 - 0.90 must pass a bound of 0.05.
    slack = 1e-9
    better, low, share = beats_guessing(student.accuracy, [each.chips for each in student.classes])
    checks = [GateCheck(condition=BEATS_GUESSING, found=low, bound=share, passed=better)]
    if config.min_accuracy > 0:
        enough = student.accuracy >= config.min_accuracy - slack
        checks.append(
            GateCheck(condition="accuracy at least", found=student.accuracy, bound=config.min_accuracy, passed=enough)
        )
    if config.min_over_shortcut > -1 and over_shortcut is not None:
        low = over_shortcut.interval[0] if over_shortcut.interval else -1.0
        enough = low >= config.min_over_shortcut - slack
        checks.append(GateCheck(condition=OVER_SHORTCUT, found=low, bound=config.min_over_shortcut, passed=enough))
    drop = teacher.accuracy - student.accuracy
    at_most = [("drop of accuracy from the teacher", drop, config.max_drop)] if config.max_drop < 1 else []
    if config.max_drop_shifted < 1:
        for name, found in (shifted or {}).items():
            at_most.append((f"drop of accuracy from the teacher on {name}", -found.difference, config.max_drop_shifted))
    return (
        *checks,
        *(
            GateCheck(condition=f"{name} at most", found=found, bound=bound, passed=found <= bound + slack)
            for name, found, bound in (*at_most, *budgets)
        ),
    )
