"""The pruned network recovered."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("distill"), install_kfp_package=False)
def distill_student(
    config: str,
    dataset: dsl.Input[dsl.Dataset],
    teacher: dsl.Input[dsl.Model],
    pruned: dsl.Input[dsl.Model],
    answers: dsl.Input[dsl.Artifact],
    student: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
):
    """Recovers the pruned network by distillation with self-reflection, or by fine-tuning.

    Args:
        config: JSON object with fields of the distill stage (sarslim/config/stages/); {} takes the defaults.
        dataset: What prepare-data makes.
        teacher: What train-teacher makes.
        pruned: What prune-student makes.
        answers: What ask-teacher makes, of the same data set and teacher.

    Returns:
        student: The recovered network.
        metrics: Accuracy and macro-F1 on the validation part.
    """
    from pathlib import Path

    from sarslim.config import DistillConfig, parse
    from sarslim.kubeflow import shell
    from sarslim.stages.distill import distill_student as distill

    with shell.stage(
        "distill",
        inputs={"dataset": dataset, "teacher": teacher, "pruned": pruned, "answers": answers},
        outputs={"student": student},
    ):
        record = distill(
            parse(DistillConfig, config),
            dataset=Path(dataset.path),
            teacher=Path(teacher.path),
            pruned=Path(pruned.path),
            answers=Path(answers.path),
            student=Path(student.path),
        )
        shell.log(metrics, record.figures())
