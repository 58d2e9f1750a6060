"""Chips of a second source, of which no label is used."""

import csv

import numpy as np
import pytest
from chip_sources import PRODUCT, configure, fleet, noise, product_files, tiff, write_image, write_zip

from sarslim.chips import preprocess
from sarslim.chips.dataset import Dataset
from sarslim.chips.index import Chip
from sarslim.chips.inspect import inspect
from sarslim.chips.prepare import prepare
from sarslim.config import PrepareConfig, parse
from sarslim.errors import InputError


@pytest.fixture
def more(tmp_path):
    """Images at any depth, brighter and larger than those of the tree; one of them is hardly any."""
    root = tmp_path / "more"
    for number, name in enumerate(("top.png", "a/x.png", "a/b/TRAIN/y.tif", "0_000.png", "a/0_000.png")):
        write_image(root / name, np.clip(20 * noise(number, 66, 70), 0, 65535).astype(np.uint16))
    write_image(root / "a/small.png", noise(9, 3, 40).astype(np.uint8))
    (root / "a" / "notes.txt").write_text("x")
    return root


def test_they_have_a_multilook_and_a_scaling_of_their_own_and_change_nothing_else(tree, more, tmp_path):
    root = tree({"A": 20, "B": 20, "unlabelled": 3})
    alone = prepare(configure(), root, tmp_path / "alone")
    config = configure(unlabelled_source="s3://raw/more", unlabelled_multilook=4)
    record = prepare(config, root, tmp_path / "out", more)
    assert {name: part.chips for name, part in record.parts.items()} == {
        "train": 26, "val": 4, "test": 10, "unlabelled": 8,
    }  # fmt: skip
    same = ("scaling", "mean", "std", "typical", "multilook", "split_rule", "classes", "sources_sha256")
    assert {name: getattr(record, name) for name in same} == {name: getattr(alone, name) for name in same}
    assert record.digest != alone.digest
    second = record.unlabelled_source
    assert (second.source, second.format, second.chips, second.multilook) == ("s3://raw/more", "images", 5, 4)
    assert set(second.sources_sha256) == {".", "a", "a/b/TRAIN"}
    assert second.scaling[0].high > 5 * record.scaling[0].high
    assert {row.name: row.reason for row in record.skipped} == {
        "unlabelled_source/a/notes.txt": "not a PNG, JPEG or TIFF file",
        "unlabelled_source/a/small.png": "is smaller than a block of unlabelled_multilook=4",
    }
    data = Dataset.open(tmp_path / "out")
    with (tmp_path / "out" / "chips.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "unlabelled"]
    names = ["0_000.png", "a/0_000.png", "a/b/TRAIN/y.tif", "a/x.png", "top.png"]
    assert [row["chip"] for row in rows][3:] == [f"unlabelled_source/{name}" for name in names]
    assert len(data.files("unlabelled")) == 8
    # The last chip, as it is made by hand.
    pixels = np.clip(20 * noise(0, 66, 70), 0, 65535).astype(np.uint16).astype(np.float32)[None]
    taken = preprocess.take(pixels, Chip("x", None, "x", 66, 70), looks=4, size=16, per_chip=False)
    np.testing.assert_array_equal(data.part("unlabelled").images[-1], preprocess.apply(taken, second.scaling, "uint8"))
    assert data.examples(4)["unlabelled"].shape == (4, 1, 16, 16)
    found = inspect(root, config, more)
    assert (found.further, found.parts["unlabelled"]) == (5, 8)


@pytest.mark.parametrize(
    ("chosen", "kind", "own"), [("training", "percentile", False), ("log", "log", True), ("chip", "chip", True)]
)
def test_they_are_scaled_as_asked(tree, more, tmp_path, chosen, kind, own):
    root = tree({"A": 20, "B": 20})
    config = configure(unlabelled_source="more", unlabelled_scaling=chosen)
    record = prepare(config, root, tmp_path / "out", more)
    assert record.unlabelled_source.scaling[0].kind == kind
    assert (record.unlabelled_source.scaling != record.scaling) == own


def test_any_polarisation_serves_where_none_is_named_and_the_right_one_where_it_is(tree, tmp_path):
    products = tmp_path / "products"
    write_zip(products / f"{PRODUCT}.zip", product_files(PRODUCT, fleet(6)))
    record = prepare(configure(unlabelled_source="p"), tree({"A": 20, "B": 20}), tmp_path / "single", products)
    assert (record.unlabelled_source.format, record.unlabelled_source.chips) == ("opensarship", 12)
    labelled = tmp_path / "labelled"
    write_zip(labelled / f"{PRODUCT[:-4]}0000.zip", product_files(PRODUCT, fleet(24, first=500)))
    for options, count in (({}, 12), ({"polarisations": ["VV"]}, 6), ({"polarisation_as": "channels"}, 6)):
        out = tmp_path / "-".join(["out", *options])
        record = prepare(configure(unlabelled_source="p", **options), labelled, out, products)
        assert record.unlabelled_source.chips == count
    grey = tmp_path / "grey"
    grey.mkdir()
    (grey / "1.tif").write_bytes(tiff(noise(1, 20, 20).astype(np.float32)))
    with pytest.raises(InputError, match="prepare.unlabelled_source: p holds no chips that can be used, such as unl"):
        prepare(configure(unlabelled_source="p", polarisation_as="channels"), labelled, tmp_path / "none", grey)


def test_ships_in_val_and_test_are_left_out_and_equal_chips_are_told(tree, tmp_path):
    labelled, more = tmp_path / "labelled", tmp_path / "more"
    write_zip(labelled / f"{PRODUCT}.zip", product_files(PRODUCT, fleet(24)))
    write_zip(more / f"{PRODUCT[:-4]}0000.zip", product_files(PRODUCT[:-4] + "0000", fleet(24)))
    record = prepare(configure(unlabelled_source="more"), labelled, tmp_path / "out", more)
    held_out = record.parts["val"].chips + record.parts["test"].chips
    assert record.unlabelled_source.chips == record.parts["train"].chips == 48 - held_out
    reasons = [row.reason for row in record.skipped if row.name.startswith("unlabelled_source/")]
    assert reasons.count("has no label, and its group, ship or scene is in val or test") == held_out
    assert not [text for text in record.warnings if "unlabelled_source" in text]

    root = tree({"A": 20, "B": 20})
    copies = tmp_path / "copies"
    for number in range(20):
        write_image(copies / f"{number}.png", np.clip(noise(number, 20, 20), 0, 255).astype(np.uint8))
        write_image(copies / f"other{number}.png", np.clip(3 * noise(99 + number, 20, 20), 0, 255).astype(np.uint8))
    (copies / "SIMULATED.txt").write_text("x")
    record = prepare(configure(unlabelled_source="copies"), root, tmp_path / "twins", copies)
    held_out = record.parts["val"].per_class[0] + record.parts["test"].per_class[0]
    assert record.warnings[0] == "unlabelled_source: its chips are simulated"
    assert record.warnings[1].startswith(f"{held_out} chips of unlabelled_source are in val or test, too: unl")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (None, "gone: does not exist. Correct prepare.unlabelled_source"),
        ({}, "is empty. Put chips there, or correct prepare.unlabelled_source"),
        (
            {"notes.txt": b"x"},
            "prepare.unlabelled_source: u holds no chips that can be used, such as unlabelled_",
        ),
        ({"x.png": b"x"}, "x.png: is not an image that can be read"),
    ],
)
def test_a_second_source_without_chips_is_refused(tree, tmp_path, files, words):
    root, gone = tree({"A": 20, "B": 20}), tmp_path / "gone"
    if files is not None:
        gone.mkdir()
    for name, content in (files or {}).items():
        (gone / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        prepare(configure(unlabelled_source="u"), root, tmp_path / "out", gone)
    assert not (tmp_path / "out").exists()
    if files is not None:
        assert words.split("(")[0] in inspect(root, configure(unlabelled_source="u"), gone).problems[0]


def test_what_is_not_kept_needs_no_source():
    with pytest.raises(InputError, match="keep_unlabelled=false leaves nothing of unlabelled_source"):
        parse(PrepareConfig, {"unlabelled_source": "x", "keep_unlabelled": False})
