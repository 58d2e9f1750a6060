"""Stage 5, what is delivered: teacher and student as ONNX in FP32 and INT8, what each can do, and rivals."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sarslim import networks
from sarslim.chips.dataset import Dataset
from sarslim.config import EvaluateConfig, PrepareConfig
from sarslim.delivery import export
from sarslim.delivery.registry import INT8, ONNX
from sarslim.delivery.session import Session
from sarslim.evaluation.statistics import macro_f1
from sarslim.networks import artifact
from sarslim.networks.cost import count_macs, count_params
from sarslim.progress import note
from sarslim.records import Deployment, NetworkScores, Preprocessing, Rival
from sarslim.stages.learn import input_shape


def deploy(
    folder: Path,
    data: Dataset,
    prepared: PrepareConfig,
    scores: NetworkScores,
    *,
    kind: Any,
    out: Path,
) -> tuple[Deployment, ...]:
    """Writes ``model.onnx`` and ``model.int8.onnx`` into ``out`` and tells what they can do; they are timed together.

    Args:
        folder: the model artifact.
        scores: of this network in PyTorch.
        kind: ``teacher`` or ``student``.

    Raises:
        ServiceError: the ONNX file does not answer as PyTorch does.
    """
    network, model = artifact.load(folder, kind=kind)
    test, train, val = (data.part(name) for name in ("test", "train", "val"))
    assert test.labels is not None
    assert val.labels is not None
    note(f"exporting the {kind} to ONNX")
    export.to_onnx(network, out / ONNX, classes=model.classes, preprocessing=preprocessing(data, prepared))
    difference = export.check_parity(network, out / ONNX, test.images)
    quantization = export.quantize(
        out / ONNX, out / INT8, train_images=train.images, val_images=val.images, val_labels=val.labels
    )
    return (
        Deployment(
            network=kind,
            runtime="ONNX Runtime",
            precision="FP32",
            logits_difference=difference,
            **_measured(out / ONNX, test.images, test.labels),
        ),
        Deployment(
            network=kind,
            runtime="ONNX Runtime",
            precision="INT8",
            quantization=quantization,
            **_measured(out / INT8, test.images, test.labels),
        ),
        Deployment(
            network=kind,
            runtime="PyTorch",
            precision="FP32",
            accuracy=scores.accuracy,
            macro_f1=scores.macro_f1,
            bytes=scores.bytes,
        ),
    )


def export_rivals(data: Dataset, prepared: PrepareConfig, config: EvaluateConfig, out: Path) -> dict[Path, Rival]:
    """The lightweight networks of ``config.rivals``, untrained, by their ONNX files: costs do not depend on weights."""
    found = {}
    for name in config.rivals:
        note(f"exporting {name} to ONNX")
        network = networks.build_for(data.record, name)
        file = out / f"{name}.onnx"
        export.to_onnx(network, file, classes=data.record.classes, preprocessing=preprocessing(data, prepared))
        found[file] = Rival(
            network=name,
            params=count_params(network),
            macs=count_macs(network, input_shape(data)),
            bytes=file.stat().st_size,
        )
    return found


def preprocessing(data: Dataset, prepared: PrepareConfig) -> Preprocessing:
    """What was done to the chips of a data set before they were stored."""
    return Preprocessing(
        channels=data.record.channels,
        image_size=data.record.image_size,
        multilook=data.record.multilook,
        dtype=data.record.dtype,
        scaling=data.record.scaling,
        typical=data.record.typical,
        **prepared.model_dump(include={"values", "polarisation_as", "labels", "merge", "images"}),
    )


def _measured(file: Path, images: NDArray[np.generic], labels: NDArray[np.int64]) -> dict[str, Any]:
    chosen = Session(file).logits(images).argmax(axis=1)
    return {
        "accuracy": float(np.mean(chosen == labels)),
        "macro_f1": macro_f1(np.asarray(labels), chosen),
        "bytes": file.stat().st_size,
    }
