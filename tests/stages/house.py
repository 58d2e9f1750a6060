"""What tests of stages do with the house that they share (see conftest)."""

from sarslim.config import PruneConfig, parse
from sarslim.networks import artifact
from sarslim.records import PruneRecord, TrainRecord
from sarslim.stages.distill import distill_student
from sarslim.stages.prune import prune_student

EVERY_EPOCH = {"epochs": 4, "checkpoint_seconds": 0}


TEACHER = EVERY_EPOCH | {"network": "aconvnet", "ema_decay": 0.9, "learning_rate": 0.01}


PRUNE = {"macs": "20%", "params": "20%", "calibration_chips": 64, "weak_teacher": "accept"}  # it has seen 100 chips


def weights(folder) -> str:
    return artifact.read_record(folder).weights_sha256


def distil(config, house, out) -> TrainRecord:
    return distill_student(
        config, dataset=house / "dataset", teacher=house / "teacher", pruned=house / "pruned", student=out
    )


def prune(house, out, values, teacher="teacher") -> PruneRecord:
    folders = {"dataset": house / "dataset", "teacher": house / teacher}
    return prune_student(parse(PruneConfig, values), **folders, pruned=out, table=out.with_suffix(".md"))
