"""A published bundle at work: ONNX Runtime, NumPy and the readers of chips, without PyTorch and KFP."""

import itertools
import tempfile
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sarslim.chips import ahead, stream
from sarslim.chips.stream import Stored, Unread
from sarslim.chips.typical import Outside, outside
from sarslim.config import ImagesConfig, machine, parse
from sarslim.delivery import inputs, registry
from sarslim.delivery.registry import INT8, METRICS, ONNX
from sarslim.delivery.session import Session
from sarslim.errors import InputError
from sarslim.evaluation.statistics import balanced_accuracy, macro_f1, pair
from sarslim.progress import note
from sarslim.records import BundleRecord, BundleScores, ClassScores, PairedScores
from sarslim.store.local_store import reachable
from sarslim.store.storage import SUMS, is_s3, local_copy, sha256, verify_sums

BATCH = 32  # images
RUNS = Path("runs")  # whose embedded store is asked where the environment names none
MANY = 0.05  # of the chips; hardly any test chip is far outside
UNLIKE = "far outside of what the network was trained on"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network says of one chip: the most likely class, its probability, and those of all classes.

    ``outside`` tells how far the chip lies outside of what the network was trained on: an answer on a chip that is
    ``outside.far`` means little, however confident. None for a bundle that was published by an earlier version.
    """

    chip: str
    label: str
    confidence: float
    probabilities: NDArray[np.float32]
    outside: Outside | None = None

    def __repr__(self) -> str:
        return f"Prediction({self.chip}: {self.label}, {100 * self.confidence:.1f} %)"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every file matches its checksum, with one of its networks loaded.

    ``files`` has the bytes and the SHA-256 of every file; ``version`` is the one that publishing gives by default,
    ``name`` that of the model in the store, or of the folder; ``network`` is the file that is loaded; ``threads`` is
    how many read and recognise, each a batch.
    """

    session: Session
    metrics: BundleRecord
    files: dict[str, tuple[int, str]]
    version: str
    name: str
    network: str
    threads: int

    def __repr__(self) -> str:
        about = [
            f"{self.name} {self.version}",
            f"{self.metrics.network} student",
            f"{len(self.classes)} classes",
            "INT8" if self.network == INT8 else "FP32",
        ]
        if scores := self.metrics.files.get(self.network):
            kind = "simulated test" if self.metrics.simulated else "test"
            about.append(f"{100 * scores.accuracy:.1f} % on {self.metrics.test_chips} {kind} chips")
        if not self.metrics.gate_passed:
            about.append("quality gate not passed")
        return f"Bundle({', '.join(about)})"

    @classmethod
    def open(cls, address: str | Path, *, int8: bool = False, threads: int = 0) -> "Bundle":
        """Loads a folder, or ``s3://bucket/models/NAME/VERSION``, ``.../NAME@ALIAS`` or ``.../NAME`` (latest).

        A bundle from a store is held in memory and leaves nothing on the disk.

        Args:
            int8: the network in INT8 in place of FP32.
            threads: CPU threads, each of which recognises a batch of images at a time. 0: one per core that may be
                used.

        Raises:
            InputError: no bundle there, a file that differs from its checksum, no such network in it, or more threads
                than processors.
        """
        machine.require_threads("threads", threads)
        network = INT8 if int8 else ONNX
        if not is_s3(str(address)):
            folder = Path(address)
            return cls._load(folder, verify_sums(folder), network, threads, _model_of(folder))
        with reachable([str(address)], RUNS), tempfile.TemporaryDirectory() as copy:
            name, sums = registry.fetch(str(address), Path(copy))
            return cls._load(Path(copy), sums, network, threads, name)

    @classmethod
    def _load(cls, folder: Path, sums: dict[str, str], network: str, threads: int, name: str) -> "Bundle":
        for file in (network, METRICS):
            if file not in sums:
                raise InputError(str(folder), f"{SUMS} does not list {file}", "Give a bundle of this version")
        metrics = parse(BundleRecord, (folder / METRICS).read_bytes(), where=METRICS)
        files = {file: ((folder / file).stat().st_size, digest) for file, digest in sums.items()}
        session = Session(folder / network, threads=1)
        return cls(session, metrics, files, _version_of(folder), name, network, threads or machine.threads())

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.session.classes

    def predict(
        self,
        chips: inputs.Item | Iterable[inputs.Item],
        *,
        refuse_outside: bool = False,
        limits: ImagesConfig | None = None,
    ) -> Iterator[Prediction]:
        """Recognises every chip of a path, an array or a Pillow image, or of any iterable of these, in their order.

        A path is a file, a folder of any depth, an ``.npy`` stack, a product zip, or an ``s3://`` address, what is
        there being on the disk while it is read. An image of Pillow counts as the PNG file of it: colour becomes
        luminance. It is named by the file it was opened from, or ``image 3`` by its place in the iterable.

        An array holds raw amplitudes, bool, integer, float or complex, and is named ``array 3``, its chips
        ``array 3 0``, ``array 3 1`` ...:

        - network of one channel: (height, width) or (1, height, width) is a chip, (N, height, width) and
          (N, 1, height, width) are N chips;
        - network of C channels: (C, height, width) is a chip, (N, C, height, width) are N chips, bands in the order of
          the network's channels;
        - network of one channel that was trained on several polarisations: (N, bands, height, width), too, each band a
          prediction of its own.

        Whatever NumPy can read counts as an array; one on a disk, such as a memory map, is read piece by piece.
        An iterable may be endless. It is read as predictions are taken, a few batches ahead. Every thread reads a batch
        of images and recognises it, so many as there are threads at one time.

        Where many chips are far outside of what the network was trained on, a note says so at the end.

        Args:
            refuse_outside: stop at the first chip that is far outside of what the network was trained on.
            limits: of the size of images, where others are wanted than in training.

        Raises:
            InputError: at once, or of an iterable that is no list or tuple where it comes to that: something else, a
                path where there is nothing, or an array of another or an ambiguous shape; later: an address without
                chips, a chip that cannot be read, or one that is refused.
        """
        if refuse_outside and self.session.preprocessing.typical is None:
            raise InputError(
                self.name, "does not say what its network was trained on", "Publish it again, or do without refusing"
            )
        waiting = inputs.chips(chips, self.session.preprocessing, limits, workers=self.threads)
        return self._predictions(waiting, refuse_outside)

    def _predictions(self, waiting: Generator[Unread], refuse_outside: bool) -> Iterator[Prediction]:
        count, far = 0, Counter[str]()
        # Whoever stops early leaves no thread and no copy behind.
        with closing(waiting), closing(self._recognised(waiting)) as recognised:
            for _, prediction in recognised:
                count += 1
                if (lies := prediction.outside) and lies.far:
                    far[lies.measure] += 1
                    if refuse_outside:
                        raise InputError(prediction.chip, f"{UNLIKE}: {lies}", "Give chips of the same kind and scale")
                yield prediction
        if far.total() > MANY * count:
            reasons = ", ".join(f"{measure} {number}" for measure, number in far.most_common())
            note(f"{far.total()} of {count} chips: {UNLIKE} ({reasons}); its answers on them mean little")

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
            balanced_accuracy=balanced_accuracy(true, chosen),
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
        chips = sorted(both[0].keys() & both[1].keys())
        true, first = np.array([both[0][chip] for chip in chips]).T
        return pair(true, first, np.array([both[1][chip][1] for chip in chips]))

    def _answers(self, data: str | Path) -> dict[str, tuple[int, int]]:
        """True and chosen class of every labelled chip."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        found: dict[str, tuple[int, int]] = {}
        with local_copy(str(data), "data") as here:
            chips = stream.labelled(here, self.session.preprocessing, self.classes)
            for chip, prediction in self._recognised(map(Unread.at_hand, chips)):
                found[chip.name] = numbers[str(chip.label)], numbers[prediction.label]
        return found

    def _recognised(self, waiting: Iterable[Unread]) -> Generator[tuple[Stored, Prediction]]:
        """Every chip, and what the network says of it, in order.

        A batch is one thread's, from its files to its answers: threads that share one wait for each other.
        """
        return ahead.in_groups(
            Unread.chips, self._recognise, waiting, group=BATCH, size=attrgetter("nbytes"), workers=self.threads
        )

    def _recognise(self, read: list[list[Stored]]) -> list[tuple[Stored, Prediction]]:
        """The chips of a batch of images."""
        chips, typical = list(itertools.chain.from_iterable(read)), self.session.preprocessing.typical
        images = np.stack([chip.image for chip in chips])
        _, probabilities = self.session.run(images)
        best, confidence = probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1).tolist()
        how_far = outside(typical, images, [chip.sides for chip in chips]) if typical else [None] * len(chips)
        return [
            (chip, Prediction(chip.name, self.classes[k], share, row, lies))
            for chip, k, share, row, lies in zip(chips, best, confidence, probabilities, how_far, strict=True)
        ]


def _version_of(folder: Path) -> str:
    return f"sha-{sha256(folder / SUMS)[:12]}"


def _model_of(folder: Path) -> str:
    """The name of the model in a folder: its own, or that of the folder above where it is called after its version."""
    folder = folder.resolve()
    return folder.parent.name if folder.name == _version_of(folder) else folder.name
