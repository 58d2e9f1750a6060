"""The whole prepare stage on small sources: numbers of the record, digests, warnings, bad input."""

import csv
import hashlib
import shutil

import numpy as np
import pytest
from chip_sources import configure, noise, write_image

from sarslim.chips import stream
from sarslim.chips.dataset import Dataset
from sarslim.chips.inspect import inspect
from sarslim.chips.prepare import prepare
from sarslim.errors import InputError
from sarslim.records import Preprocessing


def test_tree_without_splits(tree, tmp_path, capsys):
    root = tree({"Cargo": 40, "Tanker": 20})
    record = prepare(configure(source="s3://raw/tree"), root, tmp_path / "out")
    assert (record.format, record.simulated, record.source) == ("folder", False, "s3://raw/tree")
    assert {name: part.per_class for name, part in record.parts.items()} == {
        "train": (26, 13),
        "val": (4, 2),
        "test": (10, 5),
    }
    assert (record.chips_read, record.skipped, record.warnings) == (60, (), ())
    assert set(record.sources_sha256) == {"Cargo", "Tanker"}
    out = capsys.readouterr().out
    assert "prepare 60/60" in out


def test_stored_values_statistics_and_table_agree(tree, tmp_path):
    root = tree({"Cargo": 40, "Tanker": 20})
    record = prepare(configure(scaling="linear"), root, tmp_path / "out")
    dataset = Dataset.open(tmp_path / "out")
    train = np.asarray(dataset.part("train").images, float)
    assert record.mean == pytest.approx([train.mean()])
    assert record.std == pytest.approx([train.std()])
    with (tmp_path / "out" / "chips.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["chip", "class", "source", "scene", "ship", "polarisation", "split", "group", "number"]
    low, high = record.scaling[0].low, record.scaling[0].high
    assert 0 <= low < 5
    for part in ("train", "val", "test"):
        chosen = [row for row in rows if row["split"] == part]
        images, labels = dataset.part(part).images, dataset.part(part).labels
        for row, image, label in zip(chosen, images, labels, strict=True):
            seed = 1000 * label + int(row["chip"][-7:-4])
            pixels = np.clip(noise(seed, 20, 20), 0, 255).astype(np.uint8)[2:18, 2:18].astype(float)
            expected = np.clip(255 * (pixels - low) / (high - low), 0, 255)
            np.testing.assert_allclose(image[0], expected, atol=0.51)
            assert row["class"] == record.classes[label]


def test_scaling_is_fitted_on_training_chips_only(tree, tmp_path):
    root = tree({"TRAIN/A": 20, "TRAIN/B": 20, "TEST/A": 5, "TEST/B": 5})
    first = prepare(configure(), root, tmp_path / "first")
    for path in (root / "TEST").rglob("*.png"):
        write_image(path, np.full((20, 20), 255, np.uint8))
    second = prepare(configure(), root, tmp_path / "second")
    assert (second.scaling, second.mean, second.std) == (first.scaling, first.mean, first.std)
    assert second.digest != first.digest


def test_digest_follows_the_content_and_not_the_place(tree, tmp_path):
    root = tree({"A": 20, "B": 20})
    first = prepare(configure(), root, tmp_path / "first")
    moved = shutil.copytree(root, tmp_path / "elsewhere" / "moved")
    assert prepare(configure(source="x"), moved, tmp_path / "second").digest == first.digest
    assert prepare(configure(merge={"A": "C"}), root, tmp_path / "third").digest != first.digest
    assert prepare(configure(scaling="log"), root, tmp_path / "fourth").digest != first.digest
    files = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in (tmp_path / "first").glob("*.npy")}
    again = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in (tmp_path / "second").glob("*.npy")}
    assert files == again


@pytest.mark.parametrize("size", [16, 24])
def test_float16_and_padding(tree, tmp_path, size):
    root = tree({"A": 20, "B": 20})
    prepare(configure(dtype="float16", image_size=size), root, tmp_path / "out")
    images = Dataset.open(tmp_path / "out").part("train").images
    assert (images.dtype, images.shape[1:]) == (np.float16, (1, size, size))
    assert float(images.max()) == 255


def test_unlabelled_chips_become_a_part_of_their_own(tree, tmp_path):
    root = tree({"A": 20, "B": 20, "unlabelled": 7})
    record = prepare(configure(), root, tmp_path / "out")
    assert record.parts["unlabelled"].chips == 7
    assert record.parts["unlabelled"].per_class == (0, 0)
    part = Dataset.open(tmp_path / "out").part("unlabelled")
    assert (len(part.images), part.labels) == (7, None)
    assert not (tmp_path / "out" / "unlabelled_labels.npy").exists()


