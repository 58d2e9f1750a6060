"""Scores against numbers worked out by hand, on a network whose answers are known."""

import math

import example_records
import numpy as np
import pytest
import torch
from torch import nn

from sarslim.config import EvaluateConfig
from sarslim.evaluation.measures import (
    OVER_SHORTCUT,
    calibration_error,
    gate,
    majority_accuracy,
    reliability_bins,
    score,
    surest_mistakes,
)
from sarslim.networks.inference import predict
from sarslim.records import ClassScores, EvaluateRecord, Scaling
from sarslim.report import units

SCALING = (Scaling(kind="linear", low=0.0, high=255.0),)
CONFIG = EvaluateConfig(batch_sizes=(1, 4), latency_seconds=0.01, looks=(16, 2.5))


class Brightness(nn.Module):
    """Logits 0, 1, ... are the first pixels of a chip divided by 50, times a parameter that is 1."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, images):
        return images.float()[:, 0, 0, : self.classes] / 50 * self.gain


def answers(choices, margins=None, classes=3, size=16):
    """Chips that make ``Brightness`` choose so."""
    images = np.full((len(choices), 1, size, size), 100, dtype=np.uint8)
    for number, choice in enumerate(choices):
        images[number, 0, 0, choice] += 100 if margins is None else margins[number]
    return images


def scored(labels, choices, names=("a", "b", "c"), config=CONFIG, **options):
    network, images = Brightness(len(names)), answers(choices, classes=len(names), **options)
    return score(
        network, predict(network, images), images, np.array(labels), names,
        config=config, scaling=SCALING, input_shape=(1, 16, 16), file_bytes=123,
    )  # fmt: skip


def test_scores_by_hand():
    scores = scored(labels=[0, 0, 0, 0, 1, 1, 2, 2], choices=[0, 0, 0, 1, 1, 1, 2, 0])
    assert scores.accuracy == 6 / 8
    assert scores.confusion == ((3, 1, 0), (0, 2, 0), (1, 0, 1))
    assert [each.precision for each in scores.classes] == pytest.approx([3 / 4, 2 / 3, 1])
    assert [each.recall for each in scores.classes] == pytest.approx([3 / 4, 1, 1 / 2])
    assert [each.f1 for each in scores.classes] == pytest.approx([3 / 4, 4 / 5, 2 / 3])
    assert [each.chips for each in scores.classes] == [4, 2, 2]
    assert scores.macro_f1 == pytest.approx((3 / 4 + 4 / 5 + 2 / 3) / 3)
    assert scores.balanced_accuracy == pytest.approx((3 / 4 + 1 + 1 / 2) / 3)
    # Every answer has logits 4, 2, 2.
    confidence = math.exp(2) / (math.exp(2) + 2)
    assert scores.expected_calibration_error == pytest.approx(abs(confidence - 6 / 8), abs=1e-6)
    assert [each.chips for each in scores.reliability] == [8]


def test_area_under_the_curve_by_hand():
    # The sure ones of class 0 come first, then the last chip; the surer chip 3 is of class 1, the lower its class 0.
    margins = [100, 90, 80, 70, 60, 50, 40, 30]
    scores = scored(labels=[0, 0, 0, 0, 1, 1, 2, 2], choices=[0, 0, 0, 1, 1, 1, 2, 0], margins=margins)
    assert scores.classes[0].auc == pytest.approx((3 * 4 + 1 * 0) / (4 * 4))


def test_costs_are_recorded():
    scores = scored(labels=[0, 1, 2], choices=[0, 1, 2])
    assert (scores.params, scores.macs, scores.bytes) == (1, 0, 123)
    assert scores.latency == ()  # networks are timed together
    assert scores.peak_memory_bytes > 0


def test_a_class_without_chips_has_no_auc_and_is_not_averaged():
    scores = scored(labels=[0, 0, 1, 1], choices=[0, 0, 1, 0])
    assert scores.classes[2].auc is None
    assert scores.classes[2].chips == 0
    assert scores.balanced_accuracy == pytest.approx(3 / 4)
    assert scores.macro_f1 == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert [curve.name for curve in scores.roc] == ["a", "b"]
    assert len(scores.confusion) == len(scores.confusion[0]) == 3


def test_what_is_taken_for_a_class_without_chips_does_not_bring_that_class_into_the_means():
    scores = scored(labels=[0, 0, 0, 1], choices=[0, 0, 2, 1])
    assert scores.macro_f1 == pytest.approx((4 / 5 + 1) / 2)
    assert scores.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)


def test_a_single_class_has_no_curves():
    scores = scored(labels=[1, 1], choices=[1, 0])
    assert scores.roc == ()
    assert scores.accuracy == 0.5


def test_curves_are_finite_short_and_keep_their_ends():
    rng = np.random.default_rng(0)
    labels, margins = rng.integers(0, 2, 3000), rng.integers(0, 150, 3000)
    images = rng.integers(0, 256, (3000, 1, 16, 16)).astype(np.uint8)
    images[np.arange(3000), 0, 0, labels] = np.maximum(images[np.arange(3000), 0, 0, labels], margins)
    scores = score(
        Brightness(2), predict(Brightness(2), images), images, labels, ("a", "b"),
        config=CONFIG, scaling=SCALING, input_shape=(1, 16, 16), file_bytes=1,
    )  # fmt: skip
    for curve in scores.roc:
        assert 100 < len(curve.thresholds) <= 200
        assert np.isfinite(curve.thresholds).all()
        assert (np.diff(curve.thresholds) < 0).all()
        assert curve.thresholds[0] > 1
        assert (curve.false_positive_rate[0], curve.true_positive_rate[0]) == (0, 0)
        assert (curve.false_positive_rate[-1], curve.true_positive_rate[-1]) == (1, 1)
    area = np.trapezoid(scores.roc[0].true_positive_rate, scores.roc[0].false_positive_rate)
    assert area == pytest.approx(scores.classes[0].auc, abs=0.005)


def test_speckle_costs_accuracy_and_repeats():
    labels = np.tile([0, 1, 2], 60)
    margins = np.full(180, 20)
    network, images = Brightness(3), answers(labels, margins)
    first, second = (
        score(
            network, predict(network, images), images, labels, ("a", "b", "c"),
            config=CONFIG, scaling=SCALING, input_shape=(1, 16, 16), file_bytes=1,
        )
        for _ in range(2)
    )  # fmt: skip
    assert first.accuracy == 1
    assert list(first.speckle_accuracy) == ["16", "2.5"]
    assert 1 > first.speckle_accuracy["16"] > first.speckle_accuracy["2.5"] > 0.3
    assert first.speckle_accuracy == second.speckle_accuracy


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.97, 0.55, 0.58, 1.0, 0.2])
    correct = np.array([True, False, True, False, True, False])
    bins = reliability_bins(confidence, correct)
    # Bins of 1/15: 0.2 ends the third; 0.55 and 0.58 share the ninth; 0.95, 0.97 and 1.0 the last.
    assert [each.chips for each in bins] == [1, 2, 3]
    assert [each.confidence for each in bins] == pytest.approx([0.2, 0.565, 2.92 / 3])
    assert [each.accuracy for each in bins] == pytest.approx([0, 0.5, 2 / 3])
    assert calibration_error(bins) == pytest.approx((1 * 0.2 + 2 * 0.065 + 3 * (2.92 / 3 - 2 / 3)) / 6)


def test_the_surest_mistakes_come_first_with_what_the_teacher_said():
    labels, choices = np.array([0, 0, 1, 2, 2]), [0, 1, 2, 2, 0]
    images = answers(choices, margins=[90, 50, 100, 90, 100])
    teacher = Brightness(3)
    teacher.gain = nn.Parameter(-torch.ones(1))  # names what is darkest, the first of equals
    said, theirs = predict(Brightness(3), images), predict(teacher, images)
    found = surest_mistakes(said, theirs, labels, ("a", "b", "c"))
    assert [(m.chip, m.true, m.student, m.teacher) for m in found] == [
        (2, "b", "c", "a"),
        (4, "c", "a", "b"),
        (1, "a", "b", "a"),
    ]
    assert [m.student_confidence for m in found] == pytest.approx(
        [math.exp(x) / (math.exp(x) + 2) for x in (2, 2, 1)], abs=1e-6
    )
    assert found[0].teacher_confidence == pytest.approx(1 / (2 + math.exp(-2)), abs=1e-6)
    many = np.zeros(40, dtype=np.int64)
    wrong = predict(Brightness(3), answers(many + 1))
    assert len(surest_mistakes(wrong, wrong, many, ("a", "b", "c"))) == 24
    assert surest_mistakes(said, theirs, np.array(choices), ("a", "b", "c")) == ()


def test_the_majority_comes_from_training():
    assert majority_accuracy(np.array([0, 1, 1]), np.array([0, 0, 0, 1])) == 0.25


def with_accuracy(accuracy, chips=(50, 30, 20)):
    classes = tuple(
        ClassScores(name=f"class {k}", chips=count, precision=1, recall=1, f1=1, auc=None)
        for k, count in enumerate(chips)
    )
    return scored(labels=[0], choices=[0], config=CONFIG.model_copy(update={"looks": ()})).model_copy(
        update={"accuracy": accuracy, "classes": classes}
    )


GUESSING = "95 % lower bound of accuracy above the largest class's"


@pytest.mark.parametrize(
    ("student", "macs", "passed"),
    [
        (0.90, 20e6, [True, True, True, True]),
        (0.90, 21e6, [True, True, True, False]),
        (0.89, 20e6, [True, True, False, True]),
        (0.79, 20e6, [True, False, False, True]),
        (0.99, 1e6, [True, True, True, True]),
        (0.59, 1e6, [False, False, False, True]),
    ],
)
def test_the_gate(student, macs, passed):
    config = EvaluateConfig(min_accuracy=0.8, max_drop=0.05)
    checks = gate(config, with_accuracy(0.95), with_accuracy(student), [("macs", macs, 20e6)])
    assert [check.condition for check in checks] == [
        GUESSING,
        "accuracy at least",
        "drop of accuracy from the teacher at most",
        "macs at most",
    ]
    assert [check.passed for check in checks] == passed
    assert [check.bound for check in checks] == [0.5, 0.8, 0.05, 20e6]
    assert [check.found for check in checks[1:]] == pytest.approx([student, 0.95 - student, macs])
    record = EvaluateRecord(
        teacher=with_accuracy(0.95), pruned=with_accuracy(0.3), student=with_accuracy(student),
        majority_accuracy=0.3, gate=checks, seconds=1,
    )  # fmt: skip
    assert record.passed == all(passed)


@pytest.mark.parametrize(
    ("teacher", "student", "chips", "passed"),
    [
        (0.0, 0.0, (50, 50), False),
        (0.02, 0.0, (50, 50), False),
        (0.5, 0.5, (50, 50), False),
        (0.6, 0.59, (50, 50), False),  # its interval reaches down to 0.492
        (0.6, 0.6, (50, 50), True),  # and this one to 0.502
        (0.6, 0.6, (5, 5), False),
        (1.0, 1.0, (2, 1), False),  # three right answers prove nothing
        (0.9, 0.9, (90, 10), False),
        (0.97, 0.97, (90, 10), True),
        (0.3, 0.3, (10,) * 10, True),
        (0.17, 0.17, (10,) * 10, True),
        (0.15, 0.15, (10,) * 10, False),
        (0.4, 0.4, (100, 0, 0), False),
    ],
)
def test_a_student_has_to_beat_guessing_whatever_its_teacher_can_do(teacher, student, chips, passed):
    config = EvaluateConfig(max_drop=0.05)
    checks = gate(config, with_accuracy(teacher, chips), with_accuracy(student, chips), [])
    assert [check.condition for check in checks] == [GUESSING, "drop of accuracy from the teacher at most"]
    assert checks[0].passed is passed
    assert checks[0].bound == pytest.approx(max(chips) / sum(chips))


@pytest.mark.parametrize(
    ("least", "interval", "passed"),
    [(0.0, (0.001, 0.1), True), (0.0, (-0.001, 0.1), False), (0.05, (0.05, 0.1), True), (0.0, None, False)],
)
def test_a_student_may_have_to_beat_the_best_shortcut(least, interval, passed):
    found = example_records.paired(0.9, 0.85).model_copy(update={"interval": interval})
    config = EvaluateConfig(max_drop=1, min_over_shortcut=least)
    checks = gate(config, with_accuracy(0.9), with_accuracy(0.9), [], over_shortcut=found)
    assert [check.condition for check in checks] == [GUESSING, OVER_SHORTCUT]
    assert (checks[1].passed, checks[1].bound) == (passed, least)
    assert checks[1].found == (interval[0] if interval else -1)


def test_a_student_may_have_to_keep_near_its_teacher_on_every_shifted_source():
    shifted = {"compact": example_records.paired(0.80, 0.82), "winter": example_records.paired(0.7, 0.75)}
    config = EvaluateConfig(max_drop=1, max_drop_shifted=0.02)
    checks = gate(config, with_accuracy(0.9), with_accuracy(0.9), [], shifted=shifted)[1:]
    assert [(check.condition, check.passed) for check in checks] == [
        ("drop of accuracy from the teacher on compact at most", True),
        ("drop of accuracy from the teacher on winter at most", False),
    ]
    assert units.gate_value(checks[0].condition, checks[0].found) == "2.0 points"
    assert len(gate(EvaluateConfig(max_drop=1), with_accuracy(0.9), with_accuracy(0.9), [], shifted=shifted)) == 1


def test_conditions_that_nothing_could_fail_are_left_out():
    (only,) = gate(EvaluateConfig(min_accuracy=0, max_drop=1), with_accuracy(0.9), with_accuracy(0.9), [])
    assert only.condition == GUESSING
    assert only.found == pytest.approx(0.8256, abs=1e-4)
