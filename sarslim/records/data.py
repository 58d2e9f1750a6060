"""What prepare found out: chips, scalings, parts."""

from typing import Literal, Self

from pydantic import Field, FiniteFloat, PositiveInt, model_validator

from sarslim.records.base import Record
from sarslim.records.checks import LARGEST_SIDE, all_different, one_for_each, positive

ScalingKind = Literal["percentile", "log", "linear", "chip", "chip_log"]
# Kinds that divide amplitudes by the level of their chip first.
PER_CHIP = ("chip", "chip_log")


class Scaling(Record):
    """How an amplitude a becomes a stored value in 0..255.

    linear and percentile: 255 (a - low) / (high - low); log: 255 (log(a + offset) - low) / (high - low);
    clipped to 0..255 in each case. chip and chip_log: the same as percentile and log, of a divided by the level of the
    chip.
    """

    kind: ScalingKind
    low: FiniteFloat
    high: FiniteFloat
    offset: FiniteFloat = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _has_a_range(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"its low {self.low:g} is not below its high {self.high:g}")
        return self

    @property
    def per_chip(self) -> bool:
        """Whether amplitudes are divided by the level of their chip first."""
        return self.kind in PER_CHIP

    @property
    def logarithmic(self) -> bool:
        """Whether the axis is one of logarithms."""
        return self.kind in ("log", "chip_log")


class Skipped(Record):
    """A chip of the source that was left out, and why."""

    name: str
    reason: str


class PartCount(Record):
    """Chips of one part, per class in the order of the classes."""

    chips: int
    per_class: tuple[int, ...]


class Typical(Record):
    """What single training chips are like: the range of each measure that 99 % of them lie in.

    ``mean`` and ``spread`` (standard deviation) are of stored values 0..255, a range per channel; ``clipped`` is the
    largest share of pixels at either end of that scale; ``sides_px`` are the shortest and the longest side of any
    chip, before multilooking, crop and padding.
    """

    clipped: float
    mean: tuple[tuple[float, float], ...]
    spread: tuple[tuple[float, float], ...]
    sides_px: tuple[PositiveInt, PositiveInt]


class UnlabelledSource(Record):
    """Where further chips without a label came from, and what was done to them; ``chips`` of them are stored."""

    source: str
    format: str
    chips: int
    multilook: int
    scaling: tuple[Scaling, ...]
    sources_sha256: dict[str, str]


class DatasetRecord(Record):
    """The content of ``dataset.json``: what a dataset artifact holds and how it came about."""

    schema_version: int = 1
    sarslim_version: str
    source: str
    format: str
    simulated: bool
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    image_size: int = Field(ge=1, le=LARGEST_SIDE)
    multilook: int = Field(1, ge=1)
    dtype: str
    scaling: tuple[Scaling, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    parts: dict[str, PartCount]
    split_rule: str
    seed: int
    sources_sha256: dict[str, str]
    digest: str
    chips_read: int
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]
    typical: Typical | None = None
    unlabelled_source: UnlabelledSource | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        one_for_each(self.channels, scaling=self.scaling, mean=self.mean, std=self.std)
        all_different(self.classes)
        positive(self.std)
        if self.typical is not None:
            one_for_each(self.channels, mean=self.typical.mean, spread=self.typical.spread)
        for name, part in self.parts.items():
            if part.chips < 0:
                raise ValueError(f"its part {name} has {part.chips} chips")
        return self

    def figures(self) -> dict[str, float]:
        """What the KFP UI shows."""
        chips = {f"{part}_chips": float(count.chips) for part, count in self.parts.items()}
        return {"classes": len(self.classes), **chips, "skipped": len(self.skipped), "warnings": len(self.warnings)}
