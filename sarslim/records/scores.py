"""What one network can do, and what it costs."""

from typing import Any

from sarslim.records.base import Record


class Latency(Record):
    """Time of one forward pass, after a warm-up, in turns with what it is compared with.

    ``median_ms`` is that of the medians of the turns, the percentiles are those of all runs. ``disturbed``: in two or
    more of its five turns the median was more than a tenth off, so other work on the machine is in the figure.
    """

    batch: int
    threads: int
    runs: int
    median_ms: float
    p05_ms: float
    p95_ms: float
    disturbed: bool = False

    @property
    def images_per_second(self) -> float:
        """Chips per second at the median."""
        return 1000 * self.batch / self.median_ms


class ClassScores(Record):
    """Scores of one class on the test part."""

    name: str
    chips: int
    precision: float
    recall: float
    f1: float
    auc: float | None


class RocCurve(Record):
    """One class against the rest; thresholds are finite."""

    name: str
    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]
    thresholds: tuple[float, ...]


class ReliabilityBin(Record):
    """Chips whose confidence falls into one bin."""

    confidence: float
    accuracy: float
    chips: int


class Shape(Record):
    """What the costs of a network depend on: its architecture and, layer by layer, its sizes.

    ``sizes``: outputs and inputs of every convolution and linear layer, features of every BatchNorm, in their order.
    """

    network: str
    stem: str
    classes: int
    channels: int
    image_size: int
    sizes: tuple[int, ...]


class NetworkScores(Record):
    """One network on the test part: what it can do and what it costs.

    ``latency`` is that of ONNX Runtime in FP32, for every batch size; empty where it was not timed.
    """

    accuracy: float
    macro_f1: float
    balanced_accuracy: float
    expected_calibration_error: float
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    roc: tuple[RocCurve, ...]
    reliability: tuple[ReliabilityBin, ...]
    speckle_accuracy: dict[str, float]
    params: int
    macs: int
    bytes: int
    peak_memory_bytes: int
    latency: tuple[Latency, ...] = ()

    @property
    def latency_ms(self) -> float:
        """Median milliseconds of one chip."""
        return self.latency[0].median_ms

    def summary(self) -> dict[str, Any]:
        """The seven figures of ``summary.json``; six of a network that was not timed."""
        names = ("accuracy", "macro_f1", "balanced_accuracy", "params", "macs", "bytes")
        timed = {"latency_ms": self.latency_ms} if self.latency else {}
        return {name: getattr(self, name) for name in names} | timed


class PairedScores(Record):
    """Two that name classes, on the same chips.

    Balanced accuracy and macro-F1 are over the classes that the chips are of. ``difference`` of accuracy is the first
    minus the second, ``interval`` its 95 % bootstrap interval over chips drawn independently, None below three chips.
    ``only_first`` counts chips that only the first one gets right.
    """

    chips: int
    accuracy: tuple[float, float]
    balanced_accuracy: tuple[float, float]
    macro_f1: tuple[float, float]
    difference: float
    interval: tuple[float, float] | None
    only_first: int
    only_second: int

    def __repr__(self) -> str:
        first, second = (f"{100 * accuracy:.1f} %" for accuracy in self.accuracy)
        difference = f"difference {100 * self.difference:+.1f} points"
        if self.interval:
            difference += " (95 % interval {:+.1f} to {:+.1f})".format(*(100 * bound for bound in self.interval))
        return f"PairedScores({self.chips} chips, accuracy {first} and {second}, {difference})"

    __str__ = __repr__

    @property
    def clearly_better(self) -> bool:
        """Whether the whole interval of the difference is on the side of the first."""
        return self.interval is not None and self.interval[0] > 0
