"""One network on the test part."""

from pathlib import Path

from sarslim import checkpoint
from sarslim import evaluation as measuring
from sarslim.chips.dataset import Dataset
from sarslim.config import EvaluateConfig
from sarslim.progress import note
from sarslim.records import Measured, NetworkScores
from sarslim.stages.learn import input_shape, require_classes


def measure(name: str, config: EvaluateConfig, *, dataset: Path, model: Path) -> Measured:
    """Measures a network under a name.

    Raises:
        InputError: no test part, or a model for other classes than the data set.
    """
    data = Dataset.open(dataset)
    return Measured(name=name, test_chips=len(data.part("test").images), scores=score(model, data, config, name=name))


def score(folder: Path, data: Dataset, config: EvaluateConfig, *, name: str, kind: str | None = None) -> NetworkScores:
    """What the model in ``folder`` can do on the test part, and what it costs.

    Args:
        kind: refuse a model that is not of this kind.

    Raises:
        InputError: no test part, or a model of another kind or for other classes.
    """
    network, model = checkpoint.load(folder, kind=kind)
    require_classes(model, data, folder)
    test = data.part("test")
    assert test.labels is not None
    note(f"measuring the {name}")
    return measuring.score(
        network,
        test.images,
        test.labels,
        data.record.classes,
        config=config,
        scaling=data.record.scaling,
        input_shape=input_shape(data),
        file_bytes=(folder / checkpoint.WEIGHTS).stat().st_size,
    )
