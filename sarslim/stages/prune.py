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
from sarslim.errors import InputError
from sarslim.evaluation.statistics import beats_guessing
from sarslim.networks import Recogniser, artifact, cost, timing
from sarslim.networks.inference import predict
from sarslim.progress import note
from sarslim.records import ModelRecord, PruneRecord, Trial
from sarslim.stages import bounds
from sarslim.stages.learn import described, input_shape, parents_of, require_classes
from sarslim.stages.results import CONFIG, PRUNING, read_json, write_json
from sarslim.stages.search import search
from sarslim.stages.sparse import learn_sparsely

BATCH = 64
LATENCY_SECONDS = 2.0
# What all learning in this stage takes over from the teacher's recipe: the views that the data allow (MSTAR forbids
# mirror images), and what suits their number and the machine.
VIEWS = {"batch_size", "class_balanced", "shift", "flip", "quarter_turns", "rotate", "speckle_looks", "mixed_precision"}


def prune_student(config: PruneConfig, *, dataset: Path, teacher: Path, pruned: Path, table: Path) -> PruneRecord:
    """Prunes the teacher, recalibrates its BatchNorm statistics, and writes the record of what was cut.

    With ``sparse_epochs`` it is a copy that has learnt on that is pruned. After a search the artifact holds the
    configuration of the winner, so that whoever prunes like it needs no search.

    Raises:
        InputError: a budget out of reach, an unknown layer, a teacher for other classes or one that has learned
            nothing.
    """
    start = time.monotonic()
    data = Dataset.open(dataset)
    whole, origin = artifact.load(teacher, kind="teacher")
    require_classes(origin, data, teacher)
    if config.weak_teacher == "refuse":
        require_teacher(whole, data, teacher)
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
    jobs = {one: timing.of_module(one, shape) for one in (whole, network) if "latency" in config.budgets}
    latencies = timing.in_turns(jobs, seconds=LATENCY_SECONDS)
    record = PruneRecord(
        layers=cut.layers,
        macs_before=cost.count_macs(whole, shape),
        macs_after=cost.count_macs(network, shape),
        params_before=cost.count_params(whole),
        params_after=cost.count_params(network),
        latency_ms_before=latencies[whole].median_ms if latencies else None,
        latency_ms_after=latencies[network].median_ms if latencies else None,
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


def require_teacher(teacher: Recogniser, data: Dataset, path: Path) -> None:
    """Refuses a teacher that has learned nothing: there would be nothing to keep of it.

    Judged on the validation part. The test part must not be seen before the end, or what is refused because of it
    would select by it. The validation part chose the epoch of this very teacher, so it flatters: who fails here fails.
    Where it has so few chips that not even right answers alone could pass, being above guessing at all is enough.

    Raises:
        InputError: its accuracy is not clearly (by the lower end of its 95 % interval) above the share of the largest
            class and above chance.
    """
    part = data.part("val")
    assert part.labels is not None
    share_right = accuracy(teacher, part)
    counts = np.bincount(part.labels, minlength=len(data.record.classes)).tolist()
    better, low, share = beats_guessing(share_right, counts)
    if not better and not beats_guessing(1.0, counts)[0]:
        note(f"{sum(counts)} validation chips are too few to tell whether the teacher is better than guessing")
        better = share_right > share
    if not better:
        raise InputError(
            str(path),
            f"the teacher is right for {share_right:.1%} of the {sum(counts)} validation chips, {low:.1%} by the lower "
            f"end of its 95 % interval, and always naming the largest class is for {share:.1%}",
            "Train it better (teacher.epochs, teacher.learning_rate, more chips), or set prune.weak_teacher=accept to "
            "try out the rest",
        )


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
