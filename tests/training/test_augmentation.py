"""Augmentation and the batches of an epoch, by hand and by count."""

import numpy as np
import pytest
import torch

from sarslim.config import TrainingConfig
from sarslim.records import Scaling
from sarslim.training.augmentation import (
    augment,
    epoch_batches,
    mixup,
    quarter_turns,
    rotate,
    shift_and_flip,
    steps_per_epoch,
)

LINEAR = (Scaling(kind="linear", low=0.0, high=255.0),)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_shift_moves_by_whole_pixels_and_mirrors_the_edge():
    row = torch.arange(8, dtype=torch.uint8).expand(200, 1, 8, 8)
    found = {tuple(view[0, 0].tolist()) for view in shift_and_flip(row, 2, False, rng())}
    assert found == {
        (2, 1, 0, 1, 2, 3, 4, 5),
        (1, 0, 1, 2, 3, 4, 5, 6),
        (0, 1, 2, 3, 4, 5, 6, 7),
        (1, 2, 3, 4, 5, 6, 7, 6),
        (2, 3, 4, 5, 6, 7, 6, 5),
    }


def test_flips_give_all_four_mirror_images_about_equally_often():
    chip = torch.arange(16, dtype=torch.float16).view(1, 1, 4, 4)
    views = shift_and_flip(chip.expand(400, 1, 4, 4), 0, True, rng())
    for dims in ([], [2], [3], [2, 3]):
        count = sum(torch.equal(view, chip.flip(dims)[0]) for view in views)
        assert 70 <= count <= 130


def test_quarter_turns_give_all_four_about_equally_often_and_with_flips_all_eight_symmetries():
    chip = torch.arange(16, dtype=torch.float16).view(1, 1, 4, 4)
    many = chip.expand(400, 1, 4, 4)
    views = quarter_turns(many, rng())
    for turn in range(4):
        assert 70 <= sum(torch.equal(view, chip.rot90(turn, (2, 3))[0]) for view in views) <= 130
    recipe = TrainingConfig(shift=0, quarter_turns=True)
    assert len(torch.unique(augment(many, recipe, LINEAR, rng()).flatten(1), dim=0)) == 8


def test_channels_of_a_chip_move_together():
    chips = torch.rand(20, 1, 16, 16).expand(20, 2, 16, 16)
    views = shift_and_flip(chips, 3, True, rng())
    assert torch.equal(views[:, 0], views[:, 1])
    assert views.shape == chips.shape


def test_rotation_by_nothing_is_the_identity_and_keeps_a_disc():
    chips = torch.rand(3, 1, 17, 17) * 255
    assert torch.allclose(rotate(chips, 1e-6, rng()), chips, atol=1e-2)
    axis = torch.linspace(-1, 1, 33)
    square = axis[:, None] ** 2 + axis[None] ** 2
    disc = torch.exp(-4 * square).expand(5, 1, 33, 33) * 255
    turned = rotate(disc, 180, rng())
    assert (turned - disc)[..., square < 0.9].abs().max() < 5
    assert not torch.equal(turned, disc)


def test_augment_without_any_option_only_converts():
    chips = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    plain = augment(chips, TrainingConfig(shift=0, flip=False), LINEAR, rng())
    assert plain.dtype == torch.float32
    assert torch.equal(plain, chips.float())


def test_augment_with_everything_stays_in_range_and_repeats():
    chips = torch.randint(0, 256, (8, 1, 32, 32), dtype=torch.uint8)
    recipe = TrainingConfig(shift=4, rotate=30, speckle_looks=4)
    first, second = (augment(chips, recipe, LINEAR, rng(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == chips.shape
    assert first.min() >= 0
    assert first.max() <= 255


def test_mixup_blends_images_and_targets_alike_and_never_across_the_label_border():
    targets = torch.eye(8)
    targets[5:] = 0
    images = torch.eye(8).view(8, 8, 1, 1)
    mixed, soft = mixup(images, targets, 5, 0.4, rng())
    assert torch.allclose(mixed[:5, :5, 0, 0], soft[:5, :5])
    assert torch.allclose(soft.sum(dim=1), torch.tensor([1.0] * 5 + [0.0] * 3))
    assert mixed[:5, 5:].abs().sum() == 0
    assert mixed[5:, :5].abs().sum() == 0
    assert not torch.equal(mixed, images)


def test_an_epoch_takes_every_chip_once():
    batches = epoch_batches(np.zeros(130, dtype=np.int64), 0, 64, False, rng())
    assert sorted(np.concatenate(batches)) == list(range(130))
    assert [len(batch) for batch in batches] == [44, 43, 43]
    assert not np.array_equal(batches[0], epoch_batches(np.zeros(130, dtype=np.int64), 0, 64, False, rng(1))[0])


def test_balanced_epochs_draw_every_class_equally_often():
    labels = np.repeat([0, 1, 2], [70, 25, 5])
    drawn = np.concatenate(epoch_batches(labels, 0, 16, True, rng()))
    assert len(drawn) == 100
    assert sorted(np.bincount(labels[drawn])) == [33, 33, 34]
    assert np.bincount(drawn)[95:].min() >= 6  # every chip of the rare class equally often
    assert np.bincount(drawn)[:70].max() == 1


@pytest.mark.parametrize(("unlabelled", "joined"), [(7, 7), (1000, 20)])
def test_unlabelled_chips_join_up_to_the_number_of_labelled_ones(unlabelled, joined):
    drawn = np.concatenate(epoch_batches(np.zeros(20, dtype=np.int64), unlabelled, 8, False, rng()))
    assert sorted(drawn[drawn < 20]) == list(range(20))
    others = drawn[drawn >= 20]
    assert len(others) == len(set(others)) == joined
    assert others.max() < 20 + unlabelled


@pytest.mark.parametrize(("chips", "size", "steps"), [(128, 64, 2), (129, 64, 3), (3, 2, 1), (5, 1, 2), (1, 64, 1)])
def test_no_batch_of_one_chip_unless_there_is_but_one(chips, size, steps):
    assert steps_per_epoch(chips, 0, size) == steps
    sizes = [len(batch) for batch in epoch_batches(np.zeros(chips, dtype=np.int64), 0, size, False, rng())]
    assert len(sizes) == steps
    assert min(sizes) >= min(2, chips)
