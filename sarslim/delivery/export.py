"""Networks as ONNX: one graph from stored chips to probabilities, checked against PyTorch, and its INT8 twin."""

import io
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime import GraphOptimizationLevel, InferenceSession
from onnxruntime.quantization import (
    CalibraterBase,
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from sarslim import __version__
from sarslim.delivery.session import CHIPS, LOGITS, PROBABILITIES, Session, options
from sarslim.errors import ServiceError
from sarslim.networks.inference import predict
from sarslim.progress import note
from sarslim.records import Preprocessing, Quantization, QuantizationTrial

OPSET = 17
LARGEST_DIFFERENCE = 1e-4
LARGEST_INT8_DROP = 0.005  # of validation accuracy; beyond it another way to INT8 is tried
SLACK = 1e-9  # differences of shares are not exact
CALIBRATION_CHIPS = 256
STRIDE = 32  # chips whose activations are in memory at one time
LAYERS = ("Conv", "Gemm", "MatMul")

Calibration = Literal["minmax", "percentile", "entropy"]
CALIBRATIONS: dict[Calibration, CalibrationMethod] = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}

RECIPE = """Input {chips}: chips (N, C, H, W), {dtype}, values 0..255, channels {channels}, {size} x {size} pixels.
From a raw chip (C, h, w) of amplitudes, in this order:
1. Multilook: mean of the power (amplitude squared) of blocks of {looks} x {looks} pixels, the first of them beginning \
at (side % {looks}) // 2, and the root of it; what fills no block is cut off. Of 1 x 1: leave the chip as it is.
2. Crop: at most {size} pixels from the centre, the first one being max(0, (side - {size}) // 2).
3. For the scalings chip and chip_log only: divide every channel by the median of its values above 0.
4. Pad to {size} x {size}, the chip at ({size} - side) // 2. With border = the chip's first row, last row, first \
column and last column, the columns without their ends, pixel k of the padded chip in row order is \
border[numpy.random.default_rng(0).integers(len(border), size={size} * {size})[k]], in all channels alike.
5. Scale every channel as "preprocessing" tells: linear, percentile and chip 255 (a - low) / (high - low), \
log and chip_log 255 (log(max(a, 0) + offset) - low) / (high - low); clip to 0..255; round for uint8.
Mean and standard deviation are applied inside the graph.
Outputs {logits} and {probabilities}: (N, K), the K classes in the order of "classes"."""


class _Served(nn.Module):
    """Logits and probabilities of a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, chips: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(chips)
        return logits, torch.softmax(logits, dim=1)


def to_onnx(network: nn.Module, file: Path, *, classes: Sequence[str], preprocessing: Preprocessing) -> None:
    """Writes a network on the CPU as one ONNX file with a dynamic batch.

    Args:
        network: takes stored chips (N, C, H, W) of values 0..255, gives logits (N, K).
        classes: names of the K classes; they and ``preprocessing`` go into the metadata, with a text that says it all.

    Raises:
        ServiceError: PyTorch wrote what ONNX does not allow.
    """
    size, channels = preprocessing.image_size, len(preprocessing.channels)
    example = torch.zeros(2, channels, size, size, dtype=getattr(torch, preprocessing.dtype))
    names = [CHIPS, LOGITS, PROBABILITIES]
    with warnings.catch_warnings():
        # The newer exporter needs one more package, and traces the same graph.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            _Served(network).eval(),
            (example,),
            str(file),
            dynamo=False,
            opset_version=OPSET,
            input_names=names[:1],
            output_names=names[1:],
            dynamic_axes={name: {0: "N"} for name in names},
        )
    model = onnx.load(file)
    _describe(model, classes, preprocessing)
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ServiceError(
            str(file), f"is not valid ONNX ({error})", "Report it with the version of PyTorch"
        ) from error
    onnx.save(model, file)


def check_parity(network: nn.Module, file: Path, images: NDArray[np.generic]) -> float:
    """The largest difference between the logits of PyTorch and of ONNX Runtime over ``images`` (N, C, H, W).

    Raises:
        ServiceError: it is not below 1e-4, or a chip gets another class.
    """
    ours, theirs = predict(network, images), Session(file).logits(images)
    difference = float(np.abs(ours - theirs).max())
    others = int((ours.argmax(axis=1) != theirs.argmax(axis=1)).sum())
    if not difference < LARGEST_DIFFERENCE or others:
        raise ServiceError(
            str(file),
            f"differs from PyTorch by {difference:.2g} in a logit, allowed is {LARGEST_DIFFERENCE:g}; "
            f"{others} of {len(images)} chips get another class",
            "Report it with the versions of PyTorch and ONNX Runtime; do not use the file",
        )
    return difference


def quantize(
    source: Path,
    target: Path,
    *,
    train_images: NDArray[np.generic],
    val_images: NDArray[np.generic],
    val_labels: NDArray[np.int64],
) -> Quantization:
    """Writes the INT8 twin of an ONNX file: static quantization with weights per channel (Jacob et al., CVPR 2018).

    The first way that loses at most half a point of validation accuracy, or one chip, is taken: ranges by their
    extremes, by percentile, by entropy (Migacz, GTC 2017), then the first convolution, the classifier or both kept in
    float. If all lose more, the best one is taken.

    Args:
        train_images: (N, C, H, W); evenly spaced ones calibrate the ranges.
        val_images, val_labels: decide between the ways.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        quant_pre_process(source, folder / "prepared.onnx", skip_symbolic_shape=True)
        chips = _calibration_chips(train_images)
        reference = _accuracy(source, val_images, val_labels)
        trials: list[QuantizationTrial] = []
        for calibration, kept in _ways(folder / "prepared.onnx", trials):
            file = folder / f"{len(trials)}.onnx"
            _quantize(folder / "prepared.onnx", file, chips, calibration, kept)
            accuracy = _accuracy(file, val_images, val_labels)
            trials.append(QuantizationTrial(calibration=calibration, float_layers=kept, val_accuracy=accuracy))
            note(
                f"INT8 by {calibration}{', in float: ' + ', '.join(kept) if kept else ''}: {accuracy:.2%} on validation"
            )
            if reference - accuracy <= max(LARGEST_INT8_DROP, 1 / len(val_labels)) + SLACK:
                break
        chosen = max(range(len(trials)), key=lambda number: trials[number].val_accuracy)  # the first of the best
        shutil.copyfile(folder / f"{chosen}.onnx", target)
    return Quantization(
        calibration_chips=len(chips), val_accuracy_fp32=reference, trials=tuple(trials), chosen=trials[chosen]
    )


