"""What shortcuts see of chips that were drawn by hand, and what they find where there is something to find."""

import numpy as np
import pytest

from sarslim.evaluation.shortcuts import audit, background, brightness, otsu, size_and_shape


def blob(length, width, angle=0.0, size=64, level=200.0):
    """A bright rectangle in the middle of dark water (1, size, size)."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    inside = (abs(along) <= length / 2) & (abs(across) <= width / 2)
    return np.where(inside, np.float32(level), np.float32(20))[None]


@pytest.mark.parametrize("angle", [0, 0.5, np.pi / 2])
def test_size_and_shape_of_a_rectangle_however_it_lies(angle):
    area, length, width, elongation = size_and_shape(blob(32, 8, angle))
    assert area == pytest.approx(32 * 8, rel=0.15)
    # The ellipse with the moments of a rectangle has axes 4 / sqrt(12) = 1.155 times its sides.
    assert (length, width) == pytest.approx((1.155 * 32, 1.155 * 8), rel=0.12)
    assert elongation == pytest.approx(length / width)


def test_the_largest_blob_counts_and_a_single_bright_pixel_does_not():
    chip = blob(20, 6)
    alone = size_and_shape(chip)
    chip[0, 4:8, 4:8], chip[0, 50, 10] = 200, 255
    assert size_and_shape(chip) == alone


def test_a_chip_of_one_value_has_no_blob():
    assert size_and_shape(np.full((1, 32, 32), 7, np.float32)) == [0, 0, 0, 1]
    assert np.isfinite(otsu(np.zeros((8, 8), np.float32)))


def test_the_threshold_of_two_levels_lies_between_them():
    values = np.repeat(np.float32([10, 200]), [900, 100])
    assert 10 < otsu(values) < 200


def test_the_background_sees_the_border_alone_and_brightness_the_whole():
    chip = np.full((2, 32, 32), 30, np.float32)
    chip[1] = 50
    before = background(chip)
    chip[:, 4:-4, 4:-4] = 255
    assert background(chip) == before == pytest.approx([30, 50, 0, 0, *(30, 50) * 5])
    share = 24**2 / 32**2
    assert brightness(chip)[:2] == pytest.approx([30 + 225 * share, 50 + 205 * share], rel=1e-5)
    assert brightness(chip)[2] == pytest.approx(225 * np.sqrt(share * (1 - share)), rel=1e-5)


def chips(rng, labels, *, gain=0.0, longer=0.0):
    """Speckled ships whose class changes the gain of the background, or the length, or nothing."""
    images = np.stack([blob(24 + longer * k, 6, rng.uniform(0, np.pi)) for k in labels])
    images *= (1 + gain * labels)[:, None, None, None] * np.sqrt(rng.gamma(4, 1 / 4, images.shape))
    return np.clip(images, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("given_away", "telling", "best"),
    [
        ({"gain": 0.5}, {"background", "brightness"}, "background"),
        ({"longer": 16}, {"brightness", "size and shape"}, "size and shape"),
        ({}, set(), None),
    ],
)
def test_an_audit_finds_what_gives_the_class_away_and_nothing_else(given_away, telling, best):
    rng = np.random.default_rng(0)
    train, test = (np.arange(count) % 3 % 2 for count in (240, 180))  # two thirds are of class 0
    found, answers = audit(chips(rng, train, **given_away), train, chips(rng, test, **given_away), test)
    by_name = {each.name: each for each in found}
    assert list(by_name) == ["majority", "background", "brightness", "size and shape"]
    assert by_name["majority"].accuracy == pytest.approx(2 / 3)
    assert by_name["majority"].balanced_accuracy == by_name["majority"].chance == 0.5
    assert not by_name["majority"].tells
    assert {name for name, each in by_name.items() if each.tells} == telling
    most = max(each.accuracy for each in found)
    assert np.mean(answers == test) == most
    if best:
        assert by_name[best].accuracy == most > 0.95
        assert by_name[best].over_majority.clearly_better


def test_a_shortcut_tells_by_balanced_accuracy_where_one_class_is_large():
    rng = np.random.default_rng(1)
    train, test = (np.minimum(np.arange(count) % 10, 1) ^ 1 for count in (400, 300))  # a tenth is of class 1
    found, _ = audit(chips(rng, train, gain=0.12), train, chips(rng, test, gain=0.12), test)
    (brightness,) = (each for each in found if each.name == "brightness")
    assert brightness.balanced_interval[0] > 0.5
    assert brightness.tells
