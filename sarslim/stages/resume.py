"""Where interrupted training is kept: objects named after all that decides its result."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sarslim.config import TrainingConfig
from sarslim.stages import sources
from sarslim.store import client
from sarslim.store.storage import S3Uri, Storage, StoredBytes
from sarslim.training import parallel

Places = Callable[[str], StoredBytes | None]
"""The place for the checkpoint of a part of a stage's training, by the name of the part."""


def nowhere(part: str) -> None:
    """Keeps nothing."""


@contextmanager
def kept_until_saved(config: TrainingConfig, stage: str, parents: dict[str, str]) -> Iterator[Places]:
    """Places for the checkpoints of a stage, or ``nowhere`` where no object store is configured.

    What is kept there is forgotten when the block ends well, with the artifact of the stage saved: until then no
    finished part is trained again. Names are digests of the configuration, the input artifacts and the sources:
    another run never resumes from them.
    """
    if not config.checkpoints or not client.configured():
        yield nowhere
        return
    decides: tuple[Any, ...] = (
        config.model_dump_json(exclude={"checkpoints"}),
        sorted(parents.items()),
        sources.digest(f"sarslim.stages.{stage}"),
    )
    storage, name = Storage.from_environment(), hashlib.sha256(repr(decides).encode()).hexdigest()[:24]
    used: list[StoredBytes] = []

    def place(part: str) -> StoredBytes:
        used.append(StoredBytes(storage, S3Uri.parse(config.checkpoints) / f"{part}-{name}.pt"))
        return used[-1]

    yield place
    if parallel.is_first():
        for kept in used:
            kept.clear()
