"""Stage 5, on chips that differ from those of training: what compression really costs shows there."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sarslim.chips import stream
from sarslim.chips.dataset import Dataset
from sarslim.chips.simulated_folder import is_simulated
from sarslim.config import EvaluateConfig, PrepareConfig
from sarslim.errors import InputError
from sarslim.evaluation import statistics
from sarslim.progress import note
from sarslim.records import Shifted, ShiftedAccuracy
from sarslim.stages.deploy import preprocessing
from sarslim.store.storage import local_copy


@dataclass(frozen=True)
class Source:
    """Labelled chips as the network takes them: images (N, C, H, W), labels (N,) by the network's classes."""

    name: str
    address: str
    simulated: bool
    images: NDArray[np.generic]
    labels: NDArray[np.int64]

    @property
    def digest(self) -> str:
        """SHA-256 over images and labels."""
        return hashlib.sha256(self.images.tobytes() + self.labels.tobytes()).hexdigest()


def read(config: EvaluateConfig, data: Dataset, prepared: PrepareConfig) -> list[Source]:
    """Reads every shifted source as the chips of training were read, with their scaling.

    Of a source with a given split only the test part is taken.

    Args:
        prepared: how the data set was prepared. Where it chooses classes, chips of others are left out; else they are
            refused.

    Raises:
        InputError: nothing at an address, no chips of the network's classes, or of others.
    """
    how, classes = preprocessing(data, prepared), data.record.classes
    sources = []
    for (where, address), name in zip(config.sources.items(), config.shifted, strict=True):
        note(f"reading {name}: {address}")
        with local_copy(address, where) as path:
            try:
                chips = list(stream.labelled(path, how, classes, refuse_others=not prepared.classes))
            except InputError as error:
                told = error.problem if error.where == str(path) else f"{error.where}: {error.problem}"
                raise InputError(where, told, error.remedy) from None
            sources.append(
                Source(
                    name=name,
                    address=address,
                    simulated=is_simulated(Path(path)),
                    images=np.stack([chip.image for chip in chips]),
                    labels=np.array([classes.index(str(chip.label)) for chip in chips], np.int64),
                )
            )
    return sources


def compared(source: Source, data: Dataset, answers: Mapping[str, NDArray[np.int64]]) -> Shifted:
    """What the networks can do on a source, the pruned one and the student held against the teacher chip by chip.

    Args:
        answers: the classes (N,) that ``teacher``, ``pruned`` and ``student`` choose.
    """
    trained = {image.tobytes() for name in ("train", "val") if data.has(name) for image in data.part(name).images}
    counts = np.bincount(source.labels, minlength=len(data.record.classes))
    return Shifted(
        name=source.name,
        source=source.address,
        simulated=source.simulated,
        digest=source.digest,
        per_class=tuple(counts.tolist()),
        trained_on=sum(image.tobytes() in trained for image in source.images),
        **{kind: statistics.pair(source.labels, answers[kind], answers["teacher"]) for kind in ("pruned", "student")},
    )


def accuracy(source: Source, chosen: NDArray[np.int64], digest: int) -> ShiftedAccuracy:
    """What one network can do on a source; ``digest`` is how many characters of it are kept."""
    return ShiftedAccuracy(
        digest=source.digest[:digest],
        chips=len(source.labels),
        accuracy=float(np.mean(chosen == source.labels)),
        balanced_accuracy=statistics.balanced_accuracy(source.labels, chosen),
    )
