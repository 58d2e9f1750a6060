"""What a teacher answered beforehand: written view by view in constant memory, opened memory-mapped, never unchecked.

Shape legend: N chips of a batch, K classes, C_s channels of stage s.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from sarslim.chips.dataset import whole_directory
from sarslim.errors import InputError
from sarslim.networks.inference import upload
from sarslim.progress import Progress
from sarslim.records import ANSWERS, AskRecord
from sarslim.training.views import Made, Views

ASK_AGAIN = "Run the ask stage again"
BATCH = 128  # views answered at a time

Ask = Callable[[Tensor], tuple[Tensor, list[Tensor]]]
"""Logits (N, K) of a teacher for images (N, C, H, W), and the pooled features (N, C_s) of every stage to keep."""


class Answer(NamedTuple):
    """Logits (N, K) and, where they were kept, the pooled features (N, C_s) of every stage, float32."""

    logits: Tensor
    pooled: list[Tensor]


class Shown(NamedTuple):
    """A batch of views as ``Views.make`` gives it, and the teacher's answer to it."""

    made: Made
    answer: Answer


class Answers:
    """The answers to some views of every training chip, and those views once more."""

    def __init__(self, record: AskRecord, arrays: dict[str, NDArray[np.float16]], views: Views) -> None:
        self.record = record
        self._arrays, self._views = arrays, views

    @classmethod
    def open(cls, path: Path, views: Views) -> "Answers":
        """Opens the directory ``path`` in constant memory.

        Args:
            views: makes the views that were answered.

        Raises:
            InputError: files missing, cut short, changed or of another shape.
        """
        record = read_record(path)
        arrays = {}
        for file, shape in _files(record).items():
            arrays[file] = _open_array(path / file, shape)
            with (path / file).open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != record.sha256.get(file):
                    raise InputError(str(path / file), f"is not the file that {ANSWERS} describes (SHA-256)", ASK_AGAIN)
        return cls(record, arrays, views)

    def show(self, chips: NDArray[np.int64], rng: np.random.Generator, device: torch.device) -> Shown:
        """One of its views of each of ``chips`` (N,), drawn by ``rng``, and the answers to them.

        Labelled chips are numbered from 0, unlabelled ones after them.
        """
        views = np.where(chips < self.record.chips, self.record.views, self.record.unlabelled_views)
        numbers = rng.integers(0, views)
        return Shown(self._views.make(chips, numbers, device), self.answer(chips, numbers, device))

    def answer(self, chips: NDArray[np.int64], numbers: NDArray[np.int64], device: torch.device) -> Answer:
        """The answers to view ``numbers`` (N,) of ``chips`` (N,)."""
        logits, features = (self._rows(kind, chips, numbers, device) for kind in ("logits", "features"))
        return Answer(logits, list(features.split(list(self.record.widths), dim=1)) if self.record.widths else [])

    def _rows(self, kind: str, chips: NDArray[np.int64], numbers: NDArray[np.int64], device: torch.device) -> Tensor:
        width = self.record.classes if kind == "logits" else sum(self.record.widths)
        rows = np.empty((len(chips), width), np.float16)
        labelled = chips < self.record.chips
        for part, members, first in (("train", labelled, 0), ("unlabelled", ~labelled, self.record.chips)):
            if width and members.any():
                rows[members] = self._arrays[f"{part}_{kind}.npy"][chips[members] - first, numbers[members]]
        return upload(torch.from_numpy(rows), device).float()


def views_shown(epochs: int, chips: int, unlabelled_chips: int) -> tuple[int, int]:
    """How often a distillation shows each labelled and each unlabelled chip: more views of it would not be seen.

    An epoch shows all labelled chips and at most as many unlabelled ones.
    """
    return epochs, math.ceil(epochs * min(1.0, chips / unlabelled_chips)) if unlabelled_chips else 0


