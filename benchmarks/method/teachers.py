"""What makes a better teacher of few ships: the recipe with one thing changed, on validation and test chips."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.method import contrast, scores
from benchmarks.method.cells import (
    SOURCES,
    Cell,
    Places,
    as_many_steps,
    commit,
    machine,
    places,
    prepared,
    recipe,
    taught,
    tried,
)
from benchmarks.method.plan import SEEDS
from sarslim.chips.dataset import Dataset
from sarslim.config import PrepareConfig, TeacherConfig, parse
from sarslim.evaluation.statistics import t_interval
from sarslim.networks import artifact
from sarslim.records import TrainRecord
from sarslim.stages.prepare import prepare
from sarslim.stages.results import TRAINING, read_json
from sarslim.stages.teacher import train_teacher

RECIPE = "the recipe"
VEHICLES = "pretrained on vehicles"
UNLABELLED = "pretrained on unlabelled chips"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    RECIPE: {},
    "turned by any angle": {"quarter_turns": False, "rotate": 180},
    "not turned": {"quarter_turns": False},
    "without class balance": {"class_balanced": False},
    "without label smoothing": {"label_smoothing": 0},
    "label smoothing 0.2": {"label_smoothing": 0.2},
    "a second generation": {"generations": 2},
    VEHICLES: {},
    UNLABELLED: {},
}
VEHICLE_STEPS = 1500
COMPARED = ("val_loss", "val_macro_f1", "accuracy", "balanced_accuracy")


def measure(
    data: str,
    at: Places,
    seeds: Sequence[int] = SEEDS,
    variants: Sequence[str] = tuple(VARIANTS),
    started: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Validation and test figures of the variants, by seed, and the differences to the recipe as it is.

    ``over_shortcut_from`` and ``_to`` are the ends of the interval, over test chips, of what a teacher is above the
    best shortcut of ``evaluation.shortcuts``.

    Args:
        at: as of the grid, whose data sets and teachers are taken where they are there.
        variants: beside the recipe as it is.
        started: the weights that variants begin with, as of :func:`starts`.
    """
    found: dict[str, dict[str, list[float]]] = {name: {} for name in (RECIPE, *variants)}
    digests = []
    for seed in seeds:
        cell = Cell(data, 1.0, "", "", "", False, 0.0, seed)
        dataset, usual = taught(cell, at)
        digests.append(dataset.record.digest)
        trial, _ = tried(cell, dataset, at)
        for name in found:
            folder = usual
            if name != RECIPE:
                folder = at.work / f"{usual.name}-{name.replace(' ', '-')}"
                fields = dict(VARIANTS[name])
                if started and name in started:
                    fields["pretrained"] = str(started[name])
                if not folder.exists():
                    steps = SOURCES[data].schedules[1.0].teacher_steps
                    epochs = as_many_steps(steps, len(dataset.part("train").images))
                    config = parse(TeacherConfig, recipe(cell) | {"epochs": epochs} | fields)
                    train_teacher(config, dataset=places(cell, at.work)[0], teacher=folder)
            for figure, value in _figures(folder, trial).items():
                found[name].setdefault(figure, []).append(value)
    return {
        "variants": {
            name: figures | {f"{figure}_over_the_recipe": over(figures, found[RECIPE], figure) for figure in COMPARED}
            for name, figures in found.items()
        },
        "seeds": list(seeds),
        "command": f"python -m benchmarks.method teachers --name {data} --seeds {' '.join(map(str, seeds))}"
        + ("" if tuple(variants) == tuple(VARIANTS) else told(variants)),
        "data_digests": digests,
        "commit": commit(),
        "machine": machine(),
    }


def starts(data: str, at: Places, vehicles: Path | None, variants: Sequence[str]) -> dict[str, Path]:
    """The weights that variants begin with, made once for all seeds.

    Args:
        at: with further chips, for the variant that learns these first.
        vehicles: chips of MSTAR, for the variant that learns these first.
    """
    made = {}
    if VEHICLES in variants:
        assert vehicles
        made[VEHICLES] = _of_vehicles(vehicles, data, at.work) / artifact.WEIGHTS
    if UNLABELLED in variants:
        cell = Cell(data, 1.0, "", "", "", False, 0.0, 0)
        file = at.work / f"{data}-unlabelled.safetensors"
        made[UNLABELLED] = (
            file if file.exists() else contrast.learn(prepared(cell, at), TeacherConfig().network, 0, file)
        )
    return made


def _of_vehicles(chips: Path, data: str, work: Path) -> Path:
    """One teacher of vehicles at the size and scaling of the ships, for all seeds."""
    folder, dataset = work / f"{data}-vehicles-teacher", work / f"{data}-vehicles"
    if not folder.exists():
        ships = SOURCES[data].prepare
        how = {"source": str(chips), "image_size": ships["image_size"], "multilook": 2, "scaling": ships["scaling"]}
        prepare(parse(PrepareConfig, how), dataset=dataset, card=work / "cards" / f"{dataset.name}.html")
        epochs = as_many_steps(VEHICLE_STEPS, len(Dataset.open(dataset).part("train").images))
        fields = {"epochs": epochs, "flip": False, "checkpoints": ""}
        train_teacher(parse(TeacherConfig, fields), dataset=dataset, teacher=folder)
    return folder


def _figures(teacher: Path, trial: scores.Trial) -> dict[str, float]:
    record = read_json(TrainRecord, teacher / TRAINING)
    found = scores.of_teacher(teacher, trial)
    low, high = found["over_shortcut"]
    return {
        "val_loss": record.epochs[record.kept_epoch - 1].val_loss,
        "val_macro_f1": record.val_macro_f1,
        "accuracy": found["accuracy"],
        "balanced_accuracy": found["balanced_accuracy"],
        "over_shortcut_from": low,
        "over_shortcut_to": high,
    }


def told(variants: Sequence[str]) -> str:
    """As the command line names them."""
    return " --variants " + " ".join(map(shlex.quote, variants))


def over(figures: Mapping[str, list[float]], usual: Mapping[str, list[float]], figure: str) -> dict[str, Any]:
    pairs = [one - other for one, other in zip(figures[figure], usual[figure], strict=True)]
    return {"mean": sum(pairs) / len(pairs), "interval": t_interval(pairs)}
