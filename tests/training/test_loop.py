"""The fit loop: it learns, it repeats itself, it resumes as if nothing had happened, and it says what went wrong."""

import itertools
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from sarslim.config import TrainingConfig
from sarslim.errors import InputError
from sarslim.evaluation.statistics import macro_f1
from sarslim.networks.inference import predict
from sarslim.records import Epoch, Scaling
from sarslim.training import loop as training
from sarslim.training.batches import soft_targets
from sarslim.training.loop import LabelObjective, fit
from sarslim.training.losses import label_cross_entropy
from sarslim.training.step import Average, Step, learning_rate, make_optimizer

SCALING = (Scaling(kind="linear", low=0.0, high=255.0),)
PLAIN = TrainingConfig(
    checkpoint_seconds=0,
    optimizer="sgd",
    mixup=0.0,
    ema_decay=0.0,
    epochs=6,
    batch_size=8,
    learning_rate=0.05,
    weight_decay=0,
    warmup_epochs=1,
    shift=0,
    flip=False,
    seed=1,
)


class Kept:
    """A checkpoint in memory that remembers every state it was given."""

    def __init__(self, state: bytes | None = None) -> None:
        self.state = state
        self.saved: list[bytes] = []

    def load(self):
        return self.state

    def save(self, state):
        self.saved.append(state)


def chips(count: int = 24, classes: int = 3, seed: int = 0):
    """Chips (count, 1, 16, 16) uint8 with a bright bar whose place is the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = rng.integers(0, 120, (count, 1, 16, 16))
    for image, label in zip(images, labels, strict=True):
        image[0, :, 5 * label : 5 * label + 4] += 100
    return images.astype(np.uint8), labels.astype(np.int64)


def tiny(seed: int = 0, classes: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        Normalised(), nn.Conv2d(1, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(0.1), nn.Linear(128, classes),
    )  # fmt: skip


class Normalised(nn.Module):
    def forward(self, images):
        return images.float() / 128 - 1


def run(network, recipe=PLAIN, **options):
    images, labels = chips()
    given = {
        "train_images": images, "train_labels": labels, "val_images": images, "val_labels": labels,
        "recipe": recipe, "scaling": SCALING, "what": "teacher",
    }  # fmt: skip
    return fit(network, options.pop("objective", None) or LabelObjective(), **(given | options))


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_a_tiny_network_overfits_a_tiny_set(capsys):
    network = tiny()
    fitted = run(network, PLAIN.model_copy(update={"epochs": 20}))
    images, labels = chips()
    assert (predict(network, images).argmax(axis=1) == labels).all()
    assert fitted.kept.val_macro_f1 == 1
    assert fitted.epochs[-1].losses["label"] < 0.1 < fitted.epochs[0].losses["label"]
    assert fitted.epochs[0].losses.keys() == {"label", "total"}
    assert [epoch.epoch for epoch in fitted.epochs] == list(range(1, 21))
    assert not network.training
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 20
    assert lines[0].startswith("teacher 1/20  loss ")
    assert "val macro-F1" in lines[0]
    assert lines[0].endswith("left")


def test_the_kept_weights_are_those_of_the_kept_epoch():
    network = tiny()
    fitted = run(network, PLAIN.model_copy(update={"learning_rate": 1.0, "warmup_epochs": 0}))
    images, labels = chips()
    scores = training.validate(network, images, labels)
    assert scores["val_macro_f1"] == fitted.kept.val_macro_f1
    assert scores["val_loss"] == pytest.approx(fitted.kept.val_loss)
    assert fitted.kept == training.kept(list(fitted.epochs), len(labels))


def past(number: int, f1: float, loss: float = 1.0) -> Epoch:
    return Epoch(epoch=number, learning_rate=1, losses={}, val_loss=loss, val_accuracy=0, val_macro_f1=f1, seconds=0)


def test_the_best_of_equal_scores_has_the_lower_loss_then_the_lower_age():
    history = [past(1, 0.8, 0.1), past(2, 0.9, 0.4), past(3, 0.9, 0.3), past(4, 0.9, 0.3)]
    assert training.best(history).epoch == 3


@pytest.mark.parametrize(("chips", "epoch"), [(100, 4), (234, 4), (235, 3), (909, 3), (910, 2), (10**6, 2)])
def test_the_last_epoch_within_a_standard_error_of_the_best_is_kept(chips, epoch):
    # p = (0.9 * chips + 2) / (chips + 4): sqrt(p (1 - p) / (chips + 4)) is 0.02 for 234 chips and 0.01 for 909.
    history = [past(1, 0.5), past(2, 0.9), past(3, 0.89 + 1e-12), past(4, 0.88 + 1e-12), past(5, 0.5)]
    assert training.kept(history, chips).epoch == epoch


@pytest.mark.parametrize(("misses", "epoch"), [(0, 3), (1, 3), (2, 1)])
def test_a_lucky_epoch_without_a_miss_is_not_kept_for_a_single_one_later(misses, epoch):
    history = [past(1, 1.0), past(2, 0.9), past(3, 1 - misses / 50)]
    assert training.kept(history, 50).epoch == epoch


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adamw", "learning_rate": 0.01},
        {"mixup": 0.4, "label_smoothing": 0.1},
        {"class_balanced": True, "ema_decay": 0.9},
        {"shift": 2, "flip": True, "rotate": 15, "speckle_looks": 4},
    ],
    ids=lambda options: "+".join(options),
)
def test_every_option_learns_and_repeats_itself(options):
    recipe = PLAIN.model_copy(update=options)
    networks = [tiny(), tiny()]
    curves = [run(network, recipe) for network in networks]
    assert same_weights(*networks)
    assert not same_weights(networks[0], tiny())
    losses = [epoch.losses for epoch in curves[0].epochs]
    assert losses == [epoch.losses for epoch in curves[1].epochs]
    assert losses[-1]["label"] < losses[0]["label"]


def test_another_seed_gives_another_run():
    networks = [tiny(), tiny()]
    for seed, network in enumerate(networks):
        run(network, PLAIN.model_copy(update={"seed": seed}))
    assert not same_weights(*networks)


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(7)
    expected = torch.rand(1)
    network = tiny()
    torch.manual_seed(7)
    run(network)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_resumed_run_is_the_run_that_was_never_interrupted(epoch):
    recipe = PLAIN.model_copy(update={"mixup": 0.4, "ema_decay": 0.9, "shift": 2, "speckle_looks": 4.0})
    whole, resumed = tiny(), tiny(seed=5)
    kept = Kept()
    complete = run(whole, recipe, checkpoint=kept)
    assert len(kept.saved) == recipe.epochs
    rest = run(resumed, recipe, checkpoint=Kept(kept.saved[epoch - 1]))
    assert same_weights(whole, resumed)
    assert rest.resumed_at_epoch == epoch
    assert complete.resumed_at_epoch == 0
    without_time = [[past.model_dump(exclude={"seconds"}) for past in fitted.epochs] for fitted in (complete, rest)]
    assert without_time[0] == without_time[1]


class Killing(LabelObjective):
    """Sends SIGTERM to this process in the middle of an epoch."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.left = step

    def forward(self, *batch):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().forward(*batch)


