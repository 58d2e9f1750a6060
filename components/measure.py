"""One network on the test part, for comparisons."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("measure"), install_kfp_package=False)
def measure_network(
    label: str,
    config: str,
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    scores: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Measures a network; its label and the main figures go on as JSON text, which loops can collect.

    Args:
        config: JSON object with fields of the evaluate stage (sarslim/config/stages/); {} takes the defaults.
        label: JSON object with the name of the network in tables, such as {"name": "teacher"}.
        dataset: What prepare-data makes.
        model: Any network that a stage has made.

    Returns:
        scores: Every figure, as JSON.
        metrics: The main figures.
        Output: its label and the main figures, for compare-networks.
    """
    import json
    from pathlib import Path

    from sarslim.config import EvaluateConfig, parse
    from sarslim.kubeflow import shell
    from sarslim.stages.measure import measure

    with shell.stage("evaluate", inputs={"dataset": dataset}, outputs={"scores": scores}):
        record = measure(
            json.loads(label),
            parse(EvaluateConfig, config),
            dataset=Path(dataset.path),
            model=Path(model.path),
            scores=Path(scores.path),
        )
        shell.log(metrics, record.figures())
    return record.model_dump_json()
