"""Crop, padding and scaling, against values worked out by hand."""

import numpy as np
import pytest

from sarslim.chips import preprocess
from sarslim.chips.index import Chip
from sarslim.errors import InputError
from sarslim.records import Scaling


def test_crop_takes_the_centre_and_never_stretches():
    pixels = np.arange(2 * 7 * 6, dtype=np.float32).reshape(2, 7, 6)
    np.testing.assert_array_equal(preprocess.crop(pixels, 4), pixels[:, 1:5, 1:5])
    np.testing.assert_array_equal(preprocess.crop(pixels, 6), pixels[:, :6])
    assert preprocess.crop(pixels, 9).shape == (2, 7, 6)


def test_multilook_is_the_root_of_the_mean_power_of_blocks_and_cuts_the_rest_on_both_sides():
    pixels = np.zeros((2, 7, 6), np.float32)  # rows 0, 1 and 6, and columns 0 and 5 fill no block of 4
    pixels[0, 1:5, 1:5] = [[3, 4, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 5]]
    pixels[1] = 7
    np.testing.assert_allclose(preprocess.multilook(pixels, 4), [[[np.sqrt(50 / 16)]], [[7]]], rtol=1e-6)
    assert preprocess.multilook(pixels, 2).shape == (2, 3, 3)
    np.testing.assert_allclose(preprocess.multilook(pixels[:, :6], 3)[0], [[5 / 3, 0], [0, 5 / 3]], rtol=1e-6)


def test_multilook_leaves_one_nth_of_the_variance_of_speckle_and_its_mean_power():
    """Of single-look intensities, n x n of them: gamma with n^2 looks."""
    amplitude = np.sqrt(np.random.default_rng(0).exponential(9.0, (1, 400, 400))).astype(np.float32)
    power = preprocess.multilook(amplitude, 4).astype(float) ** 2
    assert power.mean() == pytest.approx(9, rel=0.01)
    assert power.mean() ** 2 / power.var() == pytest.approx(16, rel=0.05)


def test_the_level_of_a_chip_is_the_median_of_what_is_above_0_and_takes_its_gain_away():
    rng = np.random.default_rng(0)
    pixels = rng.rayleigh(20, (2, 40, 40)).astype(np.float32)
    pixels[:, 10:20, 10:30] = 4000  # a ship
    pixels[1, :6] = 0  # the edge of the image
    np.testing.assert_allclose(preprocess.level(pixels), 20 * np.sqrt(2 * np.log(2)), rtol=0.15)
    assert preprocess.level(np.zeros((1, 3, 3), np.float32)) == 1
    chip = Chip("a", "A", "a.tif", 40, 40)
    taken = [
        preprocess.take(pixels * gain, chip, looks=2, size=16, per_chip=True)
        for gain in (np.float32(1), np.array([[[0.01]], [[300]]], np.float32))
    ]
    np.testing.assert_allclose(taken[0], taken[1], rtol=1e-5)
    np.testing.assert_allclose(preprocess.level(taken[0]), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("pixels", "options", "words"),
    [
        (np.ones((1, 3, 9)), {"looks": 4}, "a.tif: chip a of 3 x 9 pixels is smaller than a block of multilook=4"),
        (np.full((1, 3, 9), -20.0), {"looks": 3}, "chip a has 27 of 27 pixels below 0, as decibels have. Give ampl"),
        (np.full((1, 3, 9), -20.0), {"per_chip": True}, "27 of 27 pixels below 0"),
    ],
)
def test_what_has_no_power_to_average_is_refused(pixels, options, words):
    chip = Chip("a", "A", "a.tif", *pixels.shape[1:])
    with pytest.raises(InputError, match=words):
        preprocess.take(pixels.astype(np.float32), chip, **{"looks": 1, "size": 16, "per_chip": False} | options)
    preprocess.take(pixels.astype(np.float32), chip, looks=1, size=16, per_chip=False)