@pytest.mark.parametrize("step", [1, 3, 8, 17])
def test_sigterm_keeps_the_last_whole_epoch(step, capsys):
    kept, whole, resumed = Kept(), tiny(), tiny(seed=5)
    recipe = PLAIN.model_copy(update={"checkpoint_seconds": 3600, "ema_decay": 0.9})
    before = signal.getsignal(signal.SIGTERM)
    run(whole, recipe)
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(SystemExit) as ended:
        run(tiny(), recipe, objective=Killing(step), checkpoint=kept)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN  # who sends it again does not end what saves
    signal.signal(signal.SIGTERM, before)
    epochs = (step - 1) // 3  # of three batches
    assert len(kept.saved) == bool(epochs)
    assert (f"what was learned in {epochs} epochs is kept" in capsys.readouterr().out) == bool(epochs)
    rest = run(resumed, recipe, checkpoint=Kept(kept.saved[-1])) if epochs else run(resumed := tiny(), recipe)
    assert rest.resumed_at_epoch == epochs
    assert same_weights(whole, resumed)


def test_a_finished_run_is_not_trained_again():
    kept, whole, resumed = Kept(), tiny(), tiny(seed=5)
    run(whole, checkpoint=kept)
    assert run(resumed, checkpoint=Kept(kept.saved[-1])).resumed_at_epoch == PLAIN.epochs
    assert same_weights(whole, resumed)


def test_checkpoints_are_no_more_frequent_than_asked():
    kept = Kept()
    run(tiny(), PLAIN.model_copy(update={"checkpoint_seconds": 60}), checkpoint=kept)
    assert len(kept.saved) == 1  # the finished run


