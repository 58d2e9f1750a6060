"""A published bundle at work: ONNX Runtime, NumPy and the readers of chips, without PyTorch and KFP."""

import itertools
import tempfile
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray

from sarslim.chips import stream
from sarslim.chips.typical import Outside, outside
from sarslim.config import ImagesConfig, parse
from sarslim.config.machine import require_threads
from sarslim.delivery import inputs, registry
from sarslim.delivery.registry import INT8, METRICS, ONNX
from sarslim.delivery.session import Session
from sarslim.errors import InputError
from sarslim.evaluation.statistics import balanced_accuracy, macro_f1, pair
from sarslim.progress import note
from sarslim.records import BundleRecord, BundleScores, ClassScores, PairedScores
from sarslim.store.local_store import reachable
from sarslim.store.storage import SUMS, is_s3, local_copy, sha256, verify_sums

BATCH = 64
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
    ``name`` that of the model in the store, or of the folder; ``network`` is the file that is loaded.
    """

    session: Session
    metrics: BundleRecord
    files: dict[str, tuple[int, str]]
    version: str
    name: str
    network: str

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
            threads: CPU threads. 0: one per core that may be used.

        Raises:
            InputError: no bundle there, a file that differs from its checksum, no such network in it, or more threads
                than processors.
        """
        require_threads("threads", threads)
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
        return cls(Session(folder / network, threads), metrics, files, _version_of(folder), name, network)

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
        An iterable may be endless. It is read in a thread, a batch ahead; one batch more is in memory. Files are
        decoded in as many threads as the network takes, a few dozen chips further ahead.

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
        how, workers = self.session.preprocessing, self.session.threads
        return self._predictions(inputs.chips(chips, how, limits, workers=workers), refuse_outside)

    def _predictions(self, chips: Generator[stream.Stored], refuse_outside: bool) -> Iterator[Prediction]:
        typical, count, far = self.session.preprocessing.typical, 0, Counter[str]()
        # Whoever stops early leaves no thread and no copy behind.
        with closing(chips), closing(self._batches(chips)) as batches:
            for batch, images, probabilities in batches:
                best, confidence = probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1).tolist()
                how_far = outside(typical, images, [chip.sides for chip in batch]) if typical else [None] * len(batch)
                for chip, k, share, row, lies in zip(batch, best, confidence, probabilities, how_far, strict=True):
                    count += 1
                    if lies and lies.far:
                        far[lies.measure] += 1
                        if refuse_outside:
                            raise InputError(chip.name, f"{UNLIKE}: {lies}", "Give chips of the same kind and scale")
                    yield Prediction(chip.name, self.classes[k], share, row, lies)
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
            for batch, _, probabilities in self._batches(chips):
                chosen = probabilities.argmax(axis=1).tolist()
                found |= {chip.name: (numbers[str(chip.label)], k) for chip, k in zip(batch, chosen, strict=True)}
        return found

    def _batches(
        self, chips: Iterator[stream.Stored]
    ) -> Generator[tuple[list[stream.Stored], NDArray, NDArray[np.float32]]]:
        """Chips, their images as one array, and probabilities; the next batch is read while this one is recognised."""
        left = Event()

        def read() -> tuple[list[stream.Stored], NDArray] | None:
            batch = list(itertools.takewhile(lambda _: not left.is_set(), itertools.islice(chips, BATCH)))
            if not batch:
                return None
            return batch, np.stack([chip.image for chip in batch])

        with ThreadPoolExecutor(1) as reader:
            waiting = reader.submit(read)
            try:
                while batch := waiting.result():
                    waiting = reader.submit(read)
                    yield *batch, self.session.run(batch[1])[1]
            finally:
                left.set()


def _version_of(folder: Path) -> str:
    return f"sha-{sha256(folder / SUMS)[:12]}"


def _model_of(folder: Path) -> str:
    """The name of the model in a folder: its own, or that of the folder above where it is called after its version."""
    folder = folder.resolve()
    return folder.parent.name if folder.name == _version_of(folder) else folder.name
