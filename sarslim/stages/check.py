"""Stage 0: what can be known to be wrong is refused before anything expensive starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sarslim.chips.inspect import fingerprint
from sarslim.config import RunConfig, from_parameters
from sarslim.errors import InputError
from sarslim.stages.source import local_copy, stored_fingerprint
from sarslim.storage import is_s3


def check(parameters: Mapping[str, Any]) -> RunConfig:
    """Validates all pipeline parameters together and looks at the source.

    Returns:
        The complete configuration, with the fingerprint of the source filled in.

    Raises:
        InputError: every wrong parameter, or a source that is not there.
        ServiceError: the object store cannot be reached.
    """
    config = from_parameters(parameters)
    _check_budgets(config)
    prepare = config.prepare.model_copy(update={"fingerprint": _fingerprint(config.prepare.source)})
    return config.model_copy(update={"prepare": prepare})


def _fingerprint(source: str) -> str:
    if not source:
        return ""
    if is_s3(source):
        return stored_fingerprint(source)
    with local_copy(source) as path:
        assert path is not None
        return fingerprint(Path(path))


def _check_budgets(config: RunConfig) -> None:
    absolute = {name: budget for name, budget in config.prune.budgets.items() if not budget.relative}
    absolute.pop("latency", None)
    if not absolute:
        return
    from sarslim import cost, networks  # torch: only where there is something to count

    classes = len(config.prepare.classes) or 2
    teacher = networks.build(
        config.teacher.network, classes=classes, channels=1, stem=config.teacher.stem, mean=(0.0,), std=(1.0,)
    )
    size = config.prepare.image_size
    found = {"macs": cost.count_macs(teacher, (1, size, size)), "params": cost.count_params(teacher)}
    for name, budget in absolute.items():
        # The true class count is not known yet and adds a little to the classifier.
        if budget.value > found[name] * 1.1:
            raise InputError(
                f"prune.{name}",
                f"{budget.value:,.0f} is more than the {found[name]:,} that {config.teacher.network} has",
                "Ask for less than the teacher has, or for a share such as 5%",
            )
