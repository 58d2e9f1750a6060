"""Stage 0: what can be known to be wrong is refused before anything expensive starts."""

import hashlib
from collections.abc import Mapping
from typing import Any

from sarslim import networks, pruning
from sarslim.chips.inspect import check_names, fingerprint, is_data, names
from sarslim.config import PrepareConfig, RunConfig
from sarslim.config.parameters import from_parameters, given_artifacts
from sarslim.stages.given import check_given
from sarslim.store.storage import S3Uri, Storage, is_s3, local_copy

# Where the source decides how many classes there are: the classifier is a small part of the costs.
TYPICAL_CLASSES = 5


def check(parameters: Mapping[str, Any]) -> RunConfig:
    """Validates all pipeline parameters together and looks at the source, or at the artifacts that replace it.

    Args:
        parameters: of the pipeline, by name; ``start`` names the last artifact that an earlier run gives, if any.

    Returns:
        The complete configuration, with the fingerprint of the source filled in.

    Raises:
        InputError: every wrong parameter, a source that is not there or whose folders contradict each other, or an
            artifact of another kind than asked for.
        ServiceError: the object store cannot be reached.
    """
    config = from_parameters(parameters)
    given = {name: parameters[f"{name}_uri"] for name in given_artifacts(parameters.get("start", ""))}
    if given:
        check_given(given)
    if "pruned" not in given:
        check_budgets(config)
    if given:
        return config
    prepare = config.prepare.model_copy(update={"fingerprint": _look_at(config.prepare)})
    return config.model_copy(update={"prepare": prepare})


def _look_at(config: PrepareConfig) -> str:
    """The fingerprint of the source, whose names are held against the configuration first."""
    if not config.source:
        return ""
    if is_s3(config.source):
        uri = S3Uri.parse(config.source)
        rows = [row for row in Storage.from_environment().objects(uri) if is_data(row[0])]
        check_names([key or uri.key for key, _, _ in rows], config)
        return hashlib.sha256(repr(rows).encode()).hexdigest()
    with local_copy(config.source) as path:
        check_names(names(path), config)
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
