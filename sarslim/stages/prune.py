"""Stage 3: the network cut down to its budget."""

import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sarslim import __version__, networks, pruning, report
from sarslim.chips.dataset import Dataset, Part
from sarslim.config import PruneConfig, TeacherConfig
from sarslim.networks import Recogniser, artifact, cost
from sarslim.networks.inference import predict
from sarslim.records import ModelRecord, PruneRecord, Trial
from sarslim.stages import bounds
from sarslim.stages.learn import described, input_shape, parents_of, require_classes
from sarslim.stages.results import CONFIG, PRUNING, read_json, write_json
from sarslim.stages.search import search
from sarslim.stages.sparse import learn_sparsely

BATCH = 64
# What all learning in this stage takes over from the teacher's recipe: the views that the data allow (MSTAR forbids
# mirror images), and what suits their number and the machine.
VIEWS = {"batch_size", "class_balanced", "shift", "flip", "rotate", "speckle_looks", "mixed_precision"}


def prune_student(config: PruneConfig, *, dataset: Path, teacher: Path, pruned: Path, table: Path) -> PruneRecord:
    """Prunes the teacher, recalibrates its BatchNorm statistics, and writes the record of what was cut.

    With ``sparse_epochs`` it is a copy that has learnt on that is pruned. After a search the artifact holds the
    configuration of the winner, so that whoever prunes like it needs no search.

    Raises:
        InputError: a budget out of reach, an unknown layer, a teacher for other classes.
    """
    start = time.monotonic()
    data = Dataset.open(dataset)
    whole, origin = artifact.load(teacher, kind="teacher")
    require_classes(origin, data, teacher)
    bounds.bound_calibration(config, input_shape(data), len(data.part("train").images))
    views = read_json(TeacherConfig, teacher / CONFIG).model_dump(include=VIEWS)
    batches = calibration(data.part("train"), config)
    uncut = learn_sparsely(whole, config, data, views) if config.sparse_epochs else whole
    cut_down = partial(
        pruning.prune,
        uncut,
        input_shape=input_shape(data),
        output_layers=networks.output_layers(whole),
        stages=networks.stages(whole),
        batches=lambda: batches,
    )
    trials: tuple[Trial, ...] = ()
    if config.allocation == "search":
        config, cut, trials = search(config, whole, data, cut=cut_down, batches=batches, views=views)
    else:
        cut = cut_down(config)
    network = cut.network
    assert isinstance(network, Recogniser)
    raw = accuracy(network, data.part("val"))
    pruning.recalibrate(network, batches)
    recalibrated = accuracy(network, data.part("val"))
    shape = input_shape(data)
    timed = "latency" in config.budgets
    record = PruneRecord(
        layers=cut.layers,
        macs_before=cost.count_macs(whole, shape),
        macs_after=cost.count_macs(network, shape),
        params_before=cost.count_params(whole),
        params_after=cost.count_params(network),
        latency_ms_before=cost.measure_latency(whole, shape).median_ms if timed else None,
        latency_ms_after=cost.measure_latency(network, shape).median_ms if timed else None,
        steps=cut.steps,
        val_accuracy_raw=raw,
        val_accuracy_recalibrated=recalibrated,
        search=trials,
        seconds=time.monotonic() - start,
    )
    artifact.save(
        pruned,
        network,
        ModelRecord(
            sarslim_version=__version__,
            kind="pruned",
            network=origin.network,
            stem=origin.stem,
            widths={},
            parents=parents_of(data, teacher=teacher),
            pruning=config.model_dump(mode="json"),
            metrics={"val_accuracy": recalibrated},
            **described(data),
        ),
    )
    write_json(pruned / CONFIG, config)
    write_json(pruned / PRUNING, record)
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(report.pruning_table(record), encoding="utf-8")
    return record


def calibration(part: Part, config: PruneConfig) -> list[tuple[Tensor, Tensor]]:
    """A random choice of training chips, in batches of images (N, C, H, W) and labels (N,)."""
    assert part.labels is not None
    count = min(config.calibration_chips, len(part.labels))
    rows = np.sort(np.random.default_rng(config.seed).choice(len(part.labels), count, replace=False))
    images, labels = torch.from_numpy(part.images[rows]), torch.from_numpy(part.labels[rows])
    # In a random order, so that a batch holds several classes.
    order = torch.from_numpy(np.random.default_rng(config.seed).permutation(count))
    return [(images[rows].float(), labels[rows]) for rows in order.split(BATCH) if len(rows) > 1]


def accuracy(network: Recogniser, part: Part) -> float:
    """Share of chips recognised rightly."""
    assert part.labels is not None
    return float(np.mean(predict(network, part.images).argmax(axis=1) == part.labels))
