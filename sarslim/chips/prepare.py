"""The prepare stage: from a source of SAR chips to the dataset artifact."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sarslim import __version__
from sarslim.chips import preprocess
from sarslim.chips.dataset import RECORD, whole_directory
from sarslim.chips.digests import source_digests
from sarslim.chips.formats import open_reader
from sarslim.chips.index import Pixels, Reader
from sarslim.chips.select import Sample, Selection, select
from sarslim.chips.simulated_folder import is_simulated
from sarslim.chips.split import TINY_CLASS, divide, overlaps
from sarslim.chips.unlabelled import index_unlabelled, is_second, open_unlabelled
from sarslim.chips.writing import Stock, Writing
from sarslim.config import PrepareConfig
from sarslim.errors import InputError
from sarslim.progress import Progress, note
from sarslim.records import PER_CHIP, DatasetRecord, Scaling, ScalingKind, Skipped, UnlabelledSource

# Training chips from which percentiles are estimated: more would not move them.
FIT_CHIPS = 4096
SHOWN = 5
# The largest share of chips under two classes: labels are never all right, but more is a mistake in the data.
MOST_CONTRADICTIONS = 0.03


def prepare(
    config: PrepareConfig, source: Path | None, output: Path, unlabelled_source: Path | None = None
) -> DatasetRecord:
    """Reads, splits, scales and stores the chips of ``source`` (None: the simulator) in the directory ``output``.

    Memory does not grow with the pixels of the source: chips are indexed first, then read one at a time. ``output``
    appears complete or not at all.

    Args:
        unlabelled_source: where the chips of ``config.unlabelled_source`` are. None: there are none.

    Raises:
        InputError: nothing usable at a source, a configuration that does not fit it, or too many chips that stand
            under two classes.
    """
    reader = open_reader(config, source)
    note(f"reading the index of {config.source or reader.format}")
    index = reader.index()
    index.check()
    selection = select(index.chips, config)
    further = open_unlabelled(config, unlabelled_source) if unlabelled_source else None
    second = index_unlabelled(further, selection.channels, config)
    whole = Stock(reader, selection.samples, config.image_size, config.multilook, config.scaling in PER_CHIP)
    if config.contradictions == "leave_out":
        selection = _without_contradictions(whole, selection)
    division = divide(replace(selection, samples=[*selection.samples, *second.samples]), config)
    samples, parts = division.samples, division.parts
    first = replace(whole, samples=[sample for sample in samples if not is_second(sample.chip)])
    train = [sample for sample, part in zip(samples, parts, strict=True) if part == "train"]
    scalings = _fit(first, train, config.scaling, config)
    with whole_directory(output) as folder:
        writing = Writing(folder, samples, parts, selection, scalings, config)
        writing.run(first, scalings)
        rest = samples[len(first.samples) :]
        own = _store_unlabelled(further, writing, rest, scalings, config) if further and rest else ()
        writing.close()
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
            multilook=config.multilook,
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
            skipped=(*index.skipped, *selection.skipped, *second.skipped, *division.skipped),
            typical=writing.typical,
            unlabelled_source=UnlabelledSource(
                source=config.unlabelled_source,
                format=further.format,
                chips=len(rest),
                multilook=config.unlabelled_multilook,
                scaling=own,
                sources_sha256=source_digests(unlabelled_source),
            )
            if further and unlabelled_source
            else None,
            warnings=(
                *index.warnings,
                *selection.warnings,
                *second.warnings,
                *contradictions,
                *_warnings(samples, parts, writing, selection.classes),
            ),
        )
        (folder / RECORD).write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
    for warning in record.warnings:
        note(warning)
    return record


def _fit(stock: Stock, samples: Sequence[Sample], kind: ScalingKind, config: PrepareConfig) -> tuple[Scaling, ...]:
    if kind != "linear":
        samples = samples[:: -(-len(samples) // FIT_CHIPS)]
    progress = Progress("fit scaling", len(samples))

    def stream() -> Iterator[Pixels]:
        for _, pixels in stock.pixels(samples):
            progress.step()
            yield pixels

    return preprocess.fit(stream(), kind, config.percentiles)


def _store_unlabelled(
    reader: Reader, writing: Writing, samples: Sequence[Sample], scalings: tuple[Scaling, ...], config: PrepareConfig
) -> tuple[Scaling, ...]:
    """Stores the samples of the second source and says how they were scaled; ``scalings`` are those of the first."""
    kind = config.scaling_of_unlabelled
    stock = Stock(reader, samples, config.image_size, config.unlabelled_multilook, kind in PER_CHIP)
    own = scalings if config.unlabelled_scaling == "training" else _fit(stock, samples, kind, config)
    writing.run(stock, own)
    return own


def _without_contradictions(stock: Stock, selection: Selection) -> Selection:
    """The selection without chips whose pixels occur under two classes; reads all labelled chips once more."""
    labelled = [sample for sample in selection.samples if sample.label is not None]
    progress = Progress("compare", len(labelled))
    digests: dict[Sample, bytes] = {}
    labels: dict[bytes, set[int | None]] = defaultdict(set)
    for sample, pixels in stock.pixels(labelled):
        digests[sample] = stock.identify(pixels)
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
    samples: Sequence[Sample], parts: Sequence[str], writing: Writing, classes: Sequence[str]
) -> Iterator[str]:
    across = [
        [samples[number].name for number in numbers]
        for numbers in writing.seen.values()
        # To learn from a chip with and without its label is no harm.
        if len({parts[number].replace("unlabelled", "train") for number in numbers}) > 1
    ]
    if across:
        pairs = "; ".join(" = ".join(names[:SHOWN]) for names in across[:SHOWN])
        yield f"{len(across)} chips are in more than one part with the same content: {pairs}"
    if writing.twins:
        pairs = "; ".join(f"{sample.name} = {twin.name}" for sample, twin in writing.twins[:SHOWN])
        yield f"{len(writing.twins)} chips of unlabelled_source are in val or test, too: {pairs}"
    for name, identity in (
        ("groups", lambda chip: chip.group),
        ("identities", lambda chip: chip.ship),
        ("scenes", lambda chip: chip.scene),
    ):
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