@pytest.mark.parametrize("found", ["broken", "other recipe", "other widths"])
def test_a_foreign_or_broken_checkpoint_is_left_aside(capsys, found):
    kept = Kept()
    if found == "other widths":
        images, labels = chips(classes=2)
        run(tiny(classes=2), train_labels=labels, val_labels=labels, train_images=images, checkpoint=kept)
    else:
        run(tiny(), PLAIN.model_copy(update={"learning_rate": 0.01}), checkpoint=kept)
    state = kept.saved[1][:1000] if found == "broken" else kept.saved[1]
    fresh, given = tiny(), tiny()
    run(fresh)
    capsys.readouterr()
    assert run(given, checkpoint=Kept(state)).resumed_at_epoch == 0
    assert same_weights(fresh, given)
    message = "cannot be read" if found == "broken" else "is of another run"
    assert message in capsys.readouterr().out


def test_early_stopping_counts_epochs_since_the_best(capsys):
    constant = PLAIN.model_copy(update={"epochs": 30, "patience": 3, "learning_rate": 1e-9, "warmup_epochs": 0})
    images, labels = chips()
    fitted = run(tiny(), constant, val_images=images[:3], val_labels=(labels[:3] + 1) % 3)
    assert len(fitted.epochs) == training.best(list(fitted.epochs)).epoch + 3 < 30
    assert "stopped early" in capsys.readouterr().out


def test_a_loss_that_is_not_finite_stops_with_a_remedy():
    images, labels = chips()
    poisoned = images.astype(np.float16)
    poisoned[3, 0, 0, 0] = np.nan
    with pytest.raises(
        InputError, match=r"no longer finite in epoch 1, step 2, at learning rate 0\.0.*smaller learning_rate"
    ):
        run(tiny(), train_images=poisoned)


def test_the_first_step_whose_loss_is_not_finite_is_named_whenever_that_is_noticed():
    said = torch.tensor(
        [[1.0, 1.5], [2.0, 2.5], [3.0, 3.5], [float("inf"), float("inf")], [float("nan"), float("nan")]]
    )
    assert training.read_losses(said[:3], ("label", "total"), "teacher", 1, PLAIN, 5) == {"label": 2.0, "total": 2.5}
    with pytest.raises(InputError, match=r"epoch 2, step 4, at learning rate 0\.0\d+ \(label inf, total inf\)"):
        training.read_losses(said, ("label", "total"), "teacher", 1, PLAIN, 5)


def test_the_state_of_an_optimizer_is_laid_out_as_the_weights_are():
    recipe, images = PLAIN.model_copy(update={"optimizer": "adamw"}), torch.zeros(4, 2, 8, 8)
    given = torch.eye(4), torch.ones(4, dtype=torch.bool)

    def layers():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(2, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    before = Step(layers(), LabelObjective(), recipe, half=False)
    before(images + 1, *given)
    after = layers().to(memory_format=torch.channels_last)
    step = Step(after, LabelObjective(), recipe, half=False)
    step.resume(before.optimizer.state_dict()["state"])
    known = step.optimizer.state[after[0].weight]["exp_avg"]
    assert known.stride() == after[0].weight.stride() != (18, 9, 3, 1)
    assert (known == next(iter(before.optimizer.state.values()))["exp_avg"]).all()
    assert known.abs().max() > 0


def test_a_shift_beyond_the_chip_is_refused():
    with pytest.raises(InputError, match=r"teacher\.shift: 16 pixels"):
        run(tiny(), PLAIN.model_copy(update={"shift": 16}))


def test_unlabelled_chips_do_not_move_the_label_term():
    images, labels = chips()
    others, _ = chips(40, seed=9)
    linear = nn.Linear(256, 3)
    network = nn.Sequential(Normalised(), nn.Flatten(), linear)  # no BatchNorm: chips do not mix
    batch = torch.from_numpy(np.concatenate([images[:6], others[:6]]))
    targets = soft_targets(labels[:6], 12, 3, 0.0)
    labelled = torch.arange(12) < 6
    LabelObjective()(network, batch, targets, labelled)["label"].backward()
    mixed = linear.weight.grad
    assert mixed is not None
    linear.weight.grad = None
    nn.functional.cross_entropy(network(batch[:6]), torch.from_numpy(labels[:6])).backward()
    assert torch.allclose(mixed, torch.as_tensor(linear.weight.grad), atol=1e-7)
    fitted = run(tiny(), unlabelled_images=others, train_images=images, train_labels=labels)
    assert fitted.kept.val_macro_f1 > 0.5


def test_soft_targets_and_label_cross_entropy_by_hand():
    targets = soft_targets(np.array([2, 0]), 3, 4, 0.2)
    assert torch.allclose(targets, torch.tensor([[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05], [0, 0, 0, 0]]))
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6], [0.1, 0.1, 0.8]]))
    soft = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    found = label_cross_entropy(logits, soft, torch.tensor([True, True, False]))
    expected = (-0.5 * np.log(0.5) - 0.5 * np.log(0.25) - np.log(0.6)) / 2
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert label_cross_entropy(logits, soft, torch.zeros(3, dtype=torch.bool)).item() == 0


