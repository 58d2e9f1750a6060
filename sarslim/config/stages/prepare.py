"""Where chips come from, and how they become arrays."""

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sarslim.config.fields import IDENTITIES, MOST, Count, Fraction, Seed, Source
from sarslim.config.parsing import nearest
from sarslim.config.stages.base import Section
from sarslim.records import ScalingKind


class SimulatorConfig(BaseModel):
    """The built-in simulator of SAR ship chips."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    chips: int = Field(2400, ge=20, le=MOST, description="Number of chips in all, spread evenly over the classes.")
    classes: int = Field(6, ge=2, le=8, description="Number of ship classes.")
    chips_per_ship: Count = Field(4, description="Chips of one ship: other headings, sea states and speckle.")
    looks: int = Field(2, ge=1, le=100, description="Equivalent number of looks of the speckle.")


class ImagesConfig(BaseModel):
    """How image files are read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    no_data: Literal["refuse", "keep"] = Field(
        "refuse",
        description="Pixels that a file says are of no value (GDAL_NODATA, transparent, masked): refuse the chip by "
        "name, or keep the numbers there.",
    )
    max_megapixels: int = Field(
        16, ge=1, le=10_000, description="Most samples of one image (pixels times bands), in millions."
    )
    max_megabytes: int = Field(256, ge=1, le=100_000, description="Largest image file, or member of a zip, in MB.")

    @property
    def max_bytes(self) -> int:
        """Largest file in bytes."""
        return self.max_megabytes * 1_000_000


class PrepareConfig(Section):
    """Where the chips come from and how they become arrays."""

    source: Source = Field("", description="Local path or s3:// address of the chips. Empty: simulated SAR ship chips.")
    format: Literal["auto", "simulator", "folder", "opensarship", "fusar"] = Field(
        "auto", description="How the source is laid out. auto: found out by looking."
    )
    fingerprint: str = Field(
        "", description="Digest of what the source holds, filled in by the check: edited data are prepared again."
    )
    classes: tuple[str, ...] = Field((), description="Classes to keep, after merging. Empty: all.")
    merge: dict[str, str] = Field({}, description="Label in the source -> class to count it as.")
    min_chips_per_class: int = Field(2, ge=2, le=MOST, description="Classes with fewer labelled chips are left out.")
    keep_unlabelled: bool = Field(
        True, description="Keep chips without a label as a part of their own, for distillation and later teachers."
    )
    unlabelled_source: Source = Field(
        "",
        description="Local path or s3:// address of further chips, of which no label is used, such as those of another "
        "sensor. Empty: none.",
    )
    unlabelled_multilook: int = Field(1, ge=1, le=32, description="As multilook, for the chips of unlabelled_source.")
    unlabelled_scaling: Literal["fitted", "training", "percentile", "log", "linear", "chip", "chip_log"] = Field(
        "fitted",
        description="How the chips of unlabelled_source are scaled: as scaling says, fitted on these chips; by what "
        "was fitted on training chips; or in another way, fitted on these chips.",
    )
    labels: Literal["visual", "ais", "marinetraffic"] = Field(
        "visual", description="OpenSARShip: take the class from the file name, the AIS type or the MarineTraffic type."
    )
    values: Literal["uint8", "calibrated"] = Field(
        "uint8", description="OpenSARShip: read Patch_Uint8 or the float values of Patch_Cal."
    )
    polarisations: tuple[str, ...] = Field((), description="Polarisations to keep, such as VV, VH. Empty: all.")
    polarisation_as: Literal["samples", "channels"] = Field(
        "samples", description="Each polarisation is a sample of its own, or all are channels of one sample."
    )
    multilook: int = Field(
        1,
        ge=1,
        le=32,
        description="Average so many by so many pixels in power before the crop: more looks, less speckle. 1: off.",
    )
    image_size: int = Field(
        64, ge=16, le=512, description="Side of a chip in pixels after multilook and centre crop or padding."
    )
    scaling: ScalingKind = Field(
        "percentile",
        description="Amplitude to 8 bit: clip at percentiles of the training data, the same on a "
        "logarithmic axis, or the full range of the training data. chip and chip_log: percentile and log after every "
        "chip was divided by its median, against gains that differ.",
    )
    percentiles: tuple[float, float] = Field((0.5, 99.8), description="Low and high percentile of the clipping.")
    dtype: Literal["uint8", "float16"] = Field("uint8", description="Type of the stored chips.")
    contradictions: Literal["keep", "leave_out"] = Field(
        "keep",
        description="The same chip under two classes: keep it under both (refused where more than 3 % of the chips "
        "are), or leave it out of both.",
    )
    val_fraction: Fraction = Field(0.15, description="Share of the training chips kept for validation.")
    test_fraction: Fraction = Field(0.25, description="Share of all chips kept for test, where no split is given.")
    label_fraction: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of the training and validation chips that keep their label; the others are unlabelled.",
    )
    group_pattern: str = Field(
        "",
        description="Regular expression searched in the path of every chip, with named parts group, ship, scene, split "
        "or number, such as (?P<scene>S\\d+)_(?P<number>\\d+). A groups.csv beside the chips goes before it.",
    )
    group_by: Literal["auto", "group", "ship", "scene", "block", "chip"] = Field(
        "auto",
        description="What must not be torn apart by a split. auto: group, ship or scene where known. block: blocks of "
        "running numbers, and groups and ships.",
    )
    block_size: Count = Field(20, description="Running numbers in one block, for group_by=block.")
    seed: Seed = Field(0, description="Seed of the splits and of the simulator.")
    images: ImagesConfig = Field(ImagesConfig(), description="How image files are read, and how large they may be.")
    simulator: SimulatorConfig = SimulatorConfig()

    @model_validator(mode="after")
    def _keeps_what_it_reads(self) -> "PrepareConfig":
        if self.unlabelled_source and not self.keep_unlabelled:
            raise ValueError("keep_unlabelled=false leaves nothing of unlabelled_source; set one of them otherwise")
        return self

    @field_validator("group_pattern")
    @classmethod
    def _names_parts(cls, value: str) -> str:
        try:
            parts = set(re.compile(value).groupindex)
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"is no regular expression ({error}); correct it") from None
        known = ", ".join(IDENTITIES)
        if value and not parts:
            raise ValueError(f"has no named part; name one or more of {known}, such as (?P<ship>...)")
        if strange := sorted(parts - set(IDENTITIES)):
            raise ValueError(f"has the part {strange[0]!r}{nearest(strange[0], IDENTITIES)}; choose from {known}")
        return value

    @property
    def sources(self) -> dict[str, str]:
        """Where chips are read from, by field; "" where nothing is."""
        return {"source": self.source, "unlabelled_source": self.unlabelled_source}

    @property
    def scaling_of_unlabelled(self) -> ScalingKind:
        """The kind of scaling of the chips of unlabelled_source."""
        match self.unlabelled_scaling:
            case "fitted" | "training":
                return self.scaling
            case kind:
                return kind

    @property
    def simulated(self) -> bool:
        """Whether the built-in simulator makes the chips."""
        return not self.source and self.format in ("auto", "simulator")

    @field_validator("percentiles")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1] <= 100:
            raise ValueError("must be two rising numbers between 0 and 100")
        return value
