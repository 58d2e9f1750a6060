"""Splits given by the source: parts that do not speak of the same classes are refused, and the right name is told."""

import unicodedata

import pytest
from chip_sources import configure, write_tree
from test_container import HOW

from sarslim.chips import stream
from sarslim.chips.inspect import check_names, inspect, names
from sarslim.chips.prepare import prepare
from sarslim.config import RunConfig, parse
from sarslim.config.parameters import to_parameters
from sarslim.errors import InputError
from sarslim.stages.check import check
from sarslim.store.storage import S3Uri

NFC, NFD = (unicodedata.normalize(form, "Pêche") for form in ("NFC", "NFD"))

REFUSED = {
    "case": (
        {"TRAIN/Cargo": 20, "TRAIN/Tanker": 20, "TEST/cargo": 5, "TEST/TANKER": 5},
        ["train and test share no class", "only in train: Cargo, Tanker; only in test: TANKER, cargo",
         "did you mean Cargo for cargo (another case), Tanker for TANKER (another case)?",
         "set prepare.merge to {TANKER: Tanker, cargo: Cargo}"],
    ),
    "one of two": (
        {"TRAIN/Cargo": 20, "TRAIN/Tanker": 20, "TEST/cargo": 5, "TEST/Tanker": 5},
        ["train and test name classes differently", "only in train: Cargo; only in test: cargo",
         "did you mean Cargo for cargo (another case)?"],
    ),
    "normal form": (
        {f"TRAIN/{NFC}": 20, "TRAIN/B": 20, f"TEST/{NFD}": 5, "TEST/B": 5},
        [f"did you mean {NFC} for {NFD} (another Unicode normal form)?"],
    ),
    "space": (
        {"TRAIN/Bulk Carrier": 20, "TRAIN/B": 20, "TEST/Bulk Carrier ": 5, "TEST/B": 5},
        ["did you mean 'Bulk Carrier' for 'Bulk Carrier ' (other spaces)?"],
    ),
    "underscore": (
        {"TRAIN/Bulk Carrier": 20, "TRAIN/B": 20, "TEST/bulk_carrier": 5, "TEST/B": 5},
        ["did you mean 'Bulk Carrier' for bulk_carrier (another case and other spaces)?"],
    ),
    "validation": (
        {"TRAIN/A": 20, "TRAIN/B": 20, "TEST/A": 5, "TEST/B": 5, "VAL/a": 5, "VAL/b": 5},
        ["train and val share no class", "did you mean A for a (another case), B for b (another case)?"],
    ),
    "nothing in common": (
        {"TRAIN/A": 20, "TRAIN/B": 20, "TEST/C": 5, "TEST/D": 5},
        ["train and test share no class", "only in train: A, B; only in test: C, D"],
    ),
    "misspelt": (
        {"TRAIN/Cargo": 20, "TRAIN/Tanker": 20, "TEST/Cargos": 5, "TEST/Tankers": 5},
        ["did you mean Cargo for Cargos, Tanker for Tankers?"],
    ),
    "a level below the split": (
        {"TRAIN/17_DEG/BMP2": 20, "TRAIN/17_DEG/T72": 20, "TEST/15_DEG/BMP2": 5, "TEST/15_DEG/T72": 5},
        ["train and test share no class", "only in train: 17_DEG; only in test: 15_DEG",
         "the classes seem to be BMP2, T72, one level further down",
         "Take the level of 17_DEG and 15_DEG out of the tree"],
    ),
    "the same level in both": (
        {"TRAIN/chips/BMP2": 20, "TRAIN/chips/T72": 20, "TEST/chips/BMP2": 5, "TEST/chips/T72": 5},
        ["chips is the only class", "the classes seem to be BMP2, T72, one level further down",
         "Take the level of chips out of the tree"],
    ),
    "a level above": (
        {"mstar/TRAIN/BMP2": 20, "mstar/TRAIN/T72": 20, "mstar/TEST/BMP2": 5, "mstar/TEST/T72": 5},
        ["mstar/TEST and mstar/TRAIN are not at the top of the source", "Give the folder mstar as the source"],
    ),
    "a level above that differs": (
        {"17_DEG/TRAIN/BMP2": 20, "17_DEG/TRAIN/T72": 20, "15_DEG/TEST/BMP2": 5, "15_DEG/TEST/T72": 5},
        ["15_DEG/TEST and 17_DEG/TRAIN are not at the top of the source", "Put train and test at the top"],
    ),
    "the split below the classes": (
        {"Cargo/train": 20, "Cargo/test": 5, "Tanker/train": 20, "Tanker/test": 5},
        ["Cargo/test, Cargo/train and 2 more are not at the top of the source"],
    ),
    "a lone test folder": (
        {"Cargo": 20, "Tanker": 20, "test/Cargo": 5, "test/Tanker": 5},
        ["test is named like a part of a split, beside Cargo, Tanker, and there is no train folder",
         "Put all classes below train and test; rename test if it is a class"],
    ),
    "a flat test folder": ({"Cargo": 20, "Tanker": 20, "test": 5}, ["test is named like a part of a split"]),
    "a class of its own folders": (
        {"Cargo": 20, "Tanker": 20, "Training/ship 1": 5, "Training/ship 2": 5},
        ["Training is named like a part of a split, beside Cargo, Tanker, and there is no test folder"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_inspect_by_the_check_and_by_prepare(tmp_path, name):
    counts, words = REFUSED[name]
    root = write_tree(tmp_path / "tree", counts)
    try:
        found = inspect(root, configure())
        assert found.parts == {}
        inspected = " ".join(found.problems)
    except InputError as error:
        inspected = str(error)
    with pytest.raises(InputError) as prepared:
        prepare(configure(), root, tmp_path / "out")
    with pytest.raises(InputError) as checked:
        check_names(names(root), configure())
    for said in (inspected, str(prepared.value), str(checked.value)):
        for text in words:
            assert text in said


@pytest.mark.parametrize(
    ("counts", "values"),
    [
        ({"TRAIN/A": 20, "TRAIN/B": 20, "TRAIN/C": 20, "TEST/A": 5, "TEST/B": 5}, {}),
        ({"TRAIN/Cargo": 20, "TRAIN/T": 20, "TEST/cargo": 5, "TEST/T": 5}, {"merge": {"cargo": "Cargo"}}),
        ({"TRAIN/x": 9, "TRAIN/A": 20, "TRAIN/B": 20, "TEST/A": 5, "TEST/B": 5, "TEST/X": 5}, {"classes": ["A", "B"]}),
        ({"TRAIN/A/17": 9, "TRAIN/A/18": 9, "TRAIN/B/17": 9, "TRAIN/B/18": 9, "TEST/A/15": 5, "TEST/B/15": 5}, {}),
        ({"TRAIN/a": 20, "TRAIN/A": 20, "TEST/a": 5, "TEST/A": 5}, {}),
        ({"A": 20, "B": 20, "unlabelled/train": 5, "unlabelled/test": 5}, {}),
    ],
    ids=["fewer in test", "merged", "not asked for", "folders of targets", "two cases in both", "unlabelled"],
)
def test_accepted(tmp_path, counts, values):
    root = write_tree(tmp_path / "tree", counts)
    found = inspect(root, configure(**values))
    assert found.problems == ()
    assert {"train", "test", "val"} <= set(found.parts)
    check_names(names(root), configure(**values))


def test_evaluation_does_not_pass_over_a_class_written_otherwise(tmp_path):
    root = write_tree(tmp_path / "tree", {"cargo": 5, "Tanker": 5})
    with pytest.raises(InputError, match="did you mean 'Cargo' for 'cargo'?"):
        list(stream.labelled(root, HOW, ("Cargo", "Tanker")))
    assert (
        len(list(stream.labelled(root, HOW.model_copy(update={"merge": {"cargo": "Cargo"}}), ("Cargo", "Tanker"))))
        == 10
    )


def test_a_class_called_training_is_told(tmp_path):
    root = write_tree(tmp_path / "tree", {"Cargo": 20, "Tanker": 20, "Training": 20})
    found = inspect(root, configure())
    assert found.classes == {"Cargo": 20, "Tanker": 20, "Training": 20}
    assert found.warnings == ("Training is read as a class, not as a split: it lies beside Cargo, Tanker",)
    assert prepare(configure(), root, tmp_path / "out").warnings == found.warnings


def test_what_is_taken_for_a_split_is_told(tmp_path):
    counts = {"TRAIN/A": 20, "TRAIN/B": 20, "TEST/A": 5, "TEST/B": 5, "Training/A": 5, "Tug": 3}
    found = inspect(write_tree(tmp_path / "tree", counts), configure())
    assert found.given_splits == {"test": 10, "train": 45}
    assert "TRAIN and Training are both read as the train part" in found.warnings
    assert "Tug beside the folders of the given split is left out" in found.warnings


def test_the_same_folders_in_every_class_are_told(tmp_path):
    counts = {"17_DEG/BMP2": 20, "17_DEG/T72": 20, "15_DEG/BMP2": 20, "15_DEG/T72": 20}
    found = inspect(write_tree(tmp_path / "tree", counts), configure())
    words = "all classes (15_DEG, 17_DEG) hold the same folders (BMP2, T72): if these are the classes, take a level out"
    assert words in found.warnings
    counts = {f"{name}/{ship}": 10 for name in ("A", "B") for ship in (1, 2, 3)}
    assert not any("same folders" in text for text in inspect(write_tree(tmp_path / "b", counts), configure()).warnings)


def test_names_in_a_store_are_enough(store):
    for split, name in (("TRAIN", "Cargo"), ("TRAIN", "Tanker"), ("TEST", "cargo"), ("TEST", "tanker")):
        store.write(S3Uri.parse(f"s3://raw-chips/given/{split}/{name}/1.png"), b"x")
    with pytest.raises(InputError, match="did you mean Cargo for cargo"):
        check(to_parameters(parse(RunConfig, {"prepare": {"source": "s3://raw-chips/given"}})))


@pytest.mark.parametrize(
    "files", [["a.zip"], ["P/Patch_Uint8/a.tif"], ["meta.csv", "TRAIN/Cargo/a.tif", "TEST/cargo/a.tif"]]
)
def test_other_formats_have_no_given_split(files):
    check_names(files, configure())
