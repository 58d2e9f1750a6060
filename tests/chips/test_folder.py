"""Class-per-folder trees."""

import numpy as np
import pytest
from chip_sources import configure, noise, write_image

from sarslim.chips.folder import FolderReader
from sarslim.chips.prepare import prepare
from sarslim.errors import InputError


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("a.png", np.arange(300, dtype=np.uint8).reshape(15, 20)),
        ("a.png", np.arange(300, dtype=np.uint16).reshape(15, 20) * 100),
        ("a.tif", np.arange(300, dtype=np.uint8).reshape(15, 20)),
        ("a.tiff", np.arange(300, dtype=np.uint16).reshape(15, 20) * 100),
        ("a.tif", np.arange(300, dtype=np.float32).reshape(15, 20) / 7),
    ],
)
def test_reads_every_depth_exactly(tmp_path, name, pixels):
    write_image(tmp_path / "Cargo" / name, pixels)
    reader = FolderReader(tmp_path)
    (chip,) = reader.index().chips
    assert (chip.label, chip.height, chip.width, chip.bands) == ("Cargo", 15, 20, ("",))
    (loaded,) = reader.load([chip])
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, pixels[None].astype(np.float32))


def test_reads_jpeg_and_colour_as_luminance(tmp_path):
    grey = np.full((20, 20), 90, np.uint8)
    write_image(tmp_path / "A" / "grey.jpg", grey)
    write_image(tmp_path / "A" / "red.png", np.stack([grey, 0 * grey, 0 * grey], axis=-1))
    write_image(tmp_path / "A" / "red.tif", np.stack([grey, 0 * grey, 0 * grey], axis=-1))
    reader = FolderReader(tmp_path)
    loaded = [float(pixels.mean()) for pixels in reader.load(reader.index().chips)]
    assert loaded == pytest.approx([90, 0.299 * 90, 0.299 * 90], abs=0.5)


def test_bands_of_a_tiff_are_polarisations(tmp_path):
    pixels = noise(0, 2, 18, 20).astype(np.float32)
    for name in ("A/1.tif", "A/2.tif", "B/1.tif", "B/2.tif"):
        write_image(tmp_path / "tree" / name, pixels)
    reader = FolderReader(tmp_path / "tree")
    chip = reader.index().chips[0]
    assert chip.bands == ("1", "2")
    np.testing.assert_array_equal(next(reader.load([chip])), pixels)


def test_given_splits_identities_and_unlabelled(tree):
    root = tree({"TRAIN/BMP2/SN_1": 2, "Test/BMP2/SN_1": 1, "train/T62": 3, "unlabelled/x": 2, "val/T62": 1, "T72": 1})
    (root / "TRAIN" / "notes.txt").write_text("hello")
    index = FolderReader(root).index()
    found = {(chip.split, chip.label, chip.ship) for chip in index.chips}
    assert found == {
        ("train", "BMP2", "BMP2/SN_1"),
        ("test", "BMP2", "BMP2/SN_1"),
        ("train", "T62", ""),
        ("val", "T62", ""),
        ("", None, ""),
    }
    assert len(index.chips) == 9
    reasons = {skip.name.split("/")[0]: skip.reason for skip in index.skipped}
    assert reasons == {"T72": "beside the folders of the given split", "TRAIN": "not a PNG, JPEG or TIFF file"}


@pytest.mark.parametrize("name", ["broken.tif", "broken.png"])
def test_a_file_that_is_no_image_is_refused_by_name(tree, tmp_path, name):
    root = tree({"A": 8, "B": 8})
    (root / "A" / name).write_bytes(b"this is not an image at all")
    with pytest.raises(InputError, match=f"A/{name}: is not") as caught:
        prepare(configure(), root, tmp_path / "out")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_truncated_image_is_refused_by_name(tree, tmp_path):
    root = tree({"A": 8, "B": 8})
    path = root / "A" / "cut.png"
    write_image(path, np.clip(noise(1, 64, 64), 0, 255).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match="A/cut.png"):
        prepare(configure(), root, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [root]
