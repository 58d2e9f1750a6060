"""One cell of a comparison from beginning to end: a process, or a pod, costs more than some of its stages."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sarslim.config import DistillConfig, EvaluateConfig, PruneConfig, TeacherConfig
from sarslim.records import Measured
from sarslim.stages.distill import distill_student
from sarslim.stages.measure import measure
from sarslim.stages.prune import prune_student
from sarslim.stages.teacher import train_teacher


def recover_cell(
    label: Mapping[str, Any],
    prune: PruneConfig,
    distill: DistillConfig,
    evaluate: EvaluateConfig,
    *,
    dataset: Path,
    teacher: Path,
    answers: Path,
    student: Path,
    scores: Path,
) -> Measured:
    """Prunes the teacher, recovers what is left and measures it, as the three stages do one after another.

    Args:
        label: the name of the network, its budget, method and seed.
        answers: what the ask stage made.
        student, scores: where the network and all of its scores go.

    Raises:
        InputError: what any of the stages refuses.
    """
    with tempfile.TemporaryDirectory() as folder:
        pruned = Path(folder) / "pruned"
        prune_student(prune, dataset=dataset, teacher=teacher, pruned=pruned, table=Path(folder) / "table.md")
        distill_student(distill, dataset=dataset, teacher=teacher, pruned=pruned, answers=answers, student=student)
    return measure(label, evaluate, dataset=dataset, model=student, scores=scores)


def rival_cell(
    label: Mapping[str, Any],
    recipe: TeacherConfig,
    evaluate: EvaluateConfig,
    *,
    dataset: Path,
    rival: Path,
    scores: Path,
) -> Measured:
    """Trains a lightweight network with the teacher's recipe and measures it.

    Args:
        label: the name of the network, and its seed.
        rival, scores: where the network and all of its scores go.

    Raises:
        InputError: what either stage refuses.
    """
    train_teacher(recipe, dataset=dataset, teacher=rival)
    return measure(label, evaluate, dataset=dataset, model=rival, scores=scores)
