"""The teacher asked once, before the distillation."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("ask"), install_kfp_package=False)
def ask_teacher(
    config: str,
    dataset: dsl.Input[dsl.Dataset],
    teacher: dsl.Input[dsl.Model],
    answers: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
):
    """Writes the teacher's answers to some views of every training chip, or that it is asked in every step.

    Args:
        config: JSON object with fields of the ask stage (sarslim/config/stages/); {} asks nothing beforehand.
        dataset: What prepare-data makes.
        teacher: What train-teacher makes.

    Returns:
        answers: Logits and pooled features of the teacher for every view, or a record that says there are none.
        metrics: How many answers, and their size.
    """
    from pathlib import Path

    from sarslim.config import AskConfig, parse
    from sarslim.kubeflow import shell
    from sarslim.stages.ask import ask_teacher as ask

    with shell.stage("ask", inputs={"dataset": dataset, "teacher": teacher}, outputs={"answers": answers}):
        record = ask(
            parse(AskConfig, config),
            dataset=Path(dataset.path),
            teacher=Path(teacher.path),
            answers=Path(answers.path),
        )
        shell.log(metrics, record.figures())
