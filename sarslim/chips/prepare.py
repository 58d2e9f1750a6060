"""The prepare stage: from a source of SAR chips to the dataset artifact."""

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sarslim import __version__
from sarslim.chips import preprocess
from sarslim.chips.dataset import RECORD, PartWriter, whole_directory, write_csv
from sarslim.chips.digests import source_digests
from sarslim.chips.formats import open_reader
from sarslim.chips.index import Pixels, Reader
from sarslim.chips.select import Sample, Selection, select
from sarslim.chips.simulated_folder import is_simulated
from sarslim.chips.split import PARTS, TINY_CLASS, divide, overlaps
from sarslim.chips.typical import measure, summarise
from sarslim.config import PrepareConfig
from sarslim.errors import InputError
from sarslim.progress import Progress, note
from sarslim.records import DatasetRecord, PartCount, Scaling, Skipped, Typical

# Training chips from which percentiles are estimated: more would not move them.
FIT_CHIPS = 4096
SHOWN = 5
# The largest share of chips under two classes: labels are never all right, but more is a mistake in the data.
MOST_CONTRADICTIONS = 0.03


def prepare(config: PrepareConfig, source: Path | None, output: Path) -> DatasetRecord:
    """Reads, splits, scales and stores the chips of ``source`` (None: the simulator) in the directory ``output``.

    Memory does not grow with the pixels of the source: chips are indexed first, then read one at a time. ``output``
    appears complete or not at all.

    Raises:
        InputError: nothing usable at ``source``, a configuration that does not fit it, or too many chips that stand
            under two classes.
    """
    reader = open_reader(config, source)
    note(f"reading the index of {config.source or reader.format}")
    index = reader.index()
    index.check()
    selection = select(index.chips, config)
    if config.contradictions == "leave_out":
        selection = _without_contradictions(reader, selection, config)
    division = divide(selection, config)
    samples, parts = division.samples, division.parts
    scalings = _fit_scaling(reader, samples, parts, config)
    with whole_directory(output) as folder:
        writing = _Writing(folder, samples, parts, selection, scalings, config)
        writing.run(reader)
        blank = [name for name, spread in zip(selection.channels, writing.std, strict=True) if not spread]
        if blank:
            problem = f"every pixel of the training chips has the same value in {', '.join(blank)}"
            raise InputError(config.source or "prepare.source", problem, "Give chips that show something")
        contradictions = _contradictions(writing.seen.values(), samples, selection.classes)
        record = DatasetRecord(
            sarslim_version=__version__,
            source=config.source,
            format=reader.format,
            simulated=source is None or is_simulated(source),
            classes=selection.classes,
            channels=selection.channels,
            image_size=config.image_size,
            dtype=config.dtype,
            scaling=scalings,
            mean=writing.mean,
            std=writing.std,
            parts=writing.counts,
            split_rule=division.rule,
            seed=config.seed,
            sources_sha256=source_digests(source) if source else {},
            digest=writing.digest,
            chips_read=len(samples),
            skipped=(*index.skipped, *selection.skipped, *division.skipped),
            typical=writing.typical,
            warnings=(*index.warnings, *contradictions, *_warnings(samples, parts, writing, selection.classes)),
        )
        (folder / RECORD).write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
    for warning in record.warnings:
        note(warning)
    return record


def _pixels(reader: Reader, samples: Sequence[Sample], size: int) -> Iterator[tuple[Sample, Pixels]]:
    """Each sample with its finite, cropped amplitudes (C, <=size, <=size); a chip is read once for all its samples."""
    by_chip = [(chip, list(group)) for chip, group in itertools.groupby(samples, key=attrgetter("chip"))]
    for (chip, group), pixels in zip(by_chip, reader.load(chip for chip, _ in by_chip), strict=True):
        for sample in group:
            chosen = pixels[list(sample.bands)]
            preprocess.check_finite(chosen, chip)
            yield sample, preprocess.crop(chosen, size)


