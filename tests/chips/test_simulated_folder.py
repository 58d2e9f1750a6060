"""Simulated chips as files: what a reader of folders makes of them, and what is refused."""

import filecmp
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sarslim.chips import simulated_folder
from sarslim.chips.formats import open_reader
from sarslim.chips.prepare import prepare
from sarslim.config import PrepareConfig
from sarslim.errors import InputError


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "chips"
    counts = simulated_folder.write(out, 46, 3, 7, 10, image_size=48)
    assert counts == {"cargo": 16, "tanker": 16, "container": 14, "unlabelled": 10}
    return out


def test_a_folder_per_class_a_ship_in_a_folder_of_its_own(tree):
    index = open_reader(PrepareConfig(source=str(tree)), tree).index()
    labelled = [chip for chip in index.chips if chip.label]
    assert len(labelled) == 46
    assert len(index.chips) - 46 == len(list((tree / "unlabelled").iterdir())) == 10
    assert len({chip.ship for chip in labelled}) == 12  # of four chips, the last of two
    assert [row.name for row in index.skipped] == ["SIMULATED.txt"]
    pixels = np.stack([np.asarray(Image.open(file)) for file in sorted(tree.rglob("*.png"))])
    assert pixels.dtype == np.uint8
    assert pixels.shape == (56, 48, 48)
    assert 14 < np.median(pixels) < 26
    assert 0.0002 < (pixels == 255).mean() < 0.01
    assert len(np.unique(pixels.reshape(56, -1), axis=0)) == 56


def test_the_dataset_of_it_says_that_it_is_simulated(tree, tmp_path):
    record = prepare(PrepareConfig(source=str(tree), image_size=48), tree, tmp_path / "dataset")
    assert record.simulated
    assert record.parts["unlabelled"].chips == 10
    (tree / simulated_folder.MARK).rename(tmp_path / "away")
    assert not prepare(PrepareConfig(source=str(tree), image_size=48), tree, tmp_path / "other").simulated
    (tmp_path / "away").rename(tree / simulated_folder.MARK)


def test_the_same_seed_writes_the_same_files(tree, tmp_path):
    simulated_folder.write(tmp_path / "again", 46, 3, 7, 10, image_size=48)
    files = [str(file.relative_to(tree)) for file in tree.rglob("*") if file.is_file()]
    assert len(files) == 57
    assert filecmp.cmpfiles(tree, tmp_path / "again", files, shallow=False) == (files, [], [])
    simulated_folder.write(tmp_path / "other", 46, 3, 8, 10, image_size=48)
    assert len(filecmp.cmpfiles(tree, tmp_path / "other", files, shallow=False)[0]) == 1  # the text


def test_more_chips_without_a_label_leave_the_others_as_they_are(tree, tmp_path):
    counts = simulated_folder.write(tmp_path / "more", 46, 3, 7, 0, image_size=48)
    assert "unlabelled" not in counts
    files = [str(file.relative_to(tmp_path / "more")) for file in (tmp_path / "more").rglob("*.png")]
    assert filecmp.cmpfiles(tree, tmp_path / "more", files, shallow=False) == (files, [], [])


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((5, 3, 0, 0), "chips: 5 is below 20"),
        ((40, 9, 0, 0), "classes: 9 "),
        ((40, 3, -1, 0), "seed: -1 "),
        ((40, 3, 0, -1), "unlabelled: -1 chips cannot be made"),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_is_written(numbers, words, tmp_path):
    with pytest.raises(InputError, match=words):
        simulated_folder.write(tmp_path / "out", *numbers)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="exists already"):
        simulated_folder.write(tmp_path, 20, 2, 0, 0)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