def test_warnings_name_duplicates_tiny_classes_and_shared_identities(tree, tmp_path):
    root = tree({"TRAIN/A/sn1": 30, "TEST/A/sn1": 6, "TRAIN/B": 30, "TEST/C": 6})
    shutil.copy(root / "TRAIN/A/sn1/2_000.png", root / "TEST/A/sn1/copy.png")
    warnings = prepare(configure(), root, tmp_path / "out").warnings
    assert warnings == (
        "1 chips are in more than one part with the same content: TEST/A/sn1/copy.png = TRAIN/A/sn1/2_000.png",
        "1 of 1 identities are in more than one part: A/sn1",
        "class B has no chip in test",
        "class C has 6 chips only",
        "class C has no chip in train and val",
    )


def test_output_may_be_an_empty_directory_only(tree, tmp_path):
    root = tree({"A": 20, "B": 20})
    output = tmp_path / "out"
    output.mkdir()
    prepare(configure(), root, output)
    with pytest.raises(InputError, match="exists already"):
        prepare(configure(), root, output)


@pytest.mark.parametrize(
    ("counts", "values", "message"),
    [
        (None, {}, "missing: does not exist"),
        ({}, {}, "is empty"),
        ({"A": 20}, {}, "recognition needs two classes or more"),
        ({"A": 20, "B": 1}, {}, "recognition needs two classes or more"),
        ({"A": 20, "B": 20, "C": 1}, {"classes": ["A", "C"]}, "class C has 1 chip, fewer than"),
        ({"A": 20, "B": 20}, {"classes": ["A", "X"]}, "the source has no 'X'"),
        ({"TRAIN/A": 20, "TRAIN/B": 20}, {}, "has train but no test part"),
        ({"A": 2, "B": 2}, {}, "too little data for a val part"),
        ({"A": 20, "B": 20}, {"format": "simulator"}, "simulator takes no source"),
        ({"A": 20, "B": 20}, {"format": "opensarship"}, "holds no chips"),
    ],
)
def test_bad_sources_are_refused_and_leave_nothing(tree, tmp_path, counts, values, message):
    root = tmp_path / "missing" if counts is None else tree(counts)
    root.mkdir(exist_ok=True) if counts == {} else None
    with pytest.raises(InputError, match=message) as caught:
        prepare(configure(**values), root, tmp_path / "result" / "out")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "result" / "out").exists()
    assert not list(tmp_path.glob("result/.out*"))


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    (tmp_path / "chips.tar").write_bytes(b"x")
    with pytest.raises(InputError, match="is a file, and folder chips are read from a folder"):
        prepare(configure(), tmp_path / "chips.tar", tmp_path / "out")


