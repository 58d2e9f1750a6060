"""Networks beside each other."""

from sarslim.records.base import Record
from sarslim.records.scores import Latency, Shape


class ShiftedAccuracy(Record):
    """What one network can do on a shifted source, whose digest is cut as that of the data set is."""

    digest: str
    chips: int
    accuracy: float
    balanced_accuracy: float


class Measured(Record):
    """One network on the test part, under the name that tables give it, and how it was recovered.

    An empty method: a network that stands alone, such as the teacher. ``sets`` are the ``--set`` texts that make the
    network from the configuration of the run. Few figures, and no more than the beginning of the data set's digest,
    because KFP hands those of all networks to the comparison in one argument, where Linux allows 128 KiB. By its
    ``shape`` the comparison builds the network anew, and times it in turns with the others.
    """

    name: str
    budget: str = ""
    method: str = ""
    seed: int = 0
    sets: tuple[str, ...] = ()
    data_digest: str
    test_chips: int
    simulated: bool = False
    accuracy: float
    macro_f1: float
    balanced_accuracy: float
    params: int
    macs: int
    bytes: int
    shape: Shape
    latency: Latency | None = None
    shifted: dict[str, ShiftedAccuracy] = {}

    @property
    def latency_ms(self) -> float:
        """Median milliseconds of one chip in ONNX Runtime."""
        assert self.latency is not None
        return self.latency.median_ms

    def figures(self) -> dict[str, float]:
        """What the KFP UI shows."""
        names = ("test_chips", "accuracy", "macro_f1", "balanced_accuracy", "params", "macs", "bytes")
        shifted = {f"accuracy_{name}": each.accuracy for name, each in self.shifted.items()}
        return {name: getattr(self, name) for name in names} | shifted


class Comparison(Record):
    """Networks on the same test part; the first is the one that the others are held against."""

    networks: tuple[Measured, ...]
