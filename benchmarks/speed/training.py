"""An epoch of a ResNet-18 on chips with labels: by ``fit``, by bare loops of PyTorch, and by timm from PNG files.

On a GPU several epochs are trained, and the later ones counted: not what is done once (libraries are loaded, a step is
recorded). All compute in bfloat16 there, and lay chips out channels last.
"""

import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

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
EPOCHS, COUNTED = 5, 2  # on a GPU: of all, the last so many are counted


def measure(kind: str, side: int, chips: int, classes: int, device: str = "cpu") -> float:
    """Seconds of an epoch by ``ours``, ``bare``, ``loader`` or ``timm``.

    ``unaveraged``: ours without the running average of the weights, which bare loops have not; on a GPU ``stepwise``:
    ours, unrecorded, and ``compiled``: the bare loop with its network compiled and recorded by PyTorch.
    """
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (chips, 1, side, side), dtype=np.uint8)
    labels = rng.integers(0, classes, chips)
    torch.manual_seed(0)
    normalising = {"mean": (0.0,), "std": (1.0,)} if kind == "timm" else {"mean": (MEAN,), "std": (SPREAD,)}
    network = build("resnet18", classes=classes, channels=1, stem="3x3", **normalising).to(device)
    on_gpu = device == "cuda"
    epochs = EPOCHS if on_gpu else 1
    changes = {"ema_decay": 0} if kind == "unaveraged" else {}
    recipe = parse(TeacherConfig, PLAIN | {"epochs": epochs, "mixed_precision": on_gpu} | changes)
    data = torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)
    with tempfile.TemporaryDirectory() as folder:
        if kind == "timm":
            write(Path(folder), images, labels)
        clock = Clock(device)
        if kind in ("ours", "unaveraged", "stepwise"):
            with quiet(), unrecorded() if kind == "stepwise" else contextlib.nullcontext():
                fitted = fit(
                    network, LabelObjective(), train_images=images, train_labels=labels, val_images=images[:FEW],
                    val_labels=labels[:FEW], recipe=recipe, scaling=(), what="teacher",
                )  # fmt: skip
            if on_gpu:
                return statistics.median(epoch.seconds for epoch in fitted.epochs[-COUNTED:])
            clock.tick()
        elif kind in ("bare", "compiled"):
            if kind == "compiled":
                network.compile(mode="reduce-overhead")
            order = partial(torch.randperm, chips, device=device)
            rows = partial(map, lambda rows: (data[0][rows], data[1][rows]))
            bare(network, lambda: rows(order().split(recipe.batch_size)), clock)
        elif kind == "loader":
            batches = DataLoader(TensorDataset(*data), recipe.batch_size, shuffle=True)
            bare(network, lambda: batches, clock)
        else:
            of_timm(network, folder, side, recipe, clock)
        return clock.seconds()


class Clock:
    """Seconds of each epoch, of which :data:`EPOCHS` are trained on a GPU, and one on a CPU."""

    def __init__(self, device: str) -> None:
        self._on_gpu = device == "cuda"
        self._ticks = [time.perf_counter()]
        self.epochs = EPOCHS if self._on_gpu else 1

    def tick(self) -> None:
        """An epoch is over, and the device with it."""
        if self._on_gpu:
            torch.cuda.synchronize()
        self._ticks.append(time.perf_counter())

    def seconds(self) -> float:
        """The median of the epochs that count."""
        return statistics.median([end - start for start, end in itertools.pairwise(self._ticks)][-COUNTED:])


def unrecorded() -> contextlib.AbstractContextManager[Any]:
    """``fit`` on a GPU without the recording of its step."""
    return mock.patch("sarslim.training.loop.Replayed", lambda step: step)


def bare(network: nn.Module, epoch: Callable[[], Iterable[Any]], clock: Clock) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    device = next(network.parameters()).device.type
    on_gpu = device == "cuda"
    if on_gpu:
        network.to(memory_format=torch.channels_last)
    network.train()
    for _ in range(clock.epochs):
        for pixels, wanted in epoch():
            with torch.autocast(device, torch.bfloat16, enabled=on_gpu):
                loss = nn.functional.cross_entropy(network(pixels), wanted)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        clock.tick()


def of_timm(network: nn.Module, folder: str, side: int, recipe: TeacherConfig, clock: Clock) -> None:
    """The parts that timm's training script puts together, and the step of its loop, less what is for logging."""
    from timm import data, optim, scheduler, utils

    device = next(network.parameters()).device
    on_gpu = device.type == "cuda"
    if on_gpu:
        network.to(memory_format=torch.channels_last)
    chips = data.create_dataset("", root=folder, split="train", input_img_mode="L")
    batches = data.create_loader(
        chips, input_size=(1, side, side), batch_size=recipe.batch_size, is_training=True, no_aug=True,
        mean=(MEAN / 255,), std=(SPREAD / 255,), num_workers=cores(), use_prefetcher=on_gpu, device=device,
        persistent_workers=True,
    )  # fmt: skip
    optimizer = optim.create_optimizer_v2(network, opt="adamw", lr=recipe.learning_rate)
    schedule, _ = scheduler.create_scheduler_v2(optimizer, num_epochs=clock.epochs, updates_per_epoch=len(batches))
    average = utils.ModelEmaV3(network, decay=recipe.ema_decay)
    network.train()
    for number in range(clock.epochs):
        for step, (pixels, wanted) in enumerate(batches, number * len(batches)):
            if on_gpu:
                pixels = pixels.contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=on_gpu):
                loss = nn.functional.cross_entropy(network(pixels), wanted)
            optimizer.zero_grad()
            loss.backward()
            utils.dispatch_clip_grad(network.parameters(), value=1.0)
            optimizer.step()
            average.update(network, step=step)
            schedule.step_update(num_updates=step)
        clock.tick()


def write(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """A folder per class, as timm reads them."""
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / "train" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(folder / "train" / str(label) / f"{number}.png")


if __name__ == "__main__":
    print(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:]))
