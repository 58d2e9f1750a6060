"""The one walk over a source: what tools left behind is no data, for any reader."""

import shutil

import pytest
from chip_sources import PRODUCT, configure, fleet, product_files, write_fusar, write_zip

from sarslim.chips import stream
from sarslim.chips.container import Folder, Zip
from sarslim.chips.inspect import fingerprint, inspect
from sarslim.chips.prepare import prepare
from sarslim.errors import InputError
from sarslim.records import Preprocessing, Scaling

FOLDERS = (
    ".ipynb_checkpoints", ".Trash-1000", "@eaDir", ".thumbnails", "lost+found", "__MACOSX", ".git", ".svn", "#recycle",
    "@Recycle", "$RECYCLE.BIN", "System Volume Information", ".AppleDouble", ".dvc", ".cache", "__pycache__",
    "#snapshot", "~snapshot", "found.000", ".Spotlight-V100", "wandb", "@tmp", "LOST.DIR",
)  # fmt: skip
FILES = (
    "._0_000.png",
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    ".~lock.0_000.png#",
    "~$0_000.png",
    ".nfs0001",
    "a.png~",
)
HOW = Preprocessing(
    channels=("amplitude",), image_size=16, dtype="uint8", scaling=(Scaling(kind="linear", low=0, high=255),),
    values="uint8", polarisation_as="samples", labels="visual", merge={},
)  # fmt: skip


def litter(root, *places):
    """Leaves a copy of a chip in a folder of every tool, and files of tools, in every place; their number."""
    chip = next(root.rglob("0_000.*"))
    for place in places:
        for name in FOLDERS:
            (root / place / name / "deep").mkdir(parents=True)
            shutil.copy(chip, root / place / name / "deep" / f"copy{chip.suffix}")
            shutil.copy(chip, root / place / name / f"copy{chip.suffix}")
        for name in FILES:
            shutil.copy(chip, root / place / name)
    return len(places) * (len(FOLDERS) + len(FILES))


@pytest.mark.parametrize("splits", [False, True], ids=["drawn", "given"])
def test_what_tools_left_is_no_data_and_is_counted(tree, tmp_path, splits, capsys):
    counts = {"A": 20, "B": 20}
    root = tree(
        {f"{split}/{name}": n for split in ("TRAIN", "TEST") for name, n in counts.items()} if splits else counts
    )
    before, digest = fingerprint(root), prepare(configure(), root, tmp_path / "clean").digest
    clean = inspect(root, configure())
    count = litter(root, "", "TRAIN/A" if splits else "A", "TEST" if splits else "B")
    found = inspect(root, configure())
    assert found == clean.model_copy(update={"skipped": found.skipped})
    assert set(found.classes) == {"A", "B"}
    assert len(found.skipped) == count
    reasons = {row.name: row.reason for row in found.skipped}
    assert reasons["@eaDir"] == "left there by a tool"
    assert reasons[".ipynb_checkpoints"] == "hidden, as tools leave it"
    assert fingerprint(root) == before
    record = prepare(configure(), root, tmp_path / "out")
    assert record.digest == digest
    assert len(record.skipped) == count
    assert not any("@eaDir" in name for name in record.sources_sha256)
    names = [each.name for each in stream.unlabelled([root], HOW)]
    assert len(names) == len(set(names)) == found.chips
    assert f"{count} files and folders were passed over: " in capsys.readouterr().out


def test_a_folder_of_nothing_but_litter_is_empty(tree, tmp_path):
    root = tree({"A": 1})
    litter(root, "")
    shutil.rmtree(root / "A")
    with pytest.raises(
        InputError, match="is empty but for left there by a tool \(18\), hidden, as tools leave it \(13\)"
    ):
        inspect(root, configure())
    with pytest.raises(InputError, match="holds no chips"):
        list(stream.unlabelled([root], HOW))


def test_litter_in_products_and_in_zips(tmp_path):
    files = product_files(PRODUCT, fleet(24))
    write_zip(tmp_path / "clean" / f"{PRODUCT}.zip", files)
    chip = next(name for name in files if name.startswith("Patch_Uint8"))
    folder, _, name = chip.rpartition("/")
    left = {
        f"__MACOSX/{folder}/._{name}": b"apple", f"{folder}/._{name}": b"apple", f"{folder}/.DS_Store": b"x",
        f"{folder}/@eaDir/{name}": b"x", ".ipynb_checkpoints/Ship.xml": b"x", f"{folder}/Thumbs.db": b"x",
    }  # fmt: skip
    write_zip(tmp_path / "dirty" / f"{PRODUCT}.zip", files | left)
    clean, dirty = (inspect(tmp_path / name, configure()) for name in ("clean", "dirty"))
    assert dirty == clean.model_copy(update={"skipped": dirty.skipped})
    assert len(dirty.skipped) - len(clean.skipped) == len(left)
    assert sum(row.reason == "left there by a tool" for row in dirty.skipped) == 3
    members = Zip(tmp_path / "dirty" / f"{PRODUCT}.zip", "zip").members
    assert set(members) == set(files)
    shutil.unpack_archive(tmp_path / "dirty" / f"{PRODUCT}.zip", tmp_path / "unpacked" / PRODUCT)
    assert inspect(tmp_path / "unpacked", configure()).classes == clean.classes
    assert len(list(stream.unlabelled([tmp_path / "dirty"], HOW.model_copy(update={"channels": ("VV/VH",)})))) == 48


def test_litter_in_fusar(tmp_path):
    rows = [(f"Ship_C01S01N{n:04d}", str(413000000 + n), "Cargo\\Bulk") for n in range(4)]
    root = write_fusar(tmp_path / "fusar", rows)
    name = f"{rows[0][0]}.tiff"
    for place in ("Cargo/Bulk/@eaDir", ".Trash-1000"):
        (root / place).mkdir()
        shutil.copy(root / "Cargo/Bulk" / name, root / place / name)
    found = inspect(root, configure())
    assert (found.format, found.chips) == ("fusar", 4)
    reasons = {row.name: row.reason for row in found.skipped}
    assert reasons["Cargo/Bulk/@eaDir"] == "left there by a tool"
    assert reasons[".Trash-1000"] == "hidden, as tools leave it"


def test_members_are_in_the_order_of_their_folders(tree):
    root = tree({"A": 2, "A-b": 1, "A/x": 1})
    assert Folder(root).members == ["A/0_000.png", "A/0_001.png", "A/x/2_000.png", "A-b/1_000.png"]


def test_the_source_itself_may_have_any_name(tree, tmp_path):
    root = tree({"A": 20, "B": 20}).rename(tmp_path / ".cache")
    assert inspect(root, configure()).chips == 40
    assert len(list(stream.unlabelled([root / "A"], HOW))) == 20
