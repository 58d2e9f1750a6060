"""What data inspect says."""

import shutil

from chip_sources import PRODUCT, SINGLE, configure, fleet, product_files, write_zip

from sarslim.chips.inspect import fingerprint, inspect


def test_products(tmp_path):
    write_zip(tmp_path / f"{PRODUCT}.zip", product_files(PRODUCT, fleet(24)))
    write_zip(tmp_path / f"{SINGLE}.zip", product_files(SINGLE, fleet(6)))
    found = inspect(tmp_path, configure())
    assert (found.format, found.chips, found.classes) == ("opensarship", 30, {"Cargo": 15, "Tanker": 15})
    assert (found.polarisations, found.ships, found.scenes) == ({"VH": 24, "VV": 30}, 24, 2)
    assert found.sizes_px == (13, 15.0, 17)
    assert sum(found.parts.values()) == 54
    assert found.problems == ()
    assert found.warnings == ("class Cargo has 15 chips only", "class Tanker has 15 chips only")


def test_problems_are_listed_and_not_raised(tmp_path):
    write_zip(tmp_path / f"{PRODUCT}.zip", product_files(PRODUCT, fleet(24)))
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04")
    found = inspect(tmp_path, configure(classes=["Cargo", "Tug"]))
    assert found.chips == 24
    assert [problem.split(":")[0] for problem in found.problems] == ["broken.zip", "prepare.classes"]
    assert found.parts == {}


def test_given_splits_and_unlabelled_chips(tree):
    found = inspect(tree({"train/A": 20, "train/B": 20, "test/A": 5, "test/B": 5, "unlabelled": 4}), configure())
    assert (found.given_splits, found.unlabelled) == ({"test": 10, "train": 40}, 4)
    assert found.parts == {"test": 10, "train": 34, "unlabelled": 4, "val": 6}


def test_fingerprint_follows_names_and_content_and_not_the_place(tree, tmp_path):
    root = tree({"A": 2, "B": 2})
    first = fingerprint(root)
    assert len(first) == 64
    assert fingerprint(shutil.copytree(root, tmp_path / "copy")) == first
    chip = next((root / "A").iterdir())
    chip.rename(chip.with_name("renamed.png"))
    renamed = fingerprint(root)
    data = bytearray(chip.with_name("renamed.png").read_bytes())
    data[-1] ^= 1
    chip.with_name("renamed.png").write_bytes(data)
    assert len({first, renamed, fingerprint(root)}) == 3
    assert fingerprint(chip.with_name("renamed.png")) != fingerprint(root)
