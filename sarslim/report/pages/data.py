"""The data card, and the facts about a data set that a report of a run holds too."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

import sarslim.report.words.data as words
from sarslim.records import DatasetRecord
from sarslim.report.pages.rendering import pictures, render

MOST_EXAMPLES = 12
# Chips are shown in whole multiples of their pixels, near this size.
SHOWN_PIXELS = 112
MOST_NAMES = 200
MOST_REASONS = 50


def data_card(record: DatasetRecord, examples: Mapping[str, np.ndarray]) -> str:
    """What a data set holds and how it came about.

    Args:
        record: the content of ``dataset.json``.
        examples: class or ``unlabelled`` -> chips to show, 0..255 of shape (n, C, H, W), scaled as the networks see
            them.
    """
    return render(
        "data_card.html",
        title="Data card",
        sections={},
        origin=words.origin(record),
        data=facts(record, examples, SHOWN_PIXELS),
    )


def facts(record: DatasetRecord, examples: Mapping[str, np.ndarray], size: int) -> dict[str, Any]:
    """What the template of the facts about a data set asks for, its chips shown near ``size`` pixels."""
    header, rows = words.counts(record)
    return {
        "record": record,
        "split_rule": words.split_rule(record),
        "floor": words.floor(record) if {"train", "test"} <= record.parts.keys() else "",
        "count_header": header,
        "count_rows": rows,
        "examples": {
            shown: pictures(examples.get(name, ())[:MOST_EXAMPLES])
            for name, shown in (*zip(record.classes, record.classes, strict=True), ("unlabelled", "Unlabelled"))
            if name in examples or (examples and name in record.classes)
        },
        "scale": max(round(size / record.image_size), 1),
        "looked": words.looked(record),
        "further": words.further(record),
        "digests": _digests(record),
        "scalings": [
            (channel, rule.kind, words.scaling(rule), f"{mean:.4g}", f"{std:.4g}")
            for channel, rule, mean, std in zip(record.channels, record.scaling, record.mean, record.std, strict=False)
        ],
        "used": sum(part.chips for part in record.parts.values()),
        "skipped": _by_reason(record),
        "most_names": MOST_NAMES,
        "most_reasons": MOST_REASONS,
    }


def _digests(record: DatasetRecord) -> list[tuple[str, str]]:
    """Names and SHA-256 of what the sources hold; those of a second source begin with its address."""
    second = record.unlabelled_source
    further = {f"{second.source}: {name}": digest for name, digest in second.sources_sha256.items()} if second else {}
    return [*record.sources_sha256.items(), *further.items()]


def _by_reason(record: DatasetRecord) -> list[tuple[str, int, list[str]]]:
    """Reasons for leaving chips out, most frequent first, with the first names of each."""
    names: dict[str, list[str]] = defaultdict(list)
    for chip in record.skipped:
        names[chip.reason].append(chip.name)
    counts = Counter(chip.reason for chip in record.skipped)
    return [(reason, count, names[reason][:MOST_NAMES]) for reason, count in counts.most_common()]
