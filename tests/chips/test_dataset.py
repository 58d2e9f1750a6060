"""The dataset artifact: opened as written, refused when anything about it is wrong."""

import json
import shutil

import numpy as np
import pytest
from chip_sources import PRODUCT, configure, fleet, product_files, write_tree, write_zip

from sarslim.chips.dataset import Dataset, whole_directory
from sarslim.chips.prepare import prepare
from sarslim.errors import InputError, ServiceError


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("dataset") / "out"
    record = prepare(configure(simulator={"chips": 120, "classes": 3}), None, path)
    return path, record


def test_opens_as_written_and_memory_mapped(written):
    path, record = written
    dataset = Dataset.open(path)
    assert dataset.record == record
    assert [dataset.has(name) for name in ("train", "val", "test", "unlabelled")] == [True, True, True, False]
    for name, count in record.parts.items():
        part = dataset.part(name)
        assert isinstance(part.images, np.memmap)
        assert (part.images.shape, part.images.dtype) == ((count.chips, 1, 16, 16), np.uint8)
        assert part.labels.dtype == np.int64
        assert tuple(np.bincount(part.labels, minlength=3)) == count.per_class
    assert sorted(file.name for file in path.iterdir()) == [
        "chips.csv", "dataset.json", "test_images.npy", "test_labels.npy", "train_images.npy", "train_labels.npy",
        "val_images.npy", "val_labels.npy",
    ]  # fmt: skip


def test_chips_have_the_names_of_their_files_in_the_order_of_the_arrays(tmp_path, written):
    source = write_tree(tmp_path / "raw", {"a": 12, "b": 12})
    prepare(configure(source=str(source)), source, tmp_path / "out")
    dataset = Dataset.open(tmp_path / "out")
    names = [dataset.files(part) for part in ("train", "val", "test")]
    assert sorted(name for part in names for name in part) == sorted(
        file.relative_to(source).as_posix() for file in source.rglob("*.png")
    )
    for part, files in zip(("train", "val", "test"), names, strict=True):
        labels = dataset.part(part).labels
        assert [file.split("/")[0] for file in files] == [dataset.record.classes[label] for label in labels]
    simulated = Dataset.open(written[0]).files("test")
    assert len(set(simulated)) == len(simulated)
    assert simulated[0].startswith("sim-")


def test_polarisations_of_a_chip_are_told_apart(tmp_path):
    source = write_zip(tmp_path / "raw" / f"{PRODUCT}.zip", product_files(PRODUCT, fleet(16)))
    prepare(configure(source=str(source.parent), format="opensarship"), source.parent, tmp_path / "out")
    files = Dataset.open(tmp_path / "out").files("test")
    assert len(set(files)) == len(files) > 0
    assert {file.rsplit(" ", 1)[1] for file in files} == {"VV", "VH"}


@pytest.mark.parametrize(
    ("table", "message"), [(None, "is not the table"), ("chip,class\n", "lists 0 chips of the part test")]
)
def test_a_table_of_chips_that_does_not_fit_is_refused(written, tmp_path, table, message):
    path = tmp_path / "out"
    shutil.copytree(written[0], path)
    (path / "chips.csv").unlink() if table is None else (path / "chips.csv").write_text(table)
    with pytest.raises(InputError, match=message):
        Dataset.open(path).files("test")


def test_missing_part_is_named(written):
    with pytest.raises(InputError, match="dataset part unlabelled: is missing; .* keep_unlabelled=true"):
        Dataset.open(written[0]).part("unlabelled")


def edit(path, **changes):
    record = json.loads((path / "dataset.json").read_text())
    (path / "dataset.json").write_text(json.dumps(record | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: shutil.rmtree(path), "is not a dataset artifact"),
        (lambda path: (path / "dataset.json").write_text("{"), "is not the record of a dataset"),
        (lambda path: (path / "dataset.json").write_text('{"kind": "teacher"}'), "is not the record of a dataset"),
        (lambda path: edit(path, schema_version=2), "is a dataset of version 2"),
        (lambda path: edit(path, image_size=32), r"the record says uint8 \(\d+, 1, 32, 32\)"),
        (lambda path: (path / "val_images.npy").unlink(), "val_images.npy: is missing"),
        (lambda path: (path / "test_labels.npy").write_bytes(b"\x93NUMPY"), "test_labels.npy: is missing, cut short"),
        (lambda path: (path / "train_images.npy").open("r+b").truncate(5000), "train_images.npy: is missing, cut"),
        (
            lambda path: np.save(path / "val_labels.npy", np.array([object()]), allow_pickle=True),
            "val_labels.npy: is missing, cut short or not an array",
        ),
    ],
)
def test_wrong_truncated_and_foreign_directories_are_refused(written, tmp_path, damage, message):
    copy = shutil.copytree(written[0], tmp_path / "copy")
    damage(copy)
    with pytest.raises(InputError, match=message) as caught:
        Dataset.open(copy)
    assert caught.value.exit_code == 2


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    output = tmp_path / "out"
    with pytest.raises(UnicodeEncodeError), whole_directory(output) as folder:
        (folder / "half").write_text("written until \ud800", encoding="utf-8")
    assert list(tmp_path.iterdir()) == []
    output.mkdir()
    with whole_directory(output) as folder:
        (folder / "file").write_text("x")
        assert list(output.iterdir()) == []
    assert [path.name for path in output.iterdir()] == ["file"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(InputError, match="exists already"), whole_directory(output):
        pass


def test_what_the_file_system_refuses_is_a_failure_not_a_mistake(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ServiceError, match="cannot be written"), whole_directory(tmp_path / "file" / "out"):
        pass
