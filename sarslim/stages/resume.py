"""Where an interrupted training is kept: an object named after all that decides its result."""

import hashlib
import os
from typing import Any

from sarslim import sources
from sarslim.config import TrainingConfig
from sarslim.storage import S3Uri, Storage, StoredBytes


def checkpoint(config: TrainingConfig, stage: str, parents: dict[str, str]) -> StoredBytes | None:
    """The place for the checkpoint of a training run, or None where no object store is configured.

    The name is a digest of the configuration, the input artifacts and the sources: another run never resumes from it.
    """
    if not config.checkpoints or "AWS_ACCESS_KEY_ID" not in os.environ:
        return None
    decides: tuple[Any, ...] = (
        config.model_dump_json(exclude={"checkpoints"}),
        sorted(parents.items()),
        sources.digest(f"sarslim.stages.{stage.partition('-')[0]}"),
    )
    name = f"{stage}-{hashlib.sha256(repr(decides).encode()).hexdigest()[:24]}.pt"
    return StoredBytes(Storage.from_environment(), S3Uri.parse(config.checkpoints) / name)
