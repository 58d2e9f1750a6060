"""What is measured, the gate, and where the bundle goes."""

from typing import Annotated

from pydantic import Field, field_validator

from sarslim.config.fields import LICENSES, Address, Count, GivenSource, ModelName, Network, Part, Seed, SourceName
from sarslim.config.parsing import nearest
from sarslim.config.stages.base import Section


class EvaluateConfig(Section):
    """What is measured, and the gate before publishing."""

    batch_sizes: tuple[Count, Count] = Field((1, 64), description="Batch sizes of the latency measurement.")
    threads: Count = Field(1, description="CPU threads of the latency measurement.")
    latency_seconds: float = Field(2.0, gt=0, le=60, description="Longest time spent on one latency figure.")
    looks: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = Field(
        (16, 8, 4, 2, 1), description="Speckle levels of the robustness curve."
    )
    rivals: tuple[Network, ...] = Field(
        ("mobilenet_v3_small", "shufflenet_v2_x0_5"),
        description="Lightweight networks timed beside the student, untrained; see the pipeline baselines for trained.",
    )
    shifted: dict[SourceName, GivenSource] = Field(
        {},
        description="Name -> path or s3:// address of further labelled chips, of another scene, season, sensor or "
        "version than those of training: what compression costs shows there. Their classes may be a part of the "
        "network's.",
    )
    shifted_fingerprint: str = Field(
        "", description="Digest of what these sources hold, filled in by the check: edited data are measured again."
    )
    pictures: bool = Field(
        True, description="Show chips in the report. It is published: turn off where their licence forbids that."
    )
    data_name: str = Field(
        "", description="Name of the data set in report and model card, such as MSTAR. Empty: by its format and source."
    )
    data_license: str = Field(
        "",
        description="Licence of the chips, for the model card: an identifier of Hugging Face such as cc-by-4.0, or the "
        "https:// address of its text. Empty: unknown; of simulated chips apache-2.0.",
    )
    min_accuracy: float = Field(0.0, ge=0, le=1, description="Gate: least test accuracy of the student.")
    max_drop: float = Field(0.05, ge=0, le=1, description="Gate: largest drop of accuracy from teacher to student.")
    max_drop_shifted: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Gate: largest drop of accuracy from teacher to student on each of the shifted sources. 1: off.",
    )
    min_over_shortcut: float = Field(
        -1.0,
        ge=-1,
        le=1,
        description="Gate: least lead of the student's accuracy over the best shortcut (largest class, background, "
        "brightness, or size and shape alone), by the lower end of its 95 % interval, paired chip by chip. 0: clearly "
        "better than any of them. -1: off.",
    )
    seed: Seed = Field(0, description="Seed of the speckle.")

    @property
    def sources(self) -> dict[str, str]:
        """Where shifted chips are read from, by field."""
        return {f"evaluate.shifted.{name}": source for name, source in self.shifted.items()}

    @field_validator("data_license")
    @classmethod
    def _license(cls, value: str) -> str:
        if value and value not in LICENSES and not value.startswith("https://"):
            known = ", ".join(LICENSES)
            raise ValueError(
                f"is not a licence known here{nearest(value, LICENSES)}; give the https:// address of its text, or "
                f"choose from {known}"
            )
        return value


class PublishConfig(Section):
    """Where the bundle goes."""

    destination: Address = Field("s3://sarslim/models", description="Where bundles are kept.")
    name: ModelName = Field(
        "", description="Name of the model. Empty: taken from the data, such as simulated-ships or opensarship."
    )
    version: Part = Field("", description="Version. Empty: taken from the digest of the bundle.")
    alias: Part = Field(
        "latest",
        description="Moved to this version, if it passed the gate and is not worse on the same data. Empty: none.",
    )
    max_regression: float = Field(
        0.0, ge=0, le=1, description="Largest drop of accuracy or macro-F1 from the version that the alias is at."
    )

    @field_validator("destination")
    @classmethod
    def _somewhere(cls, value: str) -> str:
        if not value:
            raise ValueError("names no place; write s3://bucket/path")
        return value

    @field_validator("version")
    @classmethod
    def _not_the_folder_of_aliases(cls, value: str) -> str:
        if value == "aliases":
            raise ValueError("is where aliases are kept; choose another version")
        return value
