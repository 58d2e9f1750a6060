"""File names that are not UTF-8, as unpacked GBK zips leave them: they work, and are shown so that they can be kept."""

import csv
import json
import os
import shutil
import threading

import pytest
from chip_sources import (
    PRODUCT,
    SINGLE,
    configure,
    fleet,
    product_files,
    write_folder,
    write_fusar,
    write_tree,
    write_zip,
)
from test_container import HOW

from sarslim.chips import stream
from sarslim.chips.container import Folder, readable
from sarslim.chips.dataset import Dataset, whole_file
from sarslim.chips.digests import fingerprint, source_digests
from sarslim.chips.inspect import check_names, inspect, names
from sarslim.chips.prepare import prepare
from sarslim.config import PrepareConfig, parse
from sarslim.errors import InputError

SHIP = "货船".encode("gbk")
SHOWN = r"\xbb\xf5\xb4\xac"


def rename(path, name):
    """Gives a file or folder a name of bytes."""
    path = os.fsencode(path)
    target = os.path.join(os.path.dirname(path), name)
    os.rename(path, target)
    return os.fsdecode(target)


@pytest.fixture
def source(tmp_path):
    """A class, a target and a chip with names that are not UTF-8, and others of the usual kind."""
    root = write_tree(tmp_path / "tree", {"Cargo/s1": 10, "Cargo/s2": 10, "Tanker/s3": 10, "Tanker/s4": 10})
    rename(root / "Tanker" / "s3" / "2_000.png", SHIP + b".png")
    rename(root / "Cargo" / "s1", b"s" + SHIP)
    rename(root / "Cargo", SHIP)
    return root


def test_they_are_prepared_and_shown_with_the_bytes(source, tmp_path, capsys):
    found = inspect(source, configure())
    assert found.classes == {SHOWN: 20, "Tanker": 20}
    assert found.problems == ()
    assert found.warnings[0] == (
        rf"3 names are not UTF-8, their bytes are written as \x..: {SHOWN}, Tanker/s3/{SHOWN}.png, {SHOWN}/s{SHOWN}"
    )
    check_names(names(source), configure())
    assert len(fingerprint(source)) == 64
    record = prepare(configure(), source, tmp_path / "out")
    assert record.classes == ("Tanker", SHOWN)
    assert json.loads((tmp_path / "out" / "dataset.json").read_text("utf-8"))["classes"] == list(record.classes)
    with (tmp_path / "out" / "chips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    assert {row["chip"] for row in rows} == set(Folder(source).members)
    assert Dataset.open(tmp_path / "out").record == record
    found = [each.name for each in stream.unlabelled([source], HOW)]
    assert found == [f"{source}/{member}" for member in Folder(source).members]
    assert "3 names are not UTF-8" in capsys.readouterr().out
    assert all(name.encode() for name in found)


def test_an_edit_changes_the_fingerprint(source):
    before, digests = fingerprint(source), source_digests(source)
    path = Folder(source).path(f"{SHOWN}/s2/1_000.png")
    with open(path, "ab") as file:
        file.write(b"\0")
    assert fingerprint(source) != before
    assert {name for name, digest in source_digests(source).items() if digest != digests[name]} == {f"{SHOWN}/s2"}


def test_in_products_zips_tables_and_behind_links(tmp_path):
    write_folder(tmp_path / "products" / "deep" / PRODUCT, product_files(PRODUCT, fleet(24)))
    write_zip(tmp_path / "products" / f"{SINGLE}.zip", product_files(SINGLE, fleet(6)))
    rename(tmp_path / "products" / f"{SINGLE}.zip", SHIP + b".zip")
    rename(tmp_path / "products" / "deep", SHIP)
    (tmp_path / "source").mkdir()
    os.symlink(os.fsencode(tmp_path / "products"), os.fsencode(tmp_path / "source" / "a") + SHIP)
    found = inspect(tmp_path / "source", configure())
    assert found.chips == 30
    assert found.problems == ()
    how = HOW.model_copy(update={"channels": ("VV/VH",)})
    assert len(list(stream.unlabelled([tmp_path / "source"], how))) == 54
    root = write_fusar(tmp_path / "fusar", [(f"Ship_C01S01N000{n}", "413000001", "Cargo\\Bulk") for n in range(3)])
    rename(root / "Cargo" / "Bulk", SHIP)
    assert inspect(root, configure()).chips == 3


def test_a_path_that_is_given_may_be_such(tmp_path):
    root = write_tree(tmp_path / "tree", {"A": 2})
    path = rename(root / "A" / "0_000.png", SHIP + b".png")
    folder = rename(root / "A", SHIP)
    assert path not in os.listdir(folder)
    (name, _) = [each.name for each in stream.unlabelled([root.__class__(folder)], HOW)]
    assert name == f"{root}/{SHOWN}/0_001.png"
    assert readable(folder) == f"{root}/{SHOWN}"
    with pytest.raises(InputError, match="prepare.source.* has a name that is not UTF-8. Rename it, or make a link"):
        parse(PrepareConfig, {"source": folder}, where="prepare")
    assert parse(PrepareConfig, {"source": "/data/货船"}).source == "/data/货船"


def test_a_broken_one_is_named(source):
    with open(Folder(source).path(f"{SHOWN}/s2/1_000.png"), "wb") as file:
        file.write(b"no image")
    with pytest.raises(InputError) as caught:
        list(stream.unlabelled([source], HOW))
    assert caught.value.where == f"{source}/{SHOWN}/s2/1_000.png"
    assert inspect(source, configure()).problems[0].startswith(f"{SHOWN}/s2/1_000.png: is not an image")


def test_a_file_is_whole_or_as_it_was(tmp_path):
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "found.csv") as file:
        file.write(f"half {1 // 0}")
    assert list(tmp_path.iterdir()) == []
    with whole_file(tmp_path / "found.csv") as file:
        file.write("a\n货船\r\n")
        assert not (tmp_path / "found.csv").exists()
    assert (tmp_path / "found.csv").read_bytes() == "a\n货船\r\n".encode()
    (tmp_path / "link.csv").symlink_to("found.csv")
    with pytest.raises(UnicodeEncodeError), whole_file(tmp_path / "link.csv") as file:
        file.write("\udcb4")
    assert (tmp_path / "found.csv").read_bytes() == "a\n货船\r\n".encode()
    with whole_file(tmp_path / "link.csv") as file:
        file.write("new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "found.csv").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.csv", "link.csv"]
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "found.csv").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_pipe_is_written_to_as_it_is(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    said = []
    reader = threading.Thread(target=lambda: said.append((tmp_path / "pipe").read_text()))
    reader.start()
    with whole_file(tmp_path / "pipe") as file:
        file.write("a")
    reader.join(10)
    assert said == ["a"]
    with pytest.raises(InputError, match="cannot be written"), whole_file(tmp_path / "no" / "such" / "file.csv"):
        pass
    shutil.rmtree(tmp_path)
