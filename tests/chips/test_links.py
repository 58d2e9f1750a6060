"""Links in a source: followed, every folder once, and loops, dead links and ways out of the source are told."""

import os
import shutil

import pytest
from chip_sources import PRODUCT, SINGLE, configure, fleet, product_files, write_folder, write_tree, write_zip
from test_container import HOW

from sarslim.chips import stream
from sarslim.chips.container import Folder
from sarslim.chips.digests import source_digests
from sarslim.chips.inspect import fingerprint, inspect
from sarslim.chips.prepare import prepare
from sarslim.errors import InputError

LOOP = "a link back to a folder that it lies in"
TWICE = "a folder that is read under another name"
NOTHING = "a link to nothing"


def predicted(path):
    return sorted(os.path.relpath(each.name, path) for each in stream.unlabelled([path], HOW))


def reasons(found):
    return {row.name: row.reason for row in found.skipped}


@pytest.mark.parametrize("linked", [("A",), ("A", "B")], ids=["one class", "all classes"])
def test_linked_class_folders_are_read_and_told(tmp_path, linked, capsys):
    plain = write_tree(tmp_path / "plain", {"A": 20, "B": 20})
    source = shutil.copytree(plain, tmp_path / "source")
    for name in linked:
        (source / name).rename(tmp_path / f"far-{name}")
        (source / name).symlink_to(tmp_path / f"far-{name}")
    clean, found = inspect(plain, configure()), inspect(source, configure())
    assert (found.classes, found.parts, found.skipped) == (clean.classes, clean.parts, ())
    ways = ", ".join(f"{name} -> {tmp_path / f'far-{name}'}" for name in linked)
    count = "1 link leads" if len(linked) == 1 else "2 links lead"
    assert f"{count} out of the source: {ways}" in found.warnings
    assert fingerprint(source) == fingerprint(plain)
    assert source_digests(source) == source_digests(plain)
    assert prepare(configure(), source, tmp_path / "out").digest == prepare(configure(), plain, tmp_path / "ref").digest
    assert predicted(source) == predicted(plain) == sorted(Folder(plain).members)
    assert f"note: {count} out of the source" in capsys.readouterr().out


def test_an_edit_behind_a_link_changes_the_fingerprint(tmp_path):
    far = write_tree(tmp_path / "far", {"A": 2})
    source = write_tree(tmp_path / "source", {"B": 2})
    (source / "A").symlink_to(far / "A")
    before, digests = fingerprint(source), source_digests(source)
    chip = far / "A" / "0_000.png"
    chip.write_bytes(chip.read_bytes() + b"\0")
    assert fingerprint(source) != before
    changed = {name for name, digest in source_digests(source).items() if digest != digests[name]}
    assert changed == {"A"}


def test_loops_are_walked_once_and_told(tmp_path):
    source = write_tree(tmp_path / "source", {"A": 20, "B": 20})
    (source / "A" / "here").symlink_to(".")
    (source / "A" / "up").symlink_to("..", target_is_directory=True)
    (source / "B" / "out").symlink_to(tmp_path)
    (source / "B" / "a").symlink_to("b")
    (source / "B" / "b").symlink_to("a")
    found = inspect(source, configure())
    assert found.classes == {"A": 20, "B": 20}
    assert reasons(found) == {"A/here": LOOP, "A/up": LOOP, "B/out": LOOP, "B/a": NOTHING, "B/b": NOTHING}
    assert found.warnings == ()
    assert len(predicted(source)) == len(set(predicted(source))) == 40
    # From within the loop, too.
    assert len(predicted(source / "A")) == 20


def test_a_folder_is_read_under_its_own_name_and_not_under_that_of_a_link(tmp_path):
    source = write_tree(tmp_path / "source", {"B": 20, "C": 20, ".store/D": 20})
    (source / "A").symlink_to("B")
    (source / "D").symlink_to(".store/D")
    (source / "E").symlink_to(".store/D")
    found = inspect(source, configure())
    assert found.classes == {"B": 20, "C": 20, "D": 20}
    assert reasons(found) == {"A": TWICE, "E": TWICE, ".store": "hidden, as tools leave it"}
    assert {name.split("/")[0] for name in predicted(source)} == {"B", "C", "D"}


