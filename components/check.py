"""The first task: everything that can be known to be wrong is refused here."""

from typing import NamedTuple

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("check"), install_kfp_package=False)
def check_inputs(
    source: str,
    source_format: str,
    image_size: int,
    network: str,
    teacher_epochs: int,
    macs_budget: str,
    params_budget: str,
    recovery_method: str,
    recovery_epochs: int,
    temperature: float,
    self_reflection: float,
    max_drop: float,
    model_name: str,
    seed: int,
    prepare_options: str,
    teacher_options: str,
    prune_options: str,
    ask_options: str,
    distill_options: str,
    evaluate_options: str,
    publish_options: str,
    prepare_rerun: str,
    teacher_rerun: str,
    prune_rerun: str,
    ask_rerun: str,
    distill_rerun: str,
    evaluate_rerun: str,
    publish_rerun: str,
    start: str,
    methods: str,
    publishes: bool,
    dataset_uri: str,
    teacher_uri: str,
    pruned_uri: str,
    student_uri: str,
    run_config: dsl.Output[dsl.Artifact],
) -> NamedTuple(  # type: ignore[valid-type]
    "Configs",
    [
        ("prepare", str),
        ("teacher", str),
        ("prune", str),
        ("ask", str),
        ("distill", str),
        ("evaluate", str),
        ("publish", str),
    ],
):
    """Validates all parameters, looks at the source, and hands every stage its complete configuration."""
    parameters = dict(locals())
    from pathlib import Path

    from sarslim.config import STAGES
    from sarslim.kubeflow import shell
    from sarslim.stages.check import check
    from sarslim.stages.results import write_json

    with shell.stage("check", outputs={"run_config": run_config}):
        config = check(parameters, room=Path(run_config.path).parent)
        write_json(Path(run_config.path), config)
    return tuple(getattr(config, stage).model_dump_json() for stage in STAGES)
