"""A published bundle at work: ONNX Runtime, NumPy and the readers of chips, without PyTorch and KFP."""

import itertools
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sarslim.chips import stream
from sarslim.config import parse
from sarslim.delivery import registry
from sarslim.delivery.registry import INT8, METRICS, ONNX
from sarslim.delivery.session import Session
from sarslim.errors import InputError
from sarslim.evaluation.statistics import bootstrap_interval, macro_f1, paired
from sarslim.records import BundleRecord, BundleScores, ClassScores, PairedScores
from sarslim.store.storage import SUMS, is_s3, local_copy, sha256, verify_sums

BATCH = 64


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network says of one chip: the most likely class, its probability, and those of all classes."""

    chip: str
    label: str
    confidence: float
    probabilities: NDArray[np.float32]


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every file matches its checksum, with one of its networks loaded.

    ``files`` has the bytes and the SHA-256 of every file; ``version`` is the one that publishing gives by default.
    """

    session: Session
    metrics: BundleRecord
    files: dict[str, tuple[int, str]]
    version: str

    @classmethod
    def open(cls, address: str | Path, *, int8: bool = False, threads: int = 0) -> "Bundle":
        """Loads a folder, or ``s3://bucket/models/NAME/VERSION``, ``.../NAME@ALIAS`` or ``.../NAME`` (latest).

        A bundle from a store is held in memory and leaves nothing on the disk.

        Args:
            int8: the network in INT8 in place of FP32.
            threads: CPU threads. 0: one per core.

        Raises:
            InputError: no bundle there, a file that differs from its checksum, or no such network in it.
        """
        if not is_s3(str(address)):
            return cls._load(Path(address), verify_sums(Path(address)), INT8 if int8 else ONNX, threads)
        with tempfile.TemporaryDirectory() as folder:
            sums = registry.fetch(str(address), Path(folder))
            return cls._load(Path(folder), sums, INT8 if int8 else ONNX, threads)

    @classmethod
    def _load(cls, folder: Path, sums: dict[str, str], network: str, threads: int) -> "Bundle":
        for name in (network, METRICS):
            if name not in sums:
                raise InputError(str(folder), f"{SUMS} does not list {name}", "Give a bundle of this version")
        metrics = parse(BundleRecord, (folder / METRICS).read_text(encoding="utf-8"), where=METRICS)
        files = {name: ((folder / name).stat().st_size, digest) for name, digest in sums.items()}
        return cls(Session(folder / network, threads), metrics, files, f"sha-{sha256(folder / SUMS)[:12]}")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.session.classes

    def predict(self, addresses: Iterable[str | Path]) -> Iterator[Prediction]:
        """Recognises every chip of files, folders and product zips, one batch in memory at a time.

        What is at an ``s3://`` address is on the disk in the meantime.

        Raises:
            InputError: an address without chips, or a chip that cannot be read.
        """
        with ExitStack() as copies:
            here = {str(copies.enter_context(local_copy(str(address), "chips"))): str(address) for address in addresses}
            chips = stream.unlabelled(map(Path, here), self.session.preprocessing)
            copied = {path: address for path, address in here.items() if path != address}
            for names, _, probabilities in self._batches(chips):
                best, confidence = probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1).tolist()
                for name, k, share, row in zip(names, best, confidence, probabilities, strict=True):
                    yield Prediction(_as_given(name, copied) if copied else name, self.classes[k], share, row)

    def evaluate(self, data: str | Path) -> BundleScores:
        """Scores on labelled chips: the test part of a dataset artifact, or a source of raw chips.

        Raises:
            InputError: no chips of the network's classes.
        """
        answers = self._answers(data)
        true, chosen = (np.array(column) for column in zip(*answers.values(), strict=True))
        confusion = np.zeros((len(self.classes), len(self.classes)), np.int64)
        np.add.at(confusion, (true, chosen), 1)
        hits, rows, columns = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
        return BundleScores(
            chips=len(true),
            accuracy=float(np.mean(true == chosen)),
            macro_f1=macro_f1(true, chosen),
            classes=tuple(
                ClassScores(
                    name=name,
                    chips=int(rows[k]),
                    precision=float(hits[k] / max(columns[k], 1)),
                    recall=float(hits[k] / max(rows[k], 1)),
                    f1=float(2 * hits[k] / max(rows[k] + columns[k], 1)),
                    auc=None,
                )
                for k, name in enumerate(self.classes)
            ),
            confusion=tuple(map(tuple, confusion.tolist())),
        )

    def compare(self, other: "Bundle", data: str | Path) -> PairedScores:
        """Both networks on the same chips, paired chip by chip; see :class:`sarslim.records.PairedScores`.

        Raises:
            InputError: other classes, or no chips of them.
        """
        if self.classes != other.classes:
            raise InputError(
                "bundles", f"name the classes {', '.join(self.classes)} and {', '.join(other.classes)}",
                "Compare networks of the same classes",
            )  # fmt: skip
        both = [bundle._answers(data) for bundle in (self, other)]
        right = [{chip: float(true == chosen) for chip, (true, chosen) in answers.items()} for answers in both]
        differences = paired(*right)
        columns = [tuple(np.array(column) for column in zip(*answers.values(), strict=True)) for answers in both]
        return PairedScores(
            chips=len(differences),
            accuracy=(float(np.mean(list(right[0].values()))), float(np.mean(list(right[1].values())))),
            macro_f1=(macro_f1(*columns[0]), macro_f1(*columns[1])),
            difference=float(np.mean(differences)),
            interval=bootstrap_interval(differences),
            only_first=differences.count(1.0),
            only_second=differences.count(-1.0),
        )

    def _answers(self, data: str | Path) -> dict[str, tuple[int, int]]:
        """True and chosen class of every labelled chip."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        found: dict[str, tuple[int, int]] = {}
        with local_copy(str(data), "data") as here:
            chips = stream.labelled(here, self.session.preprocessing, self.classes)
            for names, labels, probabilities in self._batches(chips):
                chosen = probabilities.argmax(axis=1).tolist()
                found |= {n: (numbers[str(label)], k) for n, label, k in zip(names, labels, chosen, strict=True)}
        return found

    def _batches(
        self, chips: Iterator[stream.Stored]
    ) -> Iterator[tuple[list[str], list[str | None], NDArray[np.float32]]]:
        """Names, labels and probabilities batch by batch; the next batch is read while this one is recognised."""

        def read() -> tuple[list[str], list[str | None], NDArray] | None:
            batch = list(itertools.islice(chips, BATCH))
            if not batch:
                return None
            images = np.stack([chip.image for chip in batch])
            return [chip.name for chip in batch], [chip.label for chip in batch], images

        with ThreadPoolExecutor(1) as reader:
            waiting = reader.submit(read)
            while batch := waiting.result():
                waiting = reader.submit(read)
                names, labels, images = batch
                yield names, labels, self.session.run(images)[1]


def _as_given(name: str, copied: Mapping[str, str]) -> str:
    """The name of a chip below the address that was asked for, in place of that of its copy."""
    return next((address + name.removeprefix(path) for path, address in copied.items() if name.startswith(path)), name)
