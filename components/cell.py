"""One cell of a sweep or of the baselines: all that its network goes through, in one task."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("cell"), install_kfp_package=False)
def recover_cell(
    label: str,
    prune: str,
    distill: str,
    evaluate: str,
    dataset: dsl.Input[dsl.Dataset],
    teacher: dsl.Input[dsl.Model],
    answers: dsl.Input[dsl.Artifact],
    student: dsl.Output[dsl.Model],
    scores: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Prunes, recovers and measures one network; its label and the main figures go on as JSON text."""
    import json
    from pathlib import Path

    from sarslim.config import DistillConfig, EvaluateConfig, PruneConfig, parse
    from sarslim.kubeflow import shell
    from sarslim.stages.cell import recover_cell

    inputs = {"dataset": dataset, "teacher": teacher, "answers": answers}
    with shell.stage("distill", inputs=inputs, outputs={"student": student, "scores": scores}):
        record = recover_cell(
            json.loads(label),
            parse(PruneConfig, prune),
            parse(DistillConfig, distill),
            parse(EvaluateConfig, evaluate),
            **{name: Path(artifact.path) for name, artifact in inputs.items()},
            student=Path(student.path),
            scores=Path(scores.path),
        )
        shell.log(metrics, record.figures())
    return record.model_dump_json()


@dsl.component(base_image=image("cell"), install_kfp_package=False)
def rival_cell(
    label: str,
    teacher: str,
    evaluate: str,
    dataset: dsl.Input[dsl.Dataset],
    rival: dsl.Output[dsl.Model],
    scores: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Trains and measures one lightweight network; its label and the main figures go on as JSON text."""
    import json
    from pathlib import Path

    from sarslim.config import EvaluateConfig, TeacherConfig, parse
    from sarslim.kubeflow import shell
    from sarslim.stages.cell import rival_cell

    with shell.stage("teacher", inputs={"dataset": dataset}, outputs={"rival": rival, "scores": scores}):
        record = rival_cell(
            json.loads(label),
            parse(TeacherConfig, teacher),
            parse(EvaluateConfig, evaluate),
            dataset=Path(dataset.path),
            rival=Path(rival.path),
            scores=Path(scores.path),
        )
        shell.log(metrics, record.figures())
    return record.model_dump_json()
