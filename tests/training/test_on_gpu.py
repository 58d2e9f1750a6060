"""On a GPU: a recorded step is the ordinary one, for every network and term, and nothing broken is kept."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from sarslim import networks
from sarslim.chips.speckle import add_speckle
from sarslim.config import NETWORKS, DistillConfig, TeacherConfig, TrainingConfig, parse
from sarslim.config.recoveries import RECOVERIES, recovery
from sarslim.errors import InputError
from sarslim.networks.inference import gather, predict, resident
from sarslim.records import Scaling
from sarslim.training import loop
from sarslim.training.augmentation import OnDevice
from sarslim.training.distillation import DistillObjective
from sarslim.training.loop import LabelObjective, TaughtObjective, fit
from sarslim.training.step import Replayed, Step

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

GPU = torch.device("cuda")
SIDE, CLASSES = 32, 3
SCALING = (Scaling(kind="linear", low=0.0, high=255.0),)
SHORT = {"epochs": 4, "batch_size": 16, "checkpoints": "", "mixed_precision": False}


class Kept:
    """A checkpoint in memory."""

    state: bytes | None = None

    def load(self):
        return self.state

    def save(self, state):
        self.state = state


def chips(count: int = 96):
    """Chips (count, 1, 32, 32) uint8 with a bright bar whose place is the class."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    images = rng.integers(0, 120, (count, 1, SIDE, SIDE))
    for image, label in zip(images, labels, strict=True):
        image[0, :, 10 * label : 10 * label + 8] += 100
    return images.astype(np.uint8), labels.astype(np.int64)


def built(name: str, seed: int = 0):
    torch.manual_seed(seed)
    return networks.build(name, classes=CLASSES, channels=1, stem="3x3", mean=(100.0,), std=(50.0,)).to(GPU)


def trained(network, objective, recipe, **changed):
    images, labels = chips()
    given = {
        "train_images": images, "train_labels": labels, "val_images": images[:24], "val_labels": labels[:24],
        "scaling": SCALING, "what": "teacher",
    }  # fmt: skip
    return fit(network, objective, recipe=recipe, **given | changed)


def distilling(config, student, teacher):
    def sizes(network):
        with torch.no_grad():
            _, features = networks.forward_with_taps(network.eval(), torch.zeros(1, 1, SIDE, SIDE, device=GPU))
        return [feature.shape[1] for feature in features]

    return DistillObjective(
        config, teacher=teacher, student=student, taps=networks.forward_with_taps, student_widths=sizes(student),
        teacher_widths=sizes(teacher), classes=CLASSES,
    )  # fmt: skip


@pytest.fixture
def recordings(monkeypatch):
    """Every graph that a training records."""
    made = []

    class Counted(Replayed):
        def _record(self, shapes, tensors, form):
            super()._record(shapes, tensors, form)
            made.append(shapes)

    monkeypatch.setattr(loop, "Replayed", Counted)
    return made


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_recorded_step_is_the_ordinary_one(optimizer):
    # Small and slow, as a GPU adds in another order each time, and training makes more of small differences.
    recipe = parse(TrainingConfig, SHORT | {"optimizer": optimizer, "learning_rate": 3e-3})
    images, labels = chips()
    targets = torch.nn.functional.one_hot(torch.from_numpy(labels), CLASSES).float().to(GPU)
    said = []
    for record in (False, True):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(4),
            nn.Flatten(), nn.Linear(128, CLASSES),
        ).to(GPU)  # fmt: skip
        step = Step(network, LabelObjective(), recipe, half=False)
        take = Replayed(step) if record else step
        values = []
        for number in range(18):
            rows = torch.arange(16) + 16 * (number % 6)
            batch = torch.from_numpy(images[rows]).to(GPU).float() / 128 - 1
            values.append(take(batch, targets[rows], torch.ones(16, dtype=torch.bool, device=GPU)))
        said.append(torch.stack(values).cpu())
    ordinary, recorded = said
    assert recorded[-1, -1] < 0.8 * recorded[0, -1]
    assert torch.allclose(ordinary, recorded, rtol=0.02, atol=0.005)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_is_recorded(name, recordings):
    fitted = trained(built(name), LabelObjective(), parse(TeacherConfig, SHORT | {"mixed_precision": True}))
    assert len(recordings) == 1
    assert all(np.isfinite(epoch.losses["total"]) for epoch in fitted.epochs)


