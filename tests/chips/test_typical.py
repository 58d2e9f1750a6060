"""What training chips are like, and how far others lie outside of that."""

import json

import numpy as np
import pytest
from chip_sources import DATA, configure, noise, write_tree

from sarslim.chips.dataset import Dataset
from sarslim.chips.prepare import prepare
from sarslim.chips.typical import FAR, MEASURES, Outside, distances, measure, outside, summarise
from sarslim.records import DatasetRecord, Typical


def test_measures_of_a_chip_by_hand():
    image = np.array([[[0, 255], [10, 30]], [[1, 1], [1, 1]]], np.uint8)
    found = measure(np.stack([image, image[::-1]]))
    spread = np.std([0, 255, 10, 30])
    np.testing.assert_allclose(found, [[2 / 8, 73.75, 1, spread, 0], [2 / 8, 1, 73.75, 0, spread]])


def test_ranges_hold_all_but_the_ends_of_the_training_chips():
    rows = np.column_stack([np.linspace(0, 1, 201), np.linspace(20, 220, 201), np.linspace(5, 45, 201)])
    found = summarise(rows, [(20, 30), (40, 25)])
    assert found.clipped == pytest.approx(0.995)
    assert found.mean[0] == pytest.approx((21, 219))
    assert found.spread[0] == pytest.approx((5.2, 44.8))
    assert found.sides_px == (20, 40)


TYPICAL = Typical(clipped=0.1, mean=((40.0, 60.0), (10.0, 12.0)), spread=((20.0, 40.0), (5.0, 25.0)), sides_px=(32, 64))


@pytest.mark.parametrize(
    ("means", "sides", "far", "said"),
    [
        ((50, 11), (32, 64), 0, ""),
        ((70, 11), None, 0.5, "its mean is off by 0.5 ranges"),
        ((24, 11), (40, 40), 0.8, "its mean is off by 0.8 ranges"),
        ((50, 28), (40, 40), 2, "its mean is off by 2.0 ranges"),  # a range of 2 counts as one of 8
        ((50, 11), (16, 40), 1, "its size is 2.0 times off"),
        ((50, 11), (600, 600), np.log2(600 / 64), "its size is 9.4 times off"),
    ],
)
def test_distances_by_hand(means, sides, far, said):
    flip = np.indices((8, 8)).sum(axis=0) % 2 * 2 - 1
    image = np.stack([means[0] + 20 * flip, means[1] + 10 * flip]).astype(np.float16)
    (found,) = outside(TYPICAL, image[None], [sides])
    assert found.distance == pytest.approx(far, abs=1e-6)
    assert found.far == (far > FAR)
    assert (str(found) if said else found.measure) == said


def test_clipped_pixels_are_told():
    image = np.full((1, 2, 8, 8), 50, np.uint8)
    image[0, 1] = 11
    image[0, 0, :4] = 0  # a quarter of the pixels
    row = dict(zip(MEASURES, distances(TYPICAL, image, [None])[0], strict=True))
    assert row["clipped pixels"] == pytest.approx(0.15 / 0.1)
    assert row["size"] == 0
    assert str(Outside(1.5, "clipped pixels")) == "its clipped pixels are off by 1.5 ranges"


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_prepare_records_what_its_training_chips_are_like(tmp_path, dtype):
    root = write_tree(tmp_path / "tree", {"A": 60, "B": 60})
    record = prepare(configure(dtype=dtype), root, tmp_path / "out")
    images = np.asarray(Dataset.open(tmp_path / "out").part("train").images)
    assert record.typical == summarise(measure(images), [(20, 20)] * len(images))
    means = images.astype(float).mean(axis=(1, 2, 3))
    assert record.typical.mean[0] == pytest.approx(tuple(np.percentile(means, (0.5, 99.5))))
    found = outside(record.typical, images, [(20, 20)] * len(images))
    assert not any(each.far for each in found)


def test_a_record_of_an_earlier_version_is_read(tmp_path):
    prepare(configure(), write_tree(tmp_path / "tree", {"A": 20, "B": 20}), tmp_path / "out")
    record = json.loads((tmp_path / "out" / "dataset.json").read_text())
    del record["typical"]
    assert DatasetRecord.model_validate(record).typical is None


@pytest.mark.parametrize("name", ["mstar_soc", "fusar3", "opensarship", ""])
def test_hardly_a_test_chip_is_far_outside_and_what_is_no_chip_is(tmp_path, name):
    source = DATA / name if name else None
    if source is not None and not source.is_dir():
        pytest.skip(f"{source} is not here")
    values = {"image_size": 64, "simulator": {"chips": 300}}
    if name == "mstar_soc":  # a part of it is enough
        values["classes"] = ["2S1", "D7"]
    record = prepare(configure(**values), source, tmp_path / "out")
    images = np.asarray(Dataset.open(tmp_path / "out").part("test").images)
    found = outside(record.typical, images, [None] * len(images))
    assert np.mean([each.far for each in found]) <= 0.01
    aliens = [np.zeros((64, 64)), np.full((64, 64), 255), np.clip(noise(1, 64, 64) * 50, 0, 255)]
    found = outside(record.typical, np.stack(aliens)[:, None].astype(np.uint8), [None] * len(aliens))
    assert [each.far for each in found] == [True, True, True]
