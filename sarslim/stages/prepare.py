"""Stage 1: chips from their source to a dataset artifact and a data card."""

from contextlib import ExitStack
from pathlib import Path

from sarslim import report
from sarslim.chips.dataset import Dataset
from sarslim.chips.prepare import prepare as prepare_chips
from sarslim.config import PrepareConfig
from sarslim.records import DatasetRecord
from sarslim.stages.results import CONFIG, write_json
from sarslim.store.storage import local_copy

EXAMPLES_PER_CLASS = 8


def prepare(config: PrepareConfig, *, dataset: Path, card: Path) -> DatasetRecord:
    """Reads, splits, scales and stores the chips; writes the data card.

    Raises:
        InputError: a source without usable chips.
    """
    with ExitStack() as copies:
        source, further = (
            copies.enter_context(local_copy(address, f"prepare.{field}")) if address else None
            for field, address in config.sources.items()
        )
        record = prepare_chips(config, source, dataset, further)
    write_json(dataset / CONFIG, config)
    card.parent.mkdir(parents=True, exist_ok=True)
    card.write_text(report.data_card(record, Dataset.open(dataset).examples(EXAMPLES_PER_CLASS)), encoding="utf-8")
    return record