@pytest.mark.parametrize("name", sorted(name for name in RECOVERIES if "progressive" not in name))
def test_every_recovery_is_recorded(name, recordings):
    config = recovery(name, parse(DistillConfig, SHORT))
    teacher, student = built("resnet18"), built("resnet18", seed=1)
    others = chips(40)[0]
    fitted = trained(student, distilling(config, student, teacher), config, unlabelled_images=others)
    assert 1 <= len(recordings) <= 2  # batches differ by a chip
    assert all(np.isfinite(value) for epoch in fitted.epochs for value in epoch.losses.values())


def test_a_generation_is_recorded(recordings):
    trained(built("resnet18", seed=1), TaughtObjective(built("resnet18")), parse(TeacherConfig, SHORT))
    assert len(recordings) == 1


def test_a_gpu_learns_what_a_cpu_learns():
    recipe = parse(TeacherConfig, SHORT | {"mixup": 0, "ema_decay": 0.9, "learning_rate": 1e-4})
    network = built("resnet18")
    on_cpu = copy.deepcopy(network).cpu()
    here, there = (trained(each, LabelObjective(), recipe) for each in (on_cpu, network))
    for one, other in zip(here.epochs, there.epochs, strict=True):
        assert other.losses["total"] == pytest.approx(one.losses["total"], rel=0.03)
    images = chips()[0]
    assert np.abs(predict(on_cpu, images) - predict(network, images)).max() < 0.2


def test_a_loss_that_is_not_finite_is_noticed_at_its_step_and_nothing_is_kept():
    images, labels = chips()
    poisoned = images.astype(np.float32)
    poisoned[3] = np.nan
    recipe, place = parse(TeacherConfig, SHORT), Kept()
    with pytest.raises(InputError, match=r"epoch 1, step \d, at learning rate .*label nan"):
        trained(built("aconvnet"), LabelObjective(), recipe, train_images=poisoned, checkpoint=place)
    assert place.state is None


@pytest.mark.parametrize("first", ["cpu", "cuda"])
def test_a_run_goes_on_from_a_checkpoint_of_either_device(first, monkeypatch):
    recipe = parse(TeacherConfig, SHORT | {"checkpoint_seconds": 0, "mixup": 0, "learning_rate": 1e-4})
    whole = trained(built("resnet18"), LabelObjective(), recipe)
    place, saved = Kept(), []
    monkeypatch.setattr(place, "save", saved.append)
    trained(built("resnet18").to(first), LabelObjective(), recipe, checkpoint=place)
    place.state = saved[1]
    resumed = trained(built("resnet18", seed=5), LabelObjective(), recipe, checkpoint=place)
    assert resumed.resumed_at_epoch == 2
    assert resumed.epochs[-1].losses["total"] == pytest.approx(whole.epochs[-1].losses["total"], rel=0.05)


def test_chips_that_fit_stay_on_the_gpu():
    images, _ = chips()
    there = resident(images, GPU)
    assert isinstance(there, torch.Tensor)
    assert (there.device.type, there.dtype) == ("cuda", torch.uint8)
    assert (gather(there, np.array([5, 2]), GPU).cpu().numpy() == images[[5, 2]]).all()
    huge = np.lib.stride_tricks.as_strided(images, (10**9, *images.shape[1:]), (0, *images.strides[1:]))
    assert resident(huge, GPU) is huge


def test_speckle_drawn_there_has_its_looks():
    torch.manual_seed(0)
    flat = torch.full((64, 1, SIDE, SIDE), 50.0, device=GPU)
    intensity = (add_speckle(flat, 4.0, SCALING, OnDevice(np.random.default_rng(0))) / 50) ** 2
    assert float(intensity.mean()) == pytest.approx(1, abs=0.02)
    assert float(intensity.mean() ** 2 / intensity.var()) == pytest.approx(4, rel=0.05)


def test_dropout_draws_anew_in_every_replay():
    layer = nn.Dropout(0.5)
    take = Replayed(layer)
    ones = torch.ones(1000, device=GPU)
    masks = [take(ones).clone() for _ in range(8)]
    assert all((one != other).any() for one, other in zip(masks[:-1], masks[1:], strict=True))
