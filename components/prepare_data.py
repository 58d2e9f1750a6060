"""Chips from their source to a dataset artifact."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("prepare"), install_kfp_package=False)
def prepare_data(
    config: str,
    dataset: dsl.Output[dsl.Dataset],
    data_card: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
):
    """Reads the chips, splits them without leaks, scales and stores them; the data card shows what is there.

    Args:
        config: JSON object with fields of the prepare stage (sarslim/config/stages/); {} takes the defaults.

    Returns:
        dataset: The chips by part (train, val, test), scaled, in one array each.
        data_card: A page for people: classes, counts, examples, warnings.
        metrics: Chips per part, classes, warnings.
    """
    from pathlib import Path

    from sarslim.config import PrepareConfig, parse
    from sarslim.kubeflow import shell
    from sarslim.stages.prepare import prepare

    with shell.stage("prepare", outputs={"dataset": dataset}):
        record = prepare(parse(PrepareConfig, config), dataset=Path(dataset.path), card=Path(data_card.path))
        shell.log(metrics, record.figures())
