"""How the chips of a data set are read and stored: in one pass over each source, one chip in memory at a time."""

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sarslim.chips import preprocess
from sarslim.chips.dataset import PartWriter, write_csv
from sarslim.chips.index import Pixels, Reader
from sarslim.chips.select import Sample, Selection
from sarslim.chips.split import PARTS
from sarslim.chips.typical import measure, summarise
from sarslim.config import PrepareConfig
from sarslim.progress import Progress
from sarslim.records import PartCount, Scaling, Typical


@dataclass(frozen=True)
class Stock:
    """Samples of one reader, and what is done to all of them before padding and scaling."""

    reader: Reader
    samples: Sequence[Sample]
    size: int
    looks: int
    per_chip: bool

    def pixels(self, samples: Sequence[Sample]) -> Iterator[tuple[Sample, Pixels]]:
        """Each of some samples with its amplitudes (C, <=size, <=size); a chip is read once for all its samples."""
        by_chip = [(chip, list(group)) for chip, group in itertools.groupby(samples, key=attrgetter("chip"))]
        for (chip, group), pixels in zip(by_chip, self.reader.load(chip for chip, _ in by_chip), strict=True):
            for sample in group:
                chosen = pixels[list(sample.bands)]
                yield (
                    sample,
                    preprocess.take(chosen, chip, looks=self.looks, size=self.size, per_chip=self.per_chip),
                )

    def identify(self, pixels: Pixels) -> bytes:
        """The same for chips of the same amplitudes that are treated alike."""
        return digest(pixels) + f"{pixels.shape} {self.looks} {self.per_chip}".encode()


class Writing:
    """The files of a data set, filled in the order of the samples.

    ``seen`` has the places of samples with the same stored values, ``twins`` samples whose amplitudes are those of one
    in val or test, although they are scaled otherwise.
    """

    def __init__(
        self,
        folder: Path,
        samples: Sequence[Sample],
        parts: Sequence[str],
        selection: Selection,
        scalings: tuple[Scaling, ...],
        config: PrepareConfig,
    ) -> None:
        self._samples, self._parts, self._scalings, self._config = samples, parts, scalings, config
        self._selection, self._folder = selection, folder
        self._rows: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        self.seen: dict[bytes, list[int]] = defaultdict(list)
        totals = Counter(parts)
        self._measures = np.zeros((totals["train"], 1 + 2 * len(scalings)))
        self._sides: list[tuple[int, int]] = []
        self._held_out: dict[bytes, Sample] = {}
        self.twins: list[tuple[Sample, Sample]] = []
        self._done = 0
        side = config.image_size
        self._writers = {
            part: PartWriter(folder, part, (totals[part], len(scalings), side, side), config.dtype)
            for part in PARTS
            if totals[part]
        }
        self.counts = {part: self._count(part) for part in self._writers}

    def run(self, stock: Stock, scalings: tuple[Scaling, ...]) -> None:
        """Stores the samples of a stock, the next ones of all, by these scalings."""
        progress = Progress("prepare", len(stock.samples))
        for sample, pixels in stock.pixels(stock.samples):
            part = self._parts[self._done]
            image = preprocess.apply(preprocess.pad(pixels, stock.size), scalings, self._config.dtype)
            self._writers[part].append(image, sample.label)
            self.seen[digest(image)].append(self._done)
            if part in ("val", "test"):
                self._held_out[stock.identify(pixels)] = sample
            elif scalings != self._scalings and (twin := self._held_out.get(stock.identify(pixels))):
                self.twins.append((sample, twin))
            self._rows[part].append(self._row(sample, part))
            if part == "train":
                self._measures[len(self._sides)] = measure(image[None])[0]
                self._sides.append((sample.chip.height, sample.chip.width))
            self._done += 1
            progress.step(part)

    def close(self) -> None:
        """Ends all files."""
        for writer in self._writers.values():
            writer.close()
        write_csv(self._folder, [row for part in self._writers for row in self._rows[part]])

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of the training part per channel, 0..255."""
        return tuple(self._means.mean(axis=0).tolist())

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of the training part per channel, in the same unit."""
        squares = np.square(self._means) + np.square(self._measures[:, 1 + len(self._scalings) :])
        variance = squares.mean(axis=0) - np.square(self._means.mean(axis=0))
        return tuple(np.sqrt(np.maximum(variance, 0)).tolist())

    @property
    def typical(self) -> Typical:
        """What single training chips are like."""
        return summarise(self._measures, self._sides)

    @property
    def digest(self) -> str:
        """SHA-256 over arrays, labels, classes and preprocessing: the same content has the same digest anywhere."""
        content: dict[str, object] = {
            "parts": {part: writer.sha256.hexdigest() for part, writer in self._writers.items()},
            "classes": self._selection.classes,
            "channels": self._selection.channels,
            "image_size": self._config.image_size,
            "dtype": self._config.dtype,
            "scaling": [scaling.model_dump() for scaling in self._scalings],
        }
        if self._config.multilook > 1:  # without it, data sets keep the digest that they had
            content["multilook"] = self._config.multilook
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def _means(self) -> npt.NDArray[np.float64]:
        """Mean of every training chip per channel; all have as many pixels."""
        return self._measures[:, 1 : 1 + len(self._scalings)]

    def _count(self, part: str) -> PartCount:
        labels = Counter(s.label for s, where in zip(self._samples, self._parts, strict=True) if where == part)
        per_class = tuple(labels[label] for label in range(len(self._selection.classes)))
        return PartCount(chips=labels.total(), per_class=per_class)

    def _row(self, sample: Sample, part: str) -> tuple[str, ...]:
        chip = sample.chip
        name = "" if sample.label is None else self._selection.classes[sample.label]
        number = "" if chip.number is None else str(chip.number)
        return chip.id, name, chip.file, chip.scene, chip.ship, sample.polarisation, part, chip.group, number


def digest(pixels: npt.NDArray) -> bytes:
    """What an array is known by."""
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
