"""What was kept and what was lost, on the test part."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("evaluate"), install_kfp_package=False)
def evaluate_student(
    config: str,
    dataset: dsl.Input[dsl.Dataset],
    teacher: dsl.Input[dsl.Model],
    pruned: dsl.Input[dsl.Model],
    student: dsl.Input[dsl.Model],
    evaluation: dsl.Output[dsl.Artifact],
    bundle: dsl.Output[dsl.Model],
    report: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
) -> bool:
    """Measures teacher, pruned network and student, writes the report and the bundle; True if the gate passes.

    Args:
        config: JSON object with fields of the evaluate stage (sarslim/config/stages/); {} takes the defaults.
        dataset: What prepare-data makes.
        teacher: What train-teacher makes.
        pruned: What prune-student makes.
        student: What distill-student makes.

    Returns:
        evaluation: Every figure, as JSON.
        bundle: ONNX, INT8, weights, model card, checksums: what is published.
        report: The story of the run, one page.
        metrics: The main figures of the three networks.
        confusion: The confusion matrix of the student.
        Output: whether the student passes the gate.
    """
    from pathlib import Path

    from sarslim.config import EvaluateConfig, parse
    from sarslim.kubeflow import shell
    from sarslim.stages.evaluate import evaluate

    with shell.stage(
        "evaluate",
        inputs={"dataset": dataset, "teacher": teacher, "pruned": pruned, "student": student},
        outputs={"evaluation": evaluation, "bundle": bundle, "report": report},
    ):
        record = evaluate(
            parse(EvaluateConfig, config),
            dataset=Path(dataset.path),
            teacher=Path(teacher.path),
            pruned=Path(pruned.path),
            student=Path(student.path),
            evaluation=Path(evaluation.path),
            bundle=Path(bundle.path),
            page=Path(report.path),
            origin=shell.origin(bundle),
        )
        shell.log(metrics, record.figures())
        shell.log_classification(confusion, record.student)
    return record.passed
