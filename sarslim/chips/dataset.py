"""The dataset artifact: a directory written at once or not at all, and opened without loading it."""

import csv
import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from sarslim.chips.container import said
from sarslim.errors import InputError, ServiceError
from sarslim.records import DatasetRecord

RECORD = "dataset.json"
CHIPS = "chips.csv"
PART = "_images.npy"
COLUMNS = ("chip", "class", "source", "scene", "ship", "polarisation", "split", "group", "number")
REPREPARE = "Run the prepare stage again"


@dataclass(frozen=True)
class Part:
    """Chips of one part, memory-mapped: images (N, C, H, W) uint8 or float16, labels (N,) int64 or None."""

    images: npt.NDArray
    labels: npt.NDArray[np.int64] | None


class Dataset:
    """An opened dataset artifact."""

    def __init__(self, path: Path, record: DatasetRecord, parts: dict[str, Part]) -> None:
        self.record = record
        self._path = path
        self._parts = parts

    @classmethod
    def open(cls, path: str | Path) -> "Dataset":
        """Opens the directory ``path`` in constant memory.

        Raises:
            InputError: not a dataset artifact, of another version, or files missing, cut short or of another shape.
        """
        path = Path(path)
        try:
            record = DatasetRecord.model_validate_json((path / RECORD).read_bytes())
        except OSError as error:
            raise InputError(str(path), f"is not a dataset artifact: {RECORD} cannot be read", REPREPARE) from error
        except ValidationError as error:
            raise InputError(
                str(path / RECORD), f"is not the record of a dataset ({error.error_count()} fields wrong)", REPREPARE
            ) from error
        if record.schema_version != 1:
            raise InputError(
                str(path), f"is a dataset of version {record.schema_version}, version 1 is understood", REPREPARE
            )
        return cls(path, record, {name: _open_part(path, name, record) for name in record.parts})

    def has(self, name: str) -> bool:
        """Whether there is a part ``name`` with chips in it."""
        return name in self._parts

    def part(self, name: str) -> Part:
        """The part ``name``: train, val, test or unlabelled.

        Raises:
            InputError: the dataset has no such part.
        """
        if name not in self._parts:
            remedy = "Prepare with keep_unlabelled=true" if name == "unlabelled" else REPREPARE
            raise InputError(
                f"dataset part {name}", f"is missing; the dataset has {', '.join(self._parts)}", remedy
            )  # fmt: skip
        return self._parts[name]

    def files(self, name: str) -> list[str]:
        """Where the chips of the part ``name`` are in the source, in the order of its arrays.

        A chip with several polarisations has one name for each; simulated chips are in no file and go by their id.

        Raises:
            InputError: ``chips.csv`` is missing or does not list the chips of the arrays.
        """
        table = self._path / CHIPS
        try:
            with table.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row.get("split") == name]
            names = [row["chip"] if self.record.simulated else row["source"] for row in rows]
            bands = [row["polarisation"] for row in rows]
        except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(str(table), "is not the table of the chips", REPREPARE) from error
        if len(names) != len(self.part(name).images):
            raise InputError(
                str(table), f"lists {len(names)} chips of the part {name}, the arrays hold others", REPREPARE
            )
        times = Counter(names)
        return [f"{each} {band}" if times[each] > 1 else each for each, band in zip(names, bands, strict=True)]

    def examples(self, most: int) -> dict[str, npt.NDArray]:
        """The first training chips of every class, at most ``most`` of each: arrays (n, C, H, W) by class.

        Under ``unlabelled`` are chips from the whole of that part, where the data set has one.
        """
        part = self.part("train")
        assert part.labels is not None
        rows = {name: np.flatnonzero(part.labels == index) for index, name in enumerate(self.record.classes)}
        examples = {name: np.asarray(part.images[found[:most]]) for name, found in rows.items()}
        if self.has("unlabelled"):
            images = self.part("unlabelled").images
            places = np.linspace(0, len(images) - 1, min(most, len(images))).astype(int)
            examples["unlabelled"] = np.asarray(images[places])
        return examples