def test_pad_keeps_the_chip_and_fills_the_frame_from_its_border():
    pixels = np.full((2, 5, 4), 100, np.float32)
    ring = np.ones((5, 4), bool)
    ring[1:-1, 1:-1] = False
    pixels[0][ring] = np.arange(14) % 3
    pixels[1] = pixels[0] + 10
    padded = preprocess.pad(pixels, 9)
    np.testing.assert_array_equal(padded[:, 2:7, 2:6], pixels)
    frame = np.ones((9, 9), bool)
    frame[2:7, 2:6] = False
    assert set(np.unique(padded[0][frame])) == {0, 1, 2}
    np.testing.assert_array_equal(padded[1][frame], padded[0][frame] + 10)
    np.testing.assert_array_equal(preprocess.pad(pixels, 9), padded)


def test_pad_leaves_a_chip_of_full_size_alone():
    pixels = np.ones((1, 4, 4), np.float32)
    assert preprocess.pad(pixels, 4) is pixels


def test_linear_takes_the_full_range_of_every_channel():
    chips = [np.array([[[1, 2]], [[10, 40]]], np.float32), np.array([[[0.5, 3]], [[20, 30]]], np.float32)]
    assert preprocess.fit(chips, "linear", (1, 99)) == (
        Scaling(kind="linear", low=0.5, high=3),
        Scaling(kind="linear", low=10, high=40),
    )


def test_percentile_clips_and_rounds():
    chips = [np.arange(101, dtype=np.float32).reshape(1, 101, 1)]
    (scaling,) = preprocess.fit(chips, "percentile", (10, 90))
    assert (scaling.low, scaling.high) == (10, 90)
    values = np.array([[[0, 10, 50, 90, 100]]], np.float32)
    np.testing.assert_array_equal(preprocess.apply(values, (scaling,), "uint8"), [[[0, 0, 128, 255, 255]]])
    halves = preprocess.apply(values, (scaling,), "float16")
    assert halves.dtype == np.float16
    np.testing.assert_array_equal(halves, [[[0, 0, 127.5, 255, 255]]])


def test_log_is_finite_at_zero_and_follows_its_formula():
    chips = [np.array([[[0, 1, 10, 100, 1000]]], np.float32)]
    (scaling,) = preprocess.fit(chips, "log", (0, 100))
    assert scaling.offset == pytest.approx(0.01)
    assert scaling.low == pytest.approx(np.log(0.01), rel=1e-6)
    expected = 255 * (np.log(10.01) - np.log(0.01)) / (np.log(1000.01) - np.log(0.01))
    assert preprocess.apply(chips[0], (scaling,), "uint8")[0, 0].tolist() == [0, 102, round(expected), 204, 255]


def test_the_scalings_per_chip_are_those_of_the_logarithmic_and_the_plain_axis():
    chips = [np.array([[[1, 10, 100, 1000]]], np.float32)]
    for kind, same in (("chip", "percentile"), ("chip_log", "log")):
        (ours,), (plain,) = (preprocess.fit(chips, each, (0, 100)) for each in (kind, same))
        assert (ours.low, ours.high, ours.offset) == (plain.low, plain.high, plain.offset)
        np.testing.assert_array_equal(*(preprocess.apply(chips[0], (each,), "uint8") for each in (ours, plain)))
        assert (ours.per_chip, plain.per_chip, ours.logarithmic) == (True, False, same == "log")
    dark = [np.array([[[0, 0, 0, 1, 10, 100, 1000]]], np.float32)]
    (scaling,) = preprocess.fit(dark, "chip_log", (0, 100))
    assert scaling.low == pytest.approx(0, abs=0.1)  # pixels of 0 are at the end of the scale, and do not widen it
    assert preprocess.apply(dark[0], (scaling,), "uint8")[0, 0].tolist() == [0, 0, 0, 0, 84, 169, 255]


def test_chips_of_one_value_do_not_divide_by_zero():
    chips = [np.full((1, 4, 4), 7, np.float32)]
    scalings = preprocess.fit(chips, "percentile", (0.5, 99.8))
    assert preprocess.apply(chips[0], scalings, "uint8").max() == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_are_refused(value):
    pixels = np.ones((1, 3, 3), np.float32)
    pixels[0, 0, 1] = value
    with pytest.raises(InputError, match=r"A/7.tif: chip seven has 1 of 9 pixels that are not finite"):
        preprocess.check_finite(pixels, Chip("seven", "A", "A/7.tif", 3, 3))
