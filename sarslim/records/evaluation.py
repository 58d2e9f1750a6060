"""What evaluate found out, and what the gate says to it."""

from typing import Literal

from sarslim.records.base import Record
from sarslim.records.deployment import Deployment, Rival
from sarslim.records.scores import NetworkScores, PairedScores


class GateCheck(Record):
    """One condition of the quality gate."""

    condition: str
    found: float
    bound: float
    passed: bool


class Mistake(Record):
    """A chip of the test part, by its row, that the student took for another class, and what the teacher said.

    ``file`` is where the chip is in the source of the data set.
    """

    chip: int
    file: str = ""
    true: str
    student: str
    student_confidence: float
    teacher: str
    teacher_confidence: float


class Shortcut(Record):
    """What the test part gives away to whoever does not look at the target.

    ``over_majority`` holds it against always naming the largest class of the training part; None for that itself.
    ``balanced_interval`` is the 95 % bootstrap interval of balanced accuracy, chips drawn within their classes, and
    ``chance`` what that is for whoever knows nothing.
    """

    name: Literal["majority", "background", "brightness", "size and shape"]
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    balanced_interval: tuple[float, float]
    chance: float
    over_majority: PairedScores | None

    @property
    def tells(self) -> bool:
        """Whether it clearly knows something of the class: more chips than the majority, or more of each class.

        Where one class is large, a shortcut may tell the others apart and name fewer chips rightly than the majority.
        """
        more = self.over_majority is not None and self.over_majority.clearly_better
        return more or self.balanced_interval[0] > self.chance


class Shifted(Record):
    """Chips of another kind than those of training, and what each network can do there, held against the teacher.

    ``per_class`` counts the chips in the order of the network's classes, which need not all be there. ``trained_on``
    counts those that are in the training or validation part, too.
    """

    name: str
    source: str
    simulated: bool
    digest: str
    per_class: tuple[int, ...]
    trained_on: int
    pruned: PairedScores
    student: PairedScores


class EvaluateRecord(Record):
    """Teacher, pruned network before recovery, and student, on the same test part.

    ``mistakes``: those of which the student was surest, the surest first. ``over_shortcut`` holds each network against
    the most accurate shortcut, ``against_teacher`` the pruned network and the student against the teacher. ``threads``
    are those of the CPU that the networks ran on, but where a latency tells its own; 0 where an earlier version did not
    tell.
    """

    teacher: NetworkScores
    pruned: NetworkScores
    student: NetworkScores
    deployments: tuple[Deployment, ...] = ()
    rivals: tuple[Rival, ...] = ()
    majority_accuracy: float
    shortcuts: tuple[Shortcut, ...] = ()
    over_shortcut: dict[str, PairedScores] = {}
    against_teacher: dict[str, PairedScores] = {}
    shifted: tuple[Shifted, ...] = ()
    gate: tuple[GateCheck, ...]
    mistakes: tuple[Mistake, ...] = ()
    seconds: float
    threads: int = 0

    @property
    def best_shortcut(self) -> Shortcut | None:
        """The most accurate one; None where an earlier version measured."""
        return max(self.shortcuts, key=lambda each: each.accuracy, default=None)

    @property
    def passed(self) -> bool:
        """Whether every condition of the gate holds."""
        return all(check.passed for check in self.gate)

    def figures(self) -> dict[str, float]:
        """What the KFP UI shows."""
        networks = {"teacher": self.teacher, "pruned": self.pruned, "student": self.student}
        figures = {
            f"{name}_{figure}": value for name, scores in networks.items() for figure, value in scores.summary().items()
        }
        for each in self.shifted:
            accuracies = (each.student.accuracy[1], each.pruned.accuracy[0], each.student.accuracy[0])
            figures |= {f"{name}_accuracy_{each.name}": value for name, value in zip(networks, accuracies, strict=True)}
        return figures
