"""The network cut down to its budget."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("prune"), install_kfp_package=False)
def prune_student(
    config: str,
    dataset: dsl.Input[dsl.Dataset],
    teacher: dsl.Input[dsl.Model],
    pruned: dsl.Output[dsl.Model],
    pruning_record: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
):
    """Removes channels until the budget is met; the record tells the width of every layer before and after.

    Args:
        config: JSON object with fields of the prune stage (sarslim/config/stages/); {} takes the defaults.
        dataset: What prepare-data makes.
        teacher: What train-teacher makes.

    Returns:
        pruned: The network with fewer channels, not recovered yet.
        pruning_record: A table for people: the width of every layer before and after.
        metrics: MACs and parameters, accuracy on the validation part before recovery.
    """
    from pathlib import Path

    from sarslim.config import PruneConfig, parse
    from sarslim.kubeflow import shell
    from sarslim.stages.prune import prune_student as prune

    with shell.stage("prune", inputs={"dataset": dataset, "teacher": teacher}, outputs={"pruned": pruned}):
        record = prune(
            parse(PruneConfig, config),
            dataset=Path(dataset.path),
            teacher=Path(teacher.path),
            pruned=Path(pruned.path),
            table=Path(pruning_record.path),
        )
        shell.log(metrics, record.figures())
