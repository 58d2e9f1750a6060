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
    """Recovers the pruned network by distillation with self-reflection, or by fine-tuning."""
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
