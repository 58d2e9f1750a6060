"""Stage 0: what can be known to be wrong is refused before anything expensive starts."""

from collections.abc import Mapping
from typing import Any

from sarslim import networks, pruning
from sarslim.chips.inspect import fingerprint
from sarslim.config import RunConfig
from sarslim.config.parameters import from_parameters, given_artifacts
from sarslim.config.recoveries import recovery
from sarslim.stages.given import check_given
from sarslim.store.storage import S3Uri, Storage, is_s3, local_copy

# Where the source decides how many classes there are: the classifier is a small part of the costs.
TYPICAL_CLASSES = 5


def check(parameters: Mapping[str, Any]) -> RunConfig:
    """Validates all pipeline parameters together and looks at the source, or at the artifacts that replace it.

    Args:
        parameters: of the pipeline, by name; ``start`` names the last artifact that an earlier run gives, if any, and
            ``methods`` the recovery methods that are compared, if they are.

    Returns:
        The complete configuration, with the fingerprint of the source and what the teacher is shown filled in.

    Raises:
        InputError: every wrong parameter, a source that is not there, or an artifact of another kind than asked for.
        ServiceError: the object store cannot be reached.
    """
    config = from_parameters(parameters)
    methods = [name.strip() for name in parameters.get("methods", "").split(",") if name.strip()]
    recipes = [recovery(name, config.distill) for name in methods] or [config.distill]
    config = config.model_copy(update={"ask": config.ask.filled(*recipes)})
    given = {name: parameters[f"{name}_uri"] for name in given_artifacts(parameters.get("start", ""))}
    if given:
        check_given(given)
    if "pruned" not in given:
        check_budgets(config)
    if given:
        return config
    prepare = config.prepare.model_copy(update={"fingerprint": _fingerprint(config.prepare.source)})
    return config.model_copy(update={"prepare": prepare})


def _fingerprint(source: str) -> str:
    if not source:
        return ""
    if is_s3(source):
        return Storage.from_environment().fingerprint(S3Uri.parse(source))
    with local_copy(source) as path:
        return fingerprint(path)


def check_budgets(config: RunConfig) -> None:
    """Builds the teacher, untrained, to see whether the budget can be met; costs depend on shapes only."""
    # A measured latency means nothing before the prune stage, which may run on another machine.
    untimed = config.prune.model_copy(update={"latency": ""})
    if not untimed.budgets:
        return
    teacher = networks.build(
        config.teacher.network,
        classes=len(config.prepare.classes) or TYPICAL_CLASSES,
        channels=1,
        stem=config.teacher.stem,
        mean=(0.0,),
        std=(1.0,),
    )
    pruning.check(
        teacher,
        untimed,
        input_shape=(1, config.prepare.image_size, config.prepare.image_size),
        output_layers=networks.output_layers(teacher),
        stages=networks.stages(teacher),
    )