def test_links_among_linked_folders(tmp_path):
    far = write_tree(tmp_path / "far", {"A/x": 20, "B": 20})
    (far / "A" / "back").symlink_to("..")
    (far / "B" / "same").symlink_to("../A")
    source = write_tree(tmp_path / "source", {"C": 20})
    (source / "A").symlink_to(far / "A")
    (source / "B").symlink_to(far / "B")
    found = inspect(source, configure())
    assert found.classes == {"A": 20, "B": 20, "C": 20}
    assert reasons(found) == {"A/back": LOOP, "B/same": TWICE}
    assert found.warnings[0].startswith("2 links lead out of the source: A -> ")
    source = tmp_path / "other"
    source.mkdir()
    (source / "A").symlink_to(far / "B")
    (source / "Z").symlink_to(far)
    firsts, seconds = ([f"{name}_{n:03d}.png" for n in range(20)] for name in ("A/1", "Z/A/x/0"))
    assert Folder(source).members == firsts + seconds
    assert reasons(Folder(source)) == {"A/same": TWICE, "Z/B": TWICE, "Z/A/back": LOOP}


def test_linked_files_are_read_and_dead_links_and_pipes_are_told(tmp_path):
    far = write_tree(tmp_path / "far", {"A": 20, "B": 20})
    source = tmp_path / "source"
    for member in Folder(far).members:
        (source / member).parent.mkdir(parents=True, exist_ok=True)
        (source / member).symlink_to(far / member)
    (source / "A" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (source / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(source / "A" / "pipe.png")
    found = inspect(source, configure())
    assert found.classes == {"A": 20, "B": 20}
    assert reasons(found) == {"A/gone.png": NOTHING, "gone": NOTHING, "A/pipe.png": "neither a file nor a folder"}
    assert found.warnings[0].startswith("40 links lead out of the source: A/0_000.png -> ")
    assert found.warnings[0].endswith(" and 37 more")
    assert len(predicted(source)) == 40


def test_nothing_but_dead_links_is_empty(tmp_path):
    (tmp_path / "source").mkdir()
    for name in ("A", "B"):
        (tmp_path / "source" / name).symlink_to(tmp_path / "nowhere" / name)
    with pytest.raises(InputError, match="is empty but for a link to nothing \(2\)"):
        inspect(tmp_path / "source", configure())


def test_a_linked_source_is_a_source_as_any_other(tmp_path):
    far = write_tree(tmp_path / "far", {"A": 20, "B": 20})
    (tmp_path / "source").symlink_to(far)
    assert inspect(tmp_path / "source", configure()) == inspect(far, configure())
    assert fingerprint(tmp_path / "source") == fingerprint(far)
    assert len(predicted(tmp_path / "source")) == 40


def test_linked_products_zips_and_tables(tmp_path):
    (tmp_path / "source").mkdir()
    write_folder(tmp_path / "far" / PRODUCT, product_files(PRODUCT, fleet(24)))
    write_zip(tmp_path / "zips" / f"{SINGLE}.zip", product_files(SINGLE, fleet(6)))
    (tmp_path / "source" / PRODUCT).symlink_to(tmp_path / "far" / PRODUCT)
    (tmp_path / "source" / f"{SINGLE}.zip").symlink_to(tmp_path / "zips" / f"{SINGLE}.zip")
    found = inspect(tmp_path / "source", configure())
    assert (found.format, found.chips) == ("opensarship", 30)
    assert found.warnings[0].startswith("2 links lead out of the source")
    how = HOW.model_copy(update={"channels": ("VV/VH",)})
    names = [each.name for each in stream.unlabelled([tmp_path / "source"], how)]
    assert len(names) == len(set(names)) == 54
