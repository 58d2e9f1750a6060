"""One network on the test part, for comparisons."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("measure"), install_kfp_package=False)
def measure_network(
    name: str,
    config: str,
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    scores: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Measures a network under a name; the figures also travel as JSON text, which loops can collect."""
    from pathlib import Path

    from sarslim import shell
    from sarslim.config import EvaluateConfig, parse
    from sarslim.stages.measure import measure
    from sarslim.stages.results import write_json

    with shell.stage("evaluate", inputs={"dataset": dataset}, outputs={"scores": scores}):
        record = measure(name, parse(EvaluateConfig, config), dataset=Path(dataset.path), model=Path(model.path))
        write_json(Path(scores.path), record)
        shell.log(metrics, record.scores.summary())
    return record.model_dump_json()