class PartWriter:
    """Writes the images of one part one after another: the file is never held in memory, nor mapped."""

    def __init__(self, folder: Path, name: str, shape: tuple[int, int, int, int], dtype: str) -> None:
        self.labels: list[int] = []
        self.sha256 = hashlib.sha256()
        self._path = folder / f"{name}_labels.npy"
        self._file = (folder / f"{name}{PART}").open("wb")
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, image: npt.NDArray, label: int | None) -> None:
        """Adds one (C, H, W) image and its label."""
        data = image.tobytes()
        self._file.write(data)
        self.sha256.update(data)
        if label is not None:
            self.labels.append(label)

    def close(self) -> None:
        """Ends the image file and writes the labels, if there are any."""
        self._file.close()
        if self.labels:
            labels = np.array(self.labels, np.int64)
            np.save(self._path, labels)
            self.sha256.update(labels.tobytes())


def is_dataset(folder: Path) -> bool:
    """Whether a folder is a dataset artifact, whole or not; other tools also name files dataset.json."""
    if not (folder / RECORD).is_file():
        return False
    if any(folder.glob(f"*{PART}")):
        return True
    try:
        return "sarslim_version" in json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError, TypeError):
        return False


def write_csv(folder: Path, rows: Sequence[Sequence[str]]) -> None:
    """Writes chips.csv, one row per chip in the order of the arrays."""
    with (folder / CHIPS).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)


@contextmanager
def whole_directory(output: Path) -> Iterator[Path]:
    """A folder beside ``output`` that becomes ``output`` at the end, and disappears if anything goes wrong.

    Raises:
        InputError: ``output`` exists and is not an empty directory.
        ServiceError: the file system refused to write.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(str(output), "exists already", "Name a directory that does not exist or is empty")
    building: Path | None = None
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
        yield building
        building.chmod(0o755)
        building.replace(output)
    except OSError as error:
        raise ServiceError(str(output), f"cannot be written ({error})", "Check the disk and its permissions") from error
    finally:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)


@contextmanager
def whole_file(output: Path) -> Iterator[TextIO]:
    """A text file (UTF-8, ends of lines as written) that becomes ``output`` at the end, or leaves it as it was.

    What is no regular file, such as a pipe, is written to directly.

    Raises:
        InputError: ``output`` cannot be written there.
    """
    target = Path(os.path.realpath(output))
    building = target if target.exists() and not target.is_file() else target.with_name(f".{target.name}-{os.getpid()}")
    try:
        file = building.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise InputError(str(output), f"cannot be written ({error.strerror})", "Choose another file") from error
    try:
        with file:
            yield file
        if building != target:
            building.replace(target)
    finally:
        if building != target:
            building.unlink(missing_ok=True)


def _open_part(path: Path, name: str, record: DatasetRecord) -> Part:
    count = record.parts[name].chips
    shape = (count, len(record.channels), record.image_size, record.image_size)
    images = _open_array(path / f"{name}{PART}", shape, record.dtype)
    labels = None if name == "unlabelled" else _open_array(path / f"{name}_labels.npy", (count,), "int64")
    if labels is not None and count and not 0 <= labels.min() <= labels.max() < len(record.classes):
        problem = f"holds labels beyond the {len(record.classes)} classes of the record"
        raise InputError(str(path / f"{name}_labels.npy"), problem, REPREPARE)
    return Part(images, labels)


def _open_array(path: Path, shape: tuple[int, ...], dtype: str) -> npt.NDArray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # it raises whatever it comes across
        problem = f"is missing, cut short or not an array ({said(error)})"
        raise InputError(str(path), problem, REPREPARE) from error
    if not isinstance(array, np.ndarray):
        raise InputError(str(path), "is an archive of arrays", REPREPARE)
    if array.shape != shape or array.dtype != dtype:
        raise InputError(
            str(path), f"holds {array.dtype} {array.shape}, the record says {dtype} {shape}", REPREPARE
        )  # fmt: skip
    return array
