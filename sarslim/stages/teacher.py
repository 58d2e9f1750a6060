"""Stage 2: the network to compress."""

from pathlib import Path

import torch

from sarslim import __version__, checkpoint, networks, parallel
from sarslim.chips.dataset import Dataset
from sarslim.config import TeacherConfig
from sarslim.records import ModelRecord, TrainRecord
from sarslim.stages.learn import described, parents_of, train
from sarslim.stages.processes import in_processes
from sarslim.stages.results import CONFIG, TRAINING, write_json
from sarslim.storage import local_copy
from sarslim.training import LabelObjective


@in_processes
def train_teacher(config: TeacherConfig, *, dataset: Path, teacher: Path) -> TrainRecord:
    """Trains the teacher and saves it as a model artifact with its training record.

    Raises:
        InputError: a foreign data set, or pretrained weights of another network.
    """
    data = Dataset.open(dataset)
    torch.manual_seed(config.seed)
    network = networks.build_for(data.record, config.network, config.stem)
    if config.pretrained:
        with local_copy(config.pretrained) as file:
            checkpoint.load_pretrained(network, file)
    parents = parents_of(data)
    record = train(network, LabelObjective(), config, data, stage="teacher", name=config.network, parents=parents)
    if not parallel.is_first():
        return record
    checkpoint.save(
        teacher,
        network,
        ModelRecord(
            sarslim_version=__version__,
            kind="teacher",
            network=config.network,
            stem=config.stem,
            widths={},
            parents=parents,
            pruning=None,
            metrics={"val_accuracy": record.val_accuracy, "val_macro_f1": record.val_macro_f1},
            **described(data),
        ),
    )
    write_json(teacher / CONFIG, config)
    write_json(teacher / TRAINING, record)
    return record
