"""An epoch of a ResNet-18 on chips with labels: by ``fit``, by bare loops of PyTorch, and by timm from PNG files."""

import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.speed.turns import quiet
from sarslim.config import TeacherConfig, parse
from sarslim.config.machine import cores
from sarslim.networks import build
from sarslim.training import LabelObjective, fit

# As the peers: nothing is made of the chips, and in float32 (in bfloat16 oneDNN's threads spin on their own).
PLAIN = {
    "mixed_precision": False, "epochs": 1, "mixup": 0, "shift": 0, "flip": False, "rotate": 0, "speckle_looks": 0,
}  # fmt: skip
MEAN, SPREAD = 100.0, 50.0  # of the chips
FEW = 8  # validation chips: as many as take no time


def measure(kind: str, side: int, chips: int, classes: int) -> float:
    """Seconds of an epoch by ``ours``, ``bare``, ``loader`` or ``timm``."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (chips, 1, side, side), dtype=np.uint8)
    labels = rng.integers(0, classes, chips)
    torch.manual_seed(0)
    normalising = {"mean": (0.0,), "std": (1.0,)} if kind == "timm" else {"mean": (MEAN,), "std": (SPREAD,)}
    network = build("resnet18", classes=classes, channels=1, stem="3x3", **normalising)
    recipe = parse(TeacherConfig, PLAIN)
    data = torch.from_numpy(images), torch.from_numpy(labels)
    with tempfile.TemporaryDirectory() as folder:
        if kind == "timm":
            write(Path(folder), images, labels)
        began = time.perf_counter()
        if kind == "ours":
            with quiet():
                fit(
                    network, LabelObjective(), train_images=images, train_labels=labels, val_images=images[:FEW],
                    val_labels=labels[:FEW], recipe=recipe, scaling=(), what="teacher",
                )  # fmt: skip
        elif kind == "bare":
            bare(network, ((data[0][rows], data[1][rows]) for rows in torch.randperm(chips).split(recipe.batch_size)))
        elif kind == "loader":
            bare(network, DataLoader(TensorDataset(*data), recipe.batch_size, shuffle=True))
        else:
            of_timm(network, folder, side, recipe)
        return time.perf_counter() - began


def bare(network: nn.Module, batches: Iterable[Any]) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    network.train()
    for pixels, wanted in batches:
        loss = nn.functional.cross_entropy(network(pixels), wanted)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()


def of_timm(network: nn.Module, folder: str, side: int, recipe: TeacherConfig) -> None:
    """The parts that timm's training script puts together, and the step of its loop, less what is for logging."""
    from timm import data, optim, scheduler, utils

    chips = data.create_dataset("", root=folder, split="train", input_img_mode="L")
    batches = data.create_loader(
        chips, input_size=(1, side, side), batch_size=recipe.batch_size, is_training=True, no_aug=True,
        mean=(MEAN / 255,), std=(SPREAD / 255,), num_workers=cores(), use_prefetcher=False,
        device=torch.device("cpu"),
    )  # fmt: skip
    optimizer = optim.create_optimizer_v2(network, opt="adamw", lr=recipe.learning_rate)
    schedule, _ = scheduler.create_scheduler_v2(optimizer, num_epochs=1, updates_per_epoch=len(batches))
    average = utils.ModelEmaV3(network, decay=recipe.ema_decay)
    network.train()
    for step, (pixels, wanted) in enumerate(batches):
        loss = nn.functional.cross_entropy(network(pixels), wanted)
        optimizer.zero_grad()
        loss.backward()
        utils.dispatch_clip_grad(network.parameters(), value=1.0)
        optimizer.step()
        average.update(network, step=step)
        schedule.step_update(num_updates=step)


def write(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """A folder per class, as timm reads them."""
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / "train" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(folder / "train" / str(label) / f"{number}.png")


if __name__ == "__main__":
    print(measure(sys.argv[1], *map(int, sys.argv[2:])))
