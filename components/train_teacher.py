"""The network to compress."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("teacher"), install_kfp_package=False)
def train_teacher(
    config: str,
    dataset: dsl.Input[dsl.Dataset],
    teacher: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
):
    """Trains the teacher on the training part and keeps the epoch that the validation part decides on.

    Args:
        config: JSON object with fields of the teacher stage (sarslim/config/stages/); {} takes the defaults.
        dataset: What prepare-data makes.

    Returns:
        teacher: The trained network, in safetensors.
        metrics: Accuracy and macro-F1 on the validation part.
    """
    from pathlib import Path

    from sarslim.config import TeacherConfig, parse
    from sarslim.kubeflow import shell
    from sarslim.stages.teacher import train_teacher as train

    with shell.stage("teacher", inputs={"dataset": dataset}, outputs={"teacher": teacher}):
        record = train(parse(TeacherConfig, config), dataset=Path(dataset.path), teacher=Path(teacher.path))
        shell.log(metrics, record.figures())
