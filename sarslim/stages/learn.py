"""What training a teacher and recovering a student do alike: open the parts, run the fit loop, say how it went."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from sarslim import __version__
from sarslim.chips.dataset import Dataset
from sarslim.config import TrainingConfig
from sarslim.errors import InputError
from sarslim.networks import Recogniser, artifact
from sarslim.records import ModelRecord, TrainRecord
from sarslim.stages.results import CONFIG, TRAINING, write_json
from sarslim.training import Answered, Checkpoint, Objective, fit, parallel


def device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    network: nn.Module,
    objective: Objective,
    config: TrainingConfig,
    data: Dataset,
    *,
    stage: str,
    name: str,
    unlabelled: bool = False,
    answers: Answered | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainRecord:
    """Trains ``network`` in place on the training part of ``data``; its validation part decides which epoch is kept.

    Args:
        stage: names the progress lines.
        name: the architecture, for the record.
        unlabelled: also use the unlabelled part, if there is one.
        answers: views of these chips that have been answered, in place of fresh ones.
        checkpoint: keeps the state of the training. None: an interrupted one is lost.
    """
    learn, judge = data.part("train"), data.part("val")
    assert learn.labels is not None
    assert judge.labels is not None
    extra = data.part("unlabelled").images if unlabelled and data.has("unlabelled") else None
    fitted = fit(
        network.to(device()),
        objective,
        train_images=learn.images,
        train_labels=learn.labels,
        val_images=judge.images,
        val_labels=judge.labels,
        unlabelled_images=extra,
        recipe=config,
        scaling=data.record.scaling,
        answers=answers,
        checkpoint=checkpoint,
        what=stage,
    )
    return TrainRecord(
        network=name,
        epochs=fitted.epochs,
        kept_epoch=fitted.kept.epoch,
        val_accuracy=fitted.kept.val_accuracy,
        val_macro_f1=fitted.kept.val_macro_f1,
        seconds=fitted.seconds,
        resumed_at_epoch=fitted.resumed_at_epoch,
        threads=torch.get_num_threads(),
    )


def joined(records: list[TrainRecord]) -> TrainRecord:
    """One curve out of several; the weights kept are those of the last."""
    epochs = tuple(epoch for record in records for epoch in record.epochs)
    before = len(epochs) - len(records[-1].epochs)
    return records[-1].model_copy(
        update={
            "epochs": tuple(epoch.model_copy(update={"epoch": number}) for number, epoch in enumerate(epochs, 1)),
            "kept_epoch": before + records[-1].kept_epoch,
            "resumed_at_epoch": sum(record.resumed_at_epoch for record in records),
            "seconds": sum(record.seconds for record in records),
        }
    )


def save_trained(
    folder: Path, trained: Recogniser, config: TrainingConfig, record: TrainRecord, data: Dataset, **origin: Any
) -> None:
    """Saves a trained network as a model artifact, with its recipe and its training record; the first process does.

    Args:
        origin: the fields ``kind``, ``network``, ``stem``, ``parents`` and ``pruning`` of its record.
    """
    if not parallel.is_first():
        return
    metrics = {"val_accuracy": record.val_accuracy, "val_macro_f1": record.val_macro_f1}
    artifact.save(
        folder,
        trained,
        ModelRecord(sarslim_version=__version__, widths={}, metrics=metrics, **origin, **described(data)),
    )
    write_json(folder / CONFIG, config)
    write_json(folder / TRAINING, record)


def input_shape(data: Dataset) -> tuple[int, int, int]:
    """The shape (C, H, W) of one chip."""
    size = data.record.image_size
    return (len(data.record.channels), size, size)


def described(data: Dataset) -> dict[str, Any]:
    """What a model artifact says about the chips that its network was made for."""
    names = ("classes", "channels", "image_size", "multilook", "scaling", "mean", "std")
    return {name: getattr(data.record, name) for name in names}


def parents_of(data: Dataset, **models: Path) -> dict[str, str]:
    """Digests of the input artifacts of a stage, by name."""
    return {"dataset": data.record.digest} | {name: artifact.digest(path) for name, path in models.items()}


def require_classes(model: ModelRecord, data: Dataset, path: Path) -> None:
    """
    Raises:
        InputError: the model knows other classes, channels, chip sizes or looks than the data set holds.
    """
    for name in ("classes", "channels", "image_size", "multilook"):
        found, wanted = getattr(model, name), getattr(data.record, name)
        if found != wanted:
            raise InputError(
                str(path),
                f"the model's {name} are {found}, those of the data set {wanted}",
                "Give a model that was trained on this data set, or prepare the data with the same settings",
            )