def write(path: Path, record: AskRecord, views: Views, ask: Ask, device: torch.device, teacher: str) -> AskRecord:
    """Asks for every view of every chip, and writes the artifact, the whole of it or nothing.

    Args:
        path: the directory to make; it may exist, if it is empty.
        record: says which views; digests, size and time are filled in.
        views: makes them.
        ask: the teacher.
        teacher: names it in an error.

    Raises:
        InputError: the directory holds something already, or an answer is not finite in float16.
        ServiceError: the file system refused to write.
    """
    began, progress = time.monotonic(), Progress("ask", record.answers)
    with whole_directory(path) as folder:
        with ExitStack() as stack:
            files = {file: stack.enter_context(_Rows(folder / file, shape)) for file, shape in _files(record).items()}
            for part, chips, numbers in _every_view(record):
                logits, pooled = ask(views.make(chips, numbers, device).images)
                kinds = {"logits": logits} | ({"features": torch.cat(pooled, dim=1)} if record.widths else {})
                for kind, rows in kinds.items():
                    values = rows.half().cpu().numpy()
                    if not np.isfinite(values).all():
                        raise InputError(teacher, f"its {kind} are not finite in float16", "Train the teacher again")
                    files[f"{part}_{kind}.npy"].append(values)
                progress.step(count=len(chips))
        written = record.model_copy(
            update={
                "sha256": {file: rows.sha256.hexdigest() for file, rows in files.items()},
                "bytes": sum((folder / file).stat().st_size for file in files),
                "seconds": time.monotonic() - began,
            }
        )
        (folder / ANSWERS).write_text(written.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return written


def read_record(path: Path) -> AskRecord:
    """The content of ``answers.json`` alone.

    Raises:
        InputError: the file is missing or foreign.
    """
    try:
        record = AskRecord.model_validate_json((path / ANSWERS).read_bytes())
    except OSError as error:
        raise InputError(str(path), f"holds no answers: {ANSWERS} cannot be read", ASK_AGAIN) from error
    except ValidationError as error:
        problem = f"is not the record of a teacher's answers ({error.error_count()} fields wrong)"
        raise InputError(str(path / ANSWERS), problem, ASK_AGAIN) from error
    if record.schema_version != 1:
        raise InputError(str(path), f"is of version {record.schema_version}, version 1 is understood", ASK_AGAIN)
    return record


def digest(record: AskRecord) -> str:
    """SHA-256 of all that decides the answers and of the answers themselves."""
    return hashlib.sha256(record.model_dump_json(exclude={"seconds"}).encode()).hexdigest()


def _files(record: AskRecord) -> dict[str, tuple[int, ...]]:
    """The arrays of an artifact and their shapes."""
    parts = {"train": (record.chips, record.views), "unlabelled": (record.unlabelled_chips, record.unlabelled_views)}
    kinds = {"logits": record.classes, "features": sum(record.widths)}
    return {
        f"{part}_{kind}.npy": (*shape, width)
        for part, shape in parts.items()
        for kind, width in kinds.items()
        if all((*shape, width))
    }


def _every_view(record: AskRecord) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.int64]]]:
    """Batches of chips and numbers of views in the order of the arrays, each of one part."""
    for part, first, count, views in (
        ("train", 0, record.chips, record.views),
        ("unlabelled", record.chips, record.unlabelled_chips, record.unlabelled_views),
    ):
        for start in range(0, count * views, BATCH):
            rows = np.arange(start, min(start + BATCH, count * views))
            yield part, first + rows // views, rows % views


class _Rows:
    """Writes an array one batch of rows after another: the file is never held in memory, nor mapped."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.sha256 = hashlib.sha256()
        self._path, self._shape = path, shape
        self._file: BinaryIO

    def __enter__(self) -> "_Rows":
        self._file = self._path.open("wb")
        header = {"descr": "<f2", "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(self, header)
        return self

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._file.write(data)

    def append(self, rows: NDArray[np.float16]) -> None:
        self.write(rows.astype("<f2").tobytes())

    def __exit__(self, *error: Any) -> None:
        self._file.close()


def _open_array(path: Path, shape: tuple[int, ...]) -> NDArray[np.float16]:
    try:
        array: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(str(path), f"is missing, cut short or not an array ({error})", ASK_AGAIN) from error
    if array.shape != shape or array.dtype != np.float16:
        problem = f"holds {array.dtype} {array.shape}, the record says float16 {shape}"
        raise InputError(str(path), problem, ASK_AGAIN)
    return array
