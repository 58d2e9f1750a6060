"""What pages say of chips that differ from those of training: what compression costs there."""

from collections.abc import Sequence

import numpy as np

import sarslim.report.units as units
from sarslim.records import Comparison, DatasetRecord, EvaluateRecord, Measured, PairedScores, Shifted
from sarslim.report.words.shortcuts import between

HEADER = ("Chips", "Number", "Teacher", "Pruned", "Student", "Student − teacher", "95 % interval")
TEST = "Test part"
RULE = (
    "Accuracy, and balanced accuracy in brackets, which is the mean over the classes that the chips are of. The "
    "student is held against its teacher chip by chip; the interval is a 95 % bootstrap interval over chips drawn "
    "independently, which is too narrow where many chips are of one target or scene"
)


def table(evaluation: EvaluateRecord) -> list[tuple[str, ...]]:
    """A row for the test part and one for every shifted source; none where there are no such sources."""
    if not evaluation.shifted:
        return []
    test = (TEST, evaluation.against_teacher["pruned"], evaluation.against_teacher["student"])
    return [
        (
            name,
            f"{student.chips:,}",
            _both(student, 1),
            _both(pruned, 0),
            _both(student, 0),
            units.points(student.difference),
            between(student) or "–",
        )
        for name, pruned, student in (test, *((each.name, each.pruned, each.student) for each in evaluation.shifted))
    ]


def verdicts(evaluation: EvaluateRecord) -> list[str]:
    """A sentence for every shifted source where the student is clearly behind its teacher."""
    return [
        f"On {each.name}, it is {units.points(each.student.difference).lstrip('−')} behind its teacher (95 % interval "
        f"{between(each.student)})."
        for each in evaluation.shifted
        if each.student.interval is not None and each.student.interval[1] < 0
    ]


def origins(dataset: DatasetRecord, evaluation: EvaluateRecord) -> list[str]:
    """Where the chips of each shifted source come from, and which classes they are of."""
    return [
        f"{each.name}: {each.student.chips:,} {'simulated ' if each.simulated else ''}chips of "
        f"{_classes(dataset, each)} from {each.source}, SHA-256 {each.digest[:12]}"
        for each in evaluation.shifted
    ]


def warnings(evaluation: EvaluateRecord) -> list[str]:
    """Of every shifted source whose chips were learned from."""
    return [
        f"{each.trained_on:,} of {each.student.chips:,} chips of {each.name} are in the training or validation part"
        for each in evaluation.shifted
        if each.trained_on
    ]


def compared_header(record: Comparison) -> list[str]:
    """Columns of networks on shifted sources, with the number of chips; empty where there are none."""
    shifted = record.networks[0].shifted
    return ["Network", "Test part", *(f"{name} ({each.chips:,})" for name, each in shifted.items())] if shifted else []


def mean_accuracy(runs: Sequence[Measured], name: str) -> float:
    """The mean over seeds of the accuracy on one shifted source."""
    return float(np.mean([run.shifted[name].accuracy for run in runs]))


def _both(found: PairedScores, place: int) -> str:
    return f"{units.percent(found.accuracy[place])} ({100 * found.balanced_accuracy[place]:.1f})"


def _classes(dataset: DatasetRecord, shifted: Shifted) -> str:
    held, known = sum(count > 0 for count in shifted.per_class), len(dataset.classes)
    return f"{held} classes" if held == known else f"{held} of {known} classes"