def _ways(file: Path, trials: Sequence[QuantizationTrial]) -> Iterator[tuple[Calibration, tuple[str, ...]]]:
    """What to try next, given the trials so far."""
    for calibration in CALIBRATIONS:
        yield calibration, ()
    best = max(trials, key=lambda trial: trial.val_accuracy).calibration
    layers = [node.name for node in onnx.load(file).graph.node if node.op_type in LAYERS]
    for kept in (layers[:1], layers[-1:], [layers[0], layers[-1]]):
        yield best, tuple(kept)


def _quantize(source: Path, target: Path, chips: NDArray, calibration: Calibration, kept: tuple[str, ...]) -> None:
    """Weights have 7 bits: with 8 the sums of CPUs without VNNI instructions overflow, and their answers differ."""
    nodes = onnx.load(source).graph.node
    layers = [node.name for node in nodes if node.op_type in LAYERS]
    first = next(number for number, node in enumerate(nodes) if node.name == layers[0])
    outside = [node.name for number, node in enumerate(nodes) if number < first or node.op_type == "Softmax"]
    with redirect_stdout(io.StringIO()):  # it tells of every histogram
        quantize_static(
            source,
            target,
            _Reader(chips),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[*outside, *kept],
            calibrate_method=CALIBRATIONS[calibration],
            extra_options={"CalibStridedMinMax": min(STRIDE, len(chips))},
        )
    model = onnx.load(target)
    _shorten(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def _shorten(graph: onnx.GraphProto) -> None:
    """Numbers in place of names: those of a small network take as much room as its weights."""
    kept = {value.name for value in (*graph.input, *graph.output)} | {""}
    tensors = [name for node in graph.node for name in node.output] + [tensor.name for tensor in graph.initializer]
    short = {name: str(number) for number, name in enumerate(tensors) if name not in kept}
    for tensor in graph.initializer:
        tensor.name = short[tensor.name]
    for node in graph.node:
        node.name = ""
        node.input[:] = [short.get(name, name) for name in node.input]
        node.output[:] = [short.get(name, name) for name in node.output]
    del graph.value_info[:]


def _calibrating(calibrator: CalibraterBase) -> None:
    """Loads the network to be calibrated.

    It stands in for ONNX Runtime's own, which cannot be told how many threads there may be.
    """
    chosen = options()
    chosen.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
    calibrator.infer_session = InferenceSession(
        calibrator.augmented_model_path, chosen, providers=calibrator.execution_providers
    )


CalibraterBase.create_inference_session = _calibrating


class _Reader(CalibrationDataReader):
    """Calibration chips, one batch for every range asked for."""

    def __init__(self, chips: NDArray) -> None:
        self._chips = chips
        self._batches: Iterator[NDArray] = iter(())

    def __len__(self) -> int:
        return len(self._chips)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._batches = iter([self._chips[start_index:end_index]])

    def get_next(self) -> dict[str, NDArray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {CHIPS: batch}


def _calibration_chips(images: NDArray[np.generic]) -> NDArray:
    count = min(CALIBRATION_CHIPS, len(images))
    count -= count % STRIDE if count > STRIDE else 0
    return np.array(images[np.linspace(0, len(images) - 1, count).round().astype(int)])


def _accuracy(file: Path, images: NDArray[np.generic], labels: NDArray[np.int64]) -> float:
    return float(np.mean(Session(file).logits(images).argmax(axis=1) == labels))


def _describe(model: onnx.ModelProto, classes: Sequence[str], preprocessing: Preprocessing) -> None:
    model.producer_name, model.producer_version = "sarslim", __version__
    recipe = RECIPE.format(
        chips=CHIPS,
        dtype=preprocessing.dtype,
        channels=", ".join(preprocessing.channels),
        size=preprocessing.image_size,
        looks=preprocessing.multilook,
        logits=LOGITS,
        probabilities=PROBABILITIES,
    )
    metadata = {
        "sarslim_version": __version__,
        "classes": json.dumps(list(classes)),
        "preprocessing": preprocessing.model_dump_json(),
        "description": recipe,
    }
    onnx.helper.set_model_props(model, metadata)