def _fit_scaling(
    reader: Reader, samples: Sequence[Sample], parts: Sequence[str], config: PrepareConfig
) -> tuple[Scaling, ...]:
    train = [sample for sample, part in zip(samples, parts, strict=True) if part == "train"]
    if config.scaling != "linear":
        train = train[:: -(-len(train) // FIT_CHIPS)]
    progress = Progress("fit scaling", len(train))

    def stream() -> Iterator[Pixels]:
        for _, pixels in _pixels(reader, train, config.image_size):
            progress.step()
            yield pixels

    return preprocess.fit(stream(), config.scaling, config.percentiles)


class _Writing:
    """One pass over the source in its own order; each part is filled in that order."""

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
        side = config.image_size
        self._writers = {
            part: PartWriter(folder, part, (totals[part], len(scalings), side, side), config.dtype)
            for part in PARTS
            if totals[part]
        }
        self.counts = {part: self._count(part) for part in self._writers}

    def run(self, reader: Reader) -> None:
        progress = Progress("prepare", len(self._samples))
        stream = _pixels(reader, self._samples, self._config.image_size)
        for number, (sample, pixels) in enumerate(stream):
            part = self._parts[number]
            padded = preprocess.pad(pixels, self._config.image_size)
            image = preprocess.apply(padded, self._scalings, self._config.dtype)
            self._writers[part].append(image, sample.label)
            self.seen[_digest(image)].append(number)
            self._rows[part].append(self._row(sample, part))
            if part == "train":
                self._measures[len(self._sides)] = measure(image[None])[0]
                self._sides.append((sample.chip.height, sample.chip.width))
            progress.step(part)
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
        content = {
            "parts": {part: writer.sha256.hexdigest() for part, writer in self._writers.items()},
            "classes": self._selection.classes,
            "channels": self._selection.channels,
            "image_size": self._config.image_size,
            "dtype": self._config.dtype,
            "scaling": [scaling.model_dump() for scaling in self._scalings],
        }
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
        return chip.id, name, chip.file, chip.scene, chip.ship, sample.polarisation, part


def _digest(pixels: npt.NDArray) -> bytes:
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()


def _without_contradictions(reader: Reader, selection: Selection, config: PrepareConfig) -> Selection:
    """The selection without chips whose pixels occur under two classes; reads all labelled chips once more."""
    labelled = [sample for sample in selection.samples if sample.label is not None]
    progress = Progress("compare", len(labelled))
    digests: dict[Sample, bytes] = {}
    labels: dict[bytes, set[int | None]] = defaultdict(set)
    for sample, pixels in _pixels(reader, labelled, config.image_size):
        digests[sample] = _digest(pixels) + bytes(str(pixels.shape), "ascii")
        labels[digests[sample]].add(sample.label)
        progress.step()
    left_out = {sample for sample, digest in digests.items() if len(labels[digest]) > 1}
    skipped = [Skipped(name=s.name, reason="stands under another class, too") for s in labelled if s in left_out]
    return replace(
        selection,
        samples=[sample for sample in selection.samples if sample not in left_out],
        skipped=[*selection.skipped, *skipped],
    )


def _contradictions(
    groups: Iterable[Sequence[int]], samples: Sequence[Sample], classes: Sequence[str]
) -> Sequence[str]:
    """A warning about the same chip under two classes, if there are any; each group has the same pixels.

    Raises:
        InputError: more of them than a few.
    """
    labelled = [[samples[number] for number in group if samples[number].label is not None] for group in groups]
    known = sum(bool(group) for group in labelled)
    found = [group for group in labelled if len({sample.label for sample in group}) > 1]
    if not found:
        return ()
    shown = "; ".join(
        " = ".join(f"{sample.name} ({classes[sample.label or 0]})" for sample in group[:SHOWN])
        for group in found[:SHOWN]
    )
    said = f"{len(found)} chips ({len(found) / known:.1%}) stand under two classes: {shown}".replace("%)", " %)")
    if len(found) > MOST_CONTRADICTIONS * known:
        raise InputError(
            "prepare.source",
            said,
            "Correct their classes, or set prepare.contradictions to leave_out to do without them",
        )
    return (f"{said}; prepare.contradictions=leave_out does without them",)


def _warnings(
    samples: Sequence[Sample], parts: Sequence[str], writing: _Writing, classes: Sequence[str]
) -> Iterator[str]:
    across = [
        [samples[number].name for number in numbers]
        for numbers in writing.seen.values()
        if len({parts[number] for number in numbers}) > 1
    ]
    if across:
        pairs = "; ".join(" = ".join(names[:SHOWN]) for names in across[:SHOWN])
        yield f"{len(across)} chips are in more than one part with the same content: {pairs}"
    for name, identity in (("identities", lambda chip: chip.ship), ("scenes", lambda chip: chip.scene)):
        shared = overlaps(samples, parts, identity)
        if shared:
            total = len({identity(sample.chip) for sample in samples} - {""})
            shown = ", ".join(shared[:SHOWN]) + (" ..." if len(shared) > SHOWN else "")
            yield f"{len(shared)} of {total} {name} are in more than one part: {shown}"
    for label, name in enumerate(classes):
        counts = {part: count.per_class[label] for part, count in writing.counts.items() if part != "unlabelled"}
        chips = sum(counts.values())
        if chips < TINY_CLASS:
            yield f"class {name} has {chips} chips only"
        missing = [part for part, count in counts.items() if not count]
        if missing:
            yield f"class {name} has no chip in {' and '.join(missing)}"
