"""Stage 2: the network to compress."""

from pathlib import Path

import torch

from sarslim import networks
from sarslim.chips.dataset import Dataset
from sarslim.config import TeacherConfig
from sarslim.networks import Recogniser, artifact
from sarslim.networks.inference import folded
from sarslim.records import TrainRecord
from sarslim.stages import bounds
from sarslim.stages.learn import input_shape, joined, parents_of, save_trained, train
from sarslim.stages.processes import in_processes
from sarslim.stages.resume import Places, kept_until_saved
from sarslim.store.storage import local_copy
from sarslim.training import LabelObjective, TaughtObjective

SEEDS_APART = 1000  # of one generation and the next


@in_processes
def train_teacher(config: TeacherConfig, *, dataset: Path, teacher: Path) -> TrainRecord:
    """Trains the teacher and saves it as a model artifact with its training record.

    With ``generations`` above 1 it is the last of a line in which each network has the one before as its teacher
    (born-again networks, Furlanello et al., ICML 2018), on unlabelled chips, too (noisy student, Xie et al., CVPR
    2020).

    Raises:
        InputError: a foreign data set, pretrained weights of another network, or batches beyond the memory.
    """
    data = Dataset.open(dataset)
    parents = parents_of(data)
    with kept_until_saved(config, "teacher", parents) as places:
        network, record = _taught(config, data, places)
        records = [record]
        for generation in range(2, config.generations + 1):
            # Other initial weights and views than before: the errors of two networks should differ.
            own = config.model_copy(update={"seed": config.seed + SEEDS_APART * (generation - 1)})
            network, record = _taught(own, data, places, by=network, stage=f"teacher-{generation}")
            records.append(record)
        record = joined(records)
        save_trained(
            teacher, network, config, record, data,
            kind="teacher", network=config.network, stem=config.stem, parents=parents, pruning=None,
        )  # fmt: skip
    return record


def _taught(
    config: TeacherConfig, data: Dataset, places: Places, by: Recogniser | None = None, stage: str = "teacher"
) -> tuple[Recogniser, TrainRecord]:
    """A network that has learned from labels and, where there is one, from the network of the generation before."""
    torch.manual_seed(config.seed)
    network = networks.build_for(data.record, config.network, config.stem)
    bounds.bound_batch("teacher", config, network, input_shape(data), len(data.part("train").images))
    if config.pretrained:
        with local_copy(config.pretrained, "teacher.pretrained") as file:
            artifact.load_pretrained(network, file)
    objective = TaughtObjective(folded(by)) if by else LabelObjective()
    return network, train(
        network,
        objective,
        config,
        data,
        stage=stage,
        name=config.network,
        unlabelled=by is not None,
        checkpoint=places(stage),
    )
