"""One network on the test part."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sarslim.chips.dataset import Dataset
from sarslim.config import EvaluateConfig, PrepareConfig
from sarslim.evaluation import measures
from sarslim.networks import Recogniser, artifact
from sarslim.networks.inference import predict
from sarslim.networks.shapes import shape_of
from sarslim.progress import note
from sarslim.records import Measured, ModelRecord, NetworkScores
from sarslim.stages import shifted
from sarslim.stages.learn import input_shape, require_classes
from sarslim.stages.results import CONFIG, read_json, write_json

DIGEST = 12  # characters that tell data sets apart


class Scored(NamedTuple):
    """A model artifact that was looked at: what it holds, its figures, and its logits (N, K) of the test part."""

    network: Recogniser
    record: ModelRecord
    scores: NetworkScores
    logits: NDArray[np.float32]


def measure(label: Mapping[str, Any], config: EvaluateConfig, *, dataset: Path, model: Path, scores: Path) -> Measured:
    """Measures a network, writes all of its scores, and returns the few that a comparison needs.

    Args:
        label: the name of the network and, where it was recovered, its budget, method and seed.

    Raises:
        InputError: no test part, a model for other classes than the data set, or a shifted source without chips of
            these classes.
    """
    data = Dataset.open(dataset)
    sources = shifted.read(config, data, read_json(PrepareConfig, dataset / CONFIG)) if config.shifted else []
    found = score(model, data, config, name=label["name"])
    write_json(scores, found.scores)
    return Measured(
        **label,
        data_digest=data.record.digest[:DIGEST],
        test_chips=len(data.part("test").images),
        simulated=data.record.simulated,
        shifted={
            each.name: shifted.accuracy(each, predict(found.network, each.images).argmax(axis=1), DIGEST)
            for each in sources
        },
        shape=shape_of(found.network, found.record),
        **found.scores.summary(),
    )


def score(folder: Path, data: Dataset, config: EvaluateConfig, *, name: str, kind: str | None = None) -> Scored:
    """What the model in ``folder`` can do on the test part, and what it costs but for time.

    Args:
        kind: refuse a model that is not of this kind.

    Raises:
        InputError: no test part, or a model of another kind or for other classes.
    """
    network, model = artifact.load(folder, kind=kind)
    require_classes(model, data, folder)
    test = data.part("test")
    assert test.labels is not None
    note(f"measuring the {name}")
    logits = predict(network, test.images)
    scores = measures.score(
        network,
        logits,
        test.images,
        test.labels,
        data.record.classes,
        config=config,
        scaling=data.record.scaling,
        input_shape=input_shape(data),
        file_bytes=(folder / artifact.WEIGHTS).stat().st_size,
    )
    return Scored(network, model, scores, logits)
