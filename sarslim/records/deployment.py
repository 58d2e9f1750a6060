"""What is exported, and how fast and how right that is."""

from typing import Literal, Self

from pydantic import Field, model_validator

from sarslim.records.base import Record
from sarslim.records.checks import LARGEST_SIDE, one_for_each
from sarslim.records.data import Scaling, Typical
from sarslim.records.scores import Latency


class Preprocessing(Record):
    """How the chips of a source become what a network takes; part of every ONNX file.

    A chip (C, H, W) of amplitudes is averaged in power over ``multilook`` x ``multilook`` pixels, cropped around its
    centre, padded with pixels drawn from its border, and scaled to values 0..255 of ``dtype``. ``values``,
    ``polarisation_as``, ``labels``, ``merge`` and ``images`` are those of the prepare stage: they tell how products and
    images are read. ``typical`` is None where the network's training chips were prepared by an earlier version.
    """

    channels: tuple[str, ...]
    image_size: int = Field(ge=1, le=LARGEST_SIDE)
    multilook: int = Field(1, ge=1)
    dtype: Literal["uint8", "float16"]
    scaling: tuple[Scaling, ...]
    values: Literal["uint8", "calibrated"]
    polarisation_as: Literal["samples", "channels"]
    labels: Literal["visual", "ais", "marinetraffic"]
    merge: dict[str, str]
    images: dict[str, str | int] = {}
    typical: Typical | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        one_for_each(self.channels, scaling=self.scaling)
        if self.typical is not None:
            one_for_each(self.channels, mean=self.typical.mean, spread=self.typical.spread)
        return self


class QuantizationTrial(Record):
    """One way to INT8, judged on the validation part: how ranges were found, and which layers stayed in float."""

    calibration: Literal["minmax", "percentile", "entropy"]
    float_layers: tuple[str, ...]
    val_accuracy: float


class Quantization(Record):
    """How a network came to INT8: the trials in their order, and the one that was taken."""

    calibration_chips: int
    val_accuracy_fp32: float
    trials: tuple[QuantizationTrial, ...]
    chosen: QuantizationTrial


class Deployment(Record):
    """A network as it runs after delivery: one file in one runtime, on the test part.

    ``logits_difference`` is the largest one from PyTorch, for the ONNX file in FP32. ``latency`` has every combination
    of threads and batch, the batches of one number of threads together.
    """

    network: Literal["teacher", "student"]
    runtime: Literal["PyTorch", "ONNX Runtime"]
    precision: Literal["FP32", "INT8"]
    accuracy: float
    macro_f1: float
    bytes: int
    latency: tuple[Latency, ...] = ()
    logits_difference: float | None = None
    quantization: Quantization | None = None

    @property
    def variant(self) -> str:
        """Runtime and precision in short, such as ``ONNX INT8``."""
        return f"{self.runtime.removesuffix(' Runtime')} {self.precision}"


class Rival(Record):
    """What a lightweight network as published costs in ONNX Runtime (FP32) for these chips. It is not trained."""

    network: str
    params: int
    macs: int
    bytes: int
    latency: tuple[Latency, ...] = ()