def test_nan_chip_in_a_tree_is_refused_by_name(tree, tmp_path):
    root = tree({"A": 20, "B": 20})
    write_image(root / "B" / "bad.tif", np.full((20, 20), np.nan, np.float32))
    with pytest.raises(InputError, match="B/bad.tif: chip B/bad.tif has 400 of 400 pixels that are not finite"):
        prepare(configure(), root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_many_problems_are_told_together(tree, tmp_path):
    root = tree({"A": 20, "B": 20})
    for name in ("x", "y", "z"):
        (root / "A" / f"{name}.tif").write_bytes(b"no")
    with pytest.raises(InputError, match="A/x.tif.*A/y.tif.*A/z.tif"):
        prepare(configure(), root, tmp_path / "out")


def test_chips_beyond_the_label_fraction_become_unlabelled_or_are_left_out(tree, tmp_path):
    root = tree({"Cargo": 80, "Tanker": 40})
    whole = prepare(configure(), root, tmp_path / "whole")
    kept = prepare(configure(label_fraction=0.25), root, tmp_path / "kept")
    assert kept.parts["test"] == whole.parts["test"]
    assert (kept.parts["train"].per_class, kept.parts["val"].per_class) == ((13, 7), (2, 1))
    assert kept.parts["unlabelled"].chips == whole.parts["train"].chips + whole.parts["val"].chips - 23
    assert kept.parts["unlabelled"].per_class == (0, 0)
    assert Dataset.open(tmp_path / "kept").part("unlabelled").labels is None
    assert not (tmp_path / "kept" / "unlabelled_labels.npy").exists()
    dropped = prepare(configure(label_fraction=0.25, keep_unlabelled=False), root, tmp_path / "dropped")
    assert "unlabelled" not in dropped.parts
    assert {skipped.reason for skipped in dropped.skipped} == {"beyond label_fraction=0.25"}
    assert len(dropped.skipped) == kept.parts["unlabelled"].chips
    assert (dropped.scaling, dropped.mean) == (kept.scaling, kept.mean)


def contradict(root, count):
    """Copies chips of Cargo into Tanker."""
    for number in range(count):
        shutil.copy(root / f"Cargo/0_{number:03d}.png", root / f"Tanker/copy_{number:03d}.png")
    return root


def test_a_chip_under_two_classes_is_named_and_counted(tree, tmp_path):
    root = contradict(tree({"Cargo": 60, "Tanker": 60}), 2)
    record = prepare(configure(group_by="chip"), root, tmp_path / "out")
    (said,) = [text for text in record.warnings if "two classes" in text]
    assert said == (
        "2 chips (1.7 %) stand under two classes: Cargo/0_000.png (Cargo) = Tanker/copy_000.png (Tanker); "
        "Cargo/0_001.png (Cargo) = Tanker/copy_001.png (Tanker); prepare.contradictions=leave_out does without them"
    )
    assert sum(part.chips for part in record.parts.values()) == 122


def test_contradicting_chips_are_left_out_on_request(tree, tmp_path):
    clean = tree({"Cargo": 60, "Tanker": 60})
    for number in range(5):
        (clean / f"Cargo/0_{number:03d}.png").rename(tmp_path / f"{number}.png")
    expected = prepare(configure(), clean, tmp_path / "clean")
    for number in range(5):
        (tmp_path / f"{number}.png").rename(clean / f"Cargo/0_{number:03d}.png")
    root = contradict(clean, 5)
    record = prepare(configure(contradictions="leave_out"), root, tmp_path / "out")
    assert record.digest == expected.digest
    reasons = {row.name: row.reason for row in record.skipped}
    assert len(reasons) == 10
    assert set(reasons.values()) == {"stands under another class, too"}
    assert "Cargo/0_000.png" in reasons
    assert "Tanker/copy_004.png" in reasons
    assert not any("two classes" in text for text in record.warnings)


def test_more_than_a_few_contradictions_are_refused(tree, tmp_path):
    root = contradict(tree({"Cargo": 60, "Tanker": 60, "Tug": 60}), 6)
    words = (
        r"6 chips \(3.3 %\) stand under two classes: Cargo/0_000.png \(Cargo\) = Tanker/copy_000.png \(Tanker\); .* "
        r"Correct their classes, or set prepare.contradictions to leave_out"
    )
    with pytest.raises(InputError, match=words):
        prepare(configure(), root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    merged = prepare(configure(merge={"Tanker": "Ship", "Cargo": "Ship"}), root, tmp_path / "merged")
    assert not any("two classes" in text for text in merged.warnings)


@pytest.mark.parametrize(("scaling", "bands"), [("percentile", 1), ("chip_log", 1), ("chip", 2)])
def test_at_work_chips_are_multilooked_and_scaled_as_in_training(tmp_path, scaling, bands):
    root = tmp_path / "tree"
    for number in range(48):
        phase = np.exp(1j * noise(number, bands, 70, 83))
        pixels = noise(number, bands, 70, 83) * phase * (1 + 50 * (number % 3 == 0))
        write_image(root / "AB"[number % 2] / f"{number:02d}.tif", pixels.astype(np.complex64).squeeze())
    options = {"multilook": 4, "scaling": scaling, "polarisation_as": "channels" if bands > 1 else "samples"}
    record = prepare(configure(**options), root, tmp_path / "out")
    assert (record.multilook, record.image_size, record.typical.sides_px) == (4, 16, (70, 83))
    assert {rule.kind for rule in record.scaling} == {scaling}
    how = Preprocessing(
        channels=record.channels, image_size=16, multilook=record.multilook, dtype="uint8", scaling=record.scaling,
        values="uint8", polarisation_as=options["polarisation_as"], labels="visual", merge={},
    )  # fmt: skip
    how = Preprocessing.model_validate_json(how.model_dump_json())
    data = Dataset.open(tmp_path / "out")
    test = data.part("test").images
    files = [root / file for file in data.files("test")]
    found = list(stream.unlabelled(files, how))
    np.testing.assert_array_equal([chip.image for chip in found], test)
    assert {chip.sides for chip in found} == {(70, 83)}
    if scaling == "percentile":
        assert test.mean(axis=(1, 2, 3)).max() > 10 * test.mean(axis=(1, 2, 3)).min()
    else:  # gains are gone
        means = test.mean(axis=(1, 2, 3))
        assert means.max() < 1.2 * means.min()
    with pytest.raises(InputError, match="was prepared with multilook 4, the network's chips with 2"):
        list(stream.unlabelled([tmp_path / "out"], how.model_copy(update={"multilook": 2})))


def test_chips_without_a_whole_block_are_refused_before_any_pixel_is_read(tree, tmp_path):
    root = tree({"A": 20, "B": 20})
    with pytest.raises(
        InputError, match=r"A/0_000.png: chip A/0_000.png of 20 x 20 pixels is smaller .* and so are 39"
    ):
        prepare(configure(multilook=21), root, tmp_path / "out")
    assert (
        "smaller than a block of multilook=21, and so are 39 more" in inspect(root, configure(multilook=21)).problems[0]
    )
    record = prepare(configure(multilook=3), root, tmp_path / "out")
    said = "40 of 40 chips are less than half of image_size=16 after multilook=3: most of what is stored of them is "
    said += "padding"
    assert record.warnings == (said,)
    assert inspect(root, configure(multilook=3)).warnings == (said,)


def test_the_simulator_makes_chips_for_the_multilook(tmp_path):
    record = prepare(configure(multilook=3, simulator={"chips": 40, "classes": 2}), None, tmp_path / "out")
    assert record.typical.sides_px == (48, 48)
    assert Dataset.open(tmp_path / "out").part("train").images.shape[1:] == (1, 16, 16)
