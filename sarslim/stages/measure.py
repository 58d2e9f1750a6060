"""One network on the test part."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sarslim.chips.dataset import Dataset
from sarslim.config import EvaluateConfig
from sarslim.evaluation import measures
from sarslim.networks import artifact
from sarslim.networks.shapes import shape_of
from sarslim.progress import note
from sarslim.records import Measured, NetworkScores
from sarslim.stages.learn import input_shape, require_classes
from sarslim.stages.results import write_json

DIGEST = 12  # characters that tell data sets apart


def measure(label: Mapping[str, Any], config: EvaluateConfig, *, dataset: Path, model: Path, scores: Path) -> Measured:
    """Measures a network, writes all of its scores, and returns the few that a comparison needs.

    Args:
        label: the name of the network and, where it was recovered, its budget, method and seed.

    Raises:
        InputError: no test part, or a model for other classes than the data set.
    """
    data = Dataset.open(dataset)
    found = score(model, data, config, name=label["name"])
    write_json(scores, found)
    shape = shape_of(*artifact.load(model))
    return Measured(
        **label,
        data_digest=data.record.digest[:DIGEST],
        test_chips=len(data.part("test").images),
        simulated=data.record.simulated,
        shape=shape,
        **found.summary(),
    )


def score(folder: Path, data: Dataset, config: EvaluateConfig, *, name: str, kind: str | None = None) -> NetworkScores:
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
    return measures.score(
        network,
        test.images,
        test.labels,
        data.record.classes,
        config=config,
        scaling=data.record.scaling,
        input_shape=input_shape(data),
        file_bytes=(folder / artifact.WEIGHTS).stat().st_size,
    )
