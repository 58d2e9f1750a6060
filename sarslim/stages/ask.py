"""The teacher is asked once: its answers to some views of every training chip, for all distillations from it."""

from pathlib import Path

from sarslim import __version__
from sarslim.config import AskConfig
from sarslim.records import ANSWERS, AskRecord
from sarslim.stages.results import write_json


def ask_teacher(config: AskConfig, *, dataset: Path, teacher: Path, answers: Path) -> AskRecord:
    """Writes the answers of the teacher to some views of every training chip, or a record alone if nobody needs them.

    Raises:
        InputError: a teacher for other classes, or one whose answers are not finite.
        ServiceError: the file system refused to write.
    """
    if config.views and config.shown:
        # Here, because torch takes seconds to load, and most often there is nothing to ask.
        from sarslim.stages.asking import ask

        return ask(config, dataset=dataset, teacher=teacher, answers=answers)
    record = AskRecord(sarslim_version=__version__, views=0)
    write_json(answers / ANSWERS, record)
    return record