def test_the_learning_rate_rises_linearly_and_falls_as_a_cosine():
    recipe = TrainingConfig(epochs=10, learning_rate=0.8, warmup_epochs=2)
    rates = [learning_rate(recipe, step, 4) for step in range(40)]
    assert rates[:9] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.8])
    assert rates[24] == pytest.approx(0.4)  # half of the 32 steps of the cosine
    assert 0 < rates[-1] < 0.003
    assert max(learning_rate(recipe.model_copy(update={"epochs": 1}), step, 4) for step in range(4)) == 0.8
    assert learning_rate(recipe.model_copy(update={"warmup_epochs": 0.0}), 0, 4) == 0.8


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_only_weights_of_layers_decay(name):
    recipe = TrainingConfig(optimizer=name, weight_decay=0.01)
    decayed, spared = make_optimizer(recipe, tiny(), LabelObjective()).param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(8, 1, 3, 3), (3, 128)]
    assert [tuple(p.shape) for p in spared["params"]] == [(8,), (8,), (3,)]
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0)


def test_the_average_follows_weights_and_statistics():
    average, network = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    network.load_state_dict(
        network.state_dict()
        | {"weight": torch.tensor([2.0]), "running_mean": torch.tensor([10.0]), "num_batches_tracked": torch.tensor(7)}
    )
    running = Average(average, network)
    running.update(0.9)
    state = average.state_dict()
    assert state["weight"].item() == pytest.approx(1.1)
    assert state["running_mean"].item() == pytest.approx(1.0)
    assert state["num_batches_tracked"] == 7
    running.update(0.1)
    assert state["weight"].item() == pytest.approx(1.1 + 0.9 * 0.9)


def test_macro_f1_by_hand():
    labels, predicted = np.array([0, 0, 0, 1, 1, 3]), np.array([0, 0, 1, 1, 0, 2])
    # class 0: 2 hits of 3 + 3, class 1: 1 of 2 + 2, class 3: none; there is no chip of class 2
    assert macro_f1(labels, predicted) == pytest.approx((4 / 6 + 2 / 4 + 0) / 3)


def test_predict_is_the_same_in_any_batch_and_leaves_the_mode(tmp_path):
    images, _ = chips(10)
    path = tmp_path / "images.npy"
    np.save(path, images)
    network = tiny().train()
    mapped = np.load(path, mmap_mode="r")
    first, second = predict(network, mapped, batch_size=3), predict(network, mapped)
    assert first.shape == (10, 3)
    assert first.dtype == np.float32
    assert np.allclose(first, second, atol=1e-6)
    assert network.training
    doubled = predict(network, mapped, alter=lambda batch: batch * 2)
    assert np.allclose(doubled, predict(network, images.astype(np.float16) * 2), atol=1e-6)


def test_options_combine():
    for mixup, balanced, smoothing in itertools.product((0.0, 0.2), (False, True), (0.0, 0.1)):
        options = {"mixup": mixup, "class_balanced": balanced, "label_smoothing": smoothing, "epochs": 1}
        assert len(run(tiny(), PLAIN.model_copy(update=options)).epochs) == 1


def test_networks_see_plain_strides():
    seen = []

    class Watching(LabelObjective):
        def forward(self, network, images, targets, labelled):
            seen.append(images.stride())
            return super().forward(network, images, targets, labelled)

    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (10, 1, 16, 16)).astype(np.uint8)
    labels = np.arange(10) % 2
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 2))
    fit(
        network,
        Watching(),
        train_images=images,
        train_labels=labels,
        val_images=images,
        val_labels=labels,
        recipe=TrainingConfig(epochs=1, batch_size=5, learning_rate=1e-4),
        scaling=(Scaling(kind="linear", low=0, high=255),),
        what="test",
    )
    assert seen == [(256, 256, 16, 1)] * 2
