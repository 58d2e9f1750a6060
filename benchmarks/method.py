"""Recovery methods against each other on the same pruned weights: runs a grid, cell by cell, and tabulates it.

    python benchmarks/method.py run --data MSTAR --fractions 0.1 --budgets 1% --seeds 0 1 2
    python benchmarks/method.py table            # benchmarks/METHOD_RESULTS.md from the lines of results

A cell is (data, share of the labels, budget, method, seed). What cells share (data set, teacher, pruned network) is
made once and kept in the work folder; a cell whose line is there already is not run again. Every method has the epochs,
the steps and the augmentation of every other, and nothing is chosen on test data.
"""

import argparse
import json
import platform
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sarslim import __version__, checkpoint, networks
from sarslim.chips.dataset import Dataset
from sarslim.config import DistillConfig, PrepareConfig, PruneConfig, TeacherConfig, parse
from sarslim.cost import count_macs, count_params
from sarslim.inference import macro_f1, predict
from sarslim.report import units
from sarslim.stages.distill import distill_student
from sarslim.stages.learn import input_shape
from sarslim.stages.prepare import prepare
from sarslim.stages.prune import prune_student
from sarslim.stages.teacher import train_teacher
from sarslim.training.augmentation import steps_per_epoch

HERE = Path(__file__).parent
NO_TERMS = {"crd_weight": 0.0, "auxiliary_label_weight": 0.0}
TWIN = "finetune"
METHODS: dict[str, dict[str, Any]] = {
    TWIN: {"method": "finetune"},
    "kd": NO_TERMS,
    "kd, standardised": NO_TERMS | {"standardise_logits": True},
    "dkd": NO_TERMS | {"response": "dkd", "response_weight": 0.1},
    "dist": NO_TERMS | {"response": "dist", "response_weight": 0.05},
    "kd + scd": NO_TERMS | {"scd_weight": 0.1},
    "kd + srd": NO_TERMS | {"srd_weight": 0.1, "auxiliary_label_weight": 0.1},
    "kd + crd": {},
    "kd + crd, reversed": {"crd_direction": "deep_from_shallow"},
    "kd + scd + srd + crd": {"scd_weight": 0.1, "srd_weight": 0.1},
    "kd, unlabelled": NO_TERMS | {"use_unlabelled": True},
    "kd + crd, unlabelled": {"use_unlabelled": True},
    "scratch": {"method": "finetune", "start": "scratch"},
}
RIVALS = ("mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1", "efficientnet_b0", "aconvnet")
METHODS |= {name: {"method": "finetune", "start": name} for name in RIVALS}
METHODS |= {f"{name}, kd": NO_TERMS | {"start": name} for name in RIVALS}
RESAMPLES = 10_000
FEWEST_SEEDS = 3  # below, an interval over seeds would say nothing


@dataclass(frozen=True)
class Cell:
    """One student."""

    data: str
    fraction: float
    budget: str
    method: str
    seed: int

    @property
    def regime(self) -> tuple[str, float, str]:
        """What the methods are compared in."""
        return self.data, self.fraction, self.budget


@dataclass(frozen=True)
class Recipe:
    """What all cells have in common."""

    source: Path
    work: Path
    image_size: int
    teacher_epochs: int
    epochs: int
    learning_rate: float


def run(cell: Cell, recipe: Recipe) -> dict[str, Any]:
    """Makes what is not there yet, recovers the student, and measures it on validation and test chips."""
    dataset = recipe.work / f"{cell.data}-{cell.fraction:g}-{cell.seed}"
    config: Any = parse(
        PrepareConfig,
        {
            "source": str(recipe.source), "image_size": recipe.image_size, "val_fraction": 0.1, "seed": cell.seed,
            "label_fraction": cell.fraction, "keep_unlabelled": cell.fraction < 1,
        },
    )  # fmt: skip
    if not dataset.exists():
        prepare(config, dataset=dataset, card=recipe.work / "cards" / f"{dataset.name}.html")
    common = {"flip": False, "checkpoints": "", "seed": cell.seed, "learning_rate": recipe.learning_rate}
    teacher = recipe.work / f"{dataset.name}-teacher"
    if not teacher.exists():
        train_teacher(
            parse(TeacherConfig, common | {"epochs": recipe.teacher_epochs}), dataset=dataset, teacher=teacher
        )
    pruned = recipe.work / f"{dataset.name}-{cell.budget}"
    if not pruned.exists():
        prune = parse(PruneConfig, {"macs": cell.budget, "params": "", "seed": cell.seed})
        prune_student(prune, dataset=dataset, teacher=teacher, pruned=pruned, table=pruned.with_suffix(".md"))

    data = Dataset.open(dataset)
    options: dict[str, Any] = {"use_unlabelled": False, "start": "pruned"} | METHODS[cell.method]
    start = options.pop("start")
    epochs = recipe.epochs
    if options["use_unlabelled"] and data.has("unlabelled"):
        epochs = as_many_steps(epochs, *(len(data.part(part).images) for part in ("train", "unlabelled")))
    student = recipe.work / "students" / f"{dataset.name}-{cell.budget}-{cell.method}"
    began = time.monotonic()
    beginning = pruned if start == "pruned" else fresh(start, pruned, recipe.work, cell.seed)
    recovery = parse(DistillConfig, common | options | {"epochs": epochs})
    record = distill_student(recovery, dataset=dataset, teacher=teacher, pruned=beginning, student=student)
    network, _ = checkpoint.load(student)
    whole, _ = checkpoint.load(teacher)
    return {
        **asdict(cell),
        "val_macro_f1": record.val_macro_f1,
        "test": scores(network, data),
        "teacher_test": scores(whole, data),
        "params": count_params(network),
        "macs": count_macs(network, input_shape(data)),
        "epochs": epochs,
        "teacher_epochs": recipe.teacher_epochs,
        "learning_rate": recipe.learning_rate,
        "seconds": round(time.monotonic() - began, 1),
        "labelled": data.record.parts["train"].chips,
        "data_digest": data.record.digest,
        "commit": commit(),
        "sarslim": __version__,
        "machine": f"{platform.machine()}, {platform.system()}",
    }


def fresh(start: str, pruned: Path, work: Path, seed: int) -> Path:
    """A network that has learnt nothing: of the pruned architecture (``scratch``), or a rival by its name."""
    folder = work / "fresh" / f"{pruned.name}-{start}"
    if not folder.exists():
        network, record = checkpoint.load(pruned)
        torch.manual_seed(seed)
        if start == "scratch":
            for layer in network.modules():
                reset: Any = getattr(layer, "reset_parameters", None)
                if reset is not None:
                    reset()
        else:
            network = networks.build(
                start,
                classes=len(record.classes),
                channels=len(record.channels),
                stem="standard",
                mean=record.mean,
                std=record.std,
            )
            record = record.model_copy(update={"network": start, "stem": "standard"})
        checkpoint.save(folder, network, record)
    return folder


def as_many_steps(epochs: int, labelled: int, unlabelled: int) -> int:
    """Epochs with unlabelled chips that take as many steps as ``epochs`` without them."""
    batch = DistillConfig().batch_size
    return round(epochs * steps_per_epoch(labelled, 0, batch) / steps_per_epoch(labelled, unlabelled, batch))


def scores(network: Any, data: Dataset) -> dict[str, float]:
    """Accuracy and macro-F1 on the test part."""
    part = data.part("test")
    assert part.labels is not None
    predicted = predict(network, part.images).argmax(axis=1)
    return {"accuracy": float(np.mean(predicted == part.labels)), "macro_f1": macro_f1(part.labels, predicted)}


def commit() -> str:
    """The commit that is checked out; ``-dirty`` with changes."""
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True)
    return done.stdout.strip()


def read(file: Path) -> list[dict[str, Any]]:
    """The lines of results; a last line that was cut short is left out."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return lines


def cell_of(line: Mapping[str, Any]) -> Cell:
    """The cell that a line of results belongs to."""
    return Cell(**{name: line[name] for name in Cell.__dataclass_fields__})


def interval(differences: list[float]) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a mean of paired differences (Efron 1979)."""
    values = np.array(differences)
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def tables(lines: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown, a section per regime: each method's accuracy, and its difference to the twin of the same seed."""
    regimes: dict[tuple[str, float, str], dict[str, dict[int, dict[str, Any]]]] = defaultdict(lambda: defaultdict(dict))
    for line in lines:
        cell = cell_of(line)
        regimes[cell.regime][cell.method][cell.seed] = line
    for (data, fraction, budget), methods in sorted(regimes.items()):
        twins = {seed: line["test"]["accuracy"] for seed, line in methods.get(TWIN, {}).items()}
        some = next(iter(next(iter(methods.values())).values()))
        teachers = [line["teacher_test"]["accuracy"] for line in next(iter(methods.values())).values()]
        yield f"## {data}, {fraction:.0%} of the labels, {budget} of the teacher's MACs\n"
        teacher = units.percent(float(np.mean(teachers)))
        size = f"{units.count(some['params'])} parameters and {units.count(some['macs'])} MACs"
        yield f"{some['labelled']} labelled chips; teacher {teacher}; students of {size}; {some['epochs']} epochs.\n"
        yield "| recovery | seeds | test accuracy, mean (least to most) | difference to fine-tuning, 95 % interval |"
        yield "|---|---|---|---|"
        for method in [name for name in METHODS if name in methods]:
            found = {seed: line["test"]["accuracy"] for seed, line in methods[method].items()}
            values = list(found.values())
            paired = [found[seed] - twins[seed] for seed in found if seed in twins]
            versus = ""
            if method != TWIN and paired:
                versus = units.points(float(np.mean(paired)))
                if len(paired) >= FEWEST_SEEDS:
                    low, high = interval(paired)
                    versus += f" ({100 * low:+.1f} to {100 * high:+.1f})"
            spread = f"{100 * min(values):.1f} to {100 * max(values):.1f}"
            yield f"| {method} | {len(values)} | {units.percent(float(np.mean(values)))} ({spread}) | {versus} |"
        yield ""


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--results", type=Path, default=HERE / "results" / "method.jsonl")
    parser.add_argument("--page", type=Path, default=HERE / "METHOD_RESULTS.md")
    parser.add_argument("--data", type=Path, help="folder with TRAIN and TEST, a folder per class in each")
    parser.add_argument("--name", default="MSTAR")
    parser.add_argument("--work", type=Path, default=Path("runs") / "method")
    parser.add_argument("--fractions", type=float, nargs="+", default=[0.1])
    parser.add_argument("--budgets", nargs="+", default=["1%"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--teacher-epochs", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--learning-rate", type=float, default=0.002)
    given = parser.parse_args()
    if given.what == "table":
        lines = read(given.results)
        commits = ", ".join(sorted({line["commit"] for line in lines}))
        head = (
            "# Recovery methods on the same pruned weights\n\nMade by `python benchmarks/method.py table` from "
            f"`results/{given.results.name}`, a line per student with its configuration, data digest and costs. "
            f"Commit {commits}. Intervals: bootstrap over seeds of the paired differences; with few seeds they are "
            "too narrow. All methods have the same learning rate; it is not tuned for each yet.\n"
        )
        given.page.write_text("\n".join([head, *tables(lines)]), encoding="utf-8")
        print(f"wrote {given.page}")
        return
    if given.data is None:
        parser.error("--data is missing")
    recipe = Recipe(
        given.data.resolve(), given.work, given.image_size, given.teacher_epochs, given.epochs, given.learning_rate
    )
    done = {cell_of(line) for line in read(given.results)}
    # Seeds outermost: whatever time there is gives whole seeds.
    grid = product(given.seeds, given.fractions, given.budgets, given.methods)
    for seed, fraction, budget, method in grid:
        cell = Cell(given.name, fraction, budget, method, seed)
        if cell in done:
            continue
        line = run(cell, recipe)
        given.results.parent.mkdir(parents=True, exist_ok=True)
        with given.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{cell.data} {fraction:g} {budget} seed {seed}: {method} {line['test']['accuracy']:.4f}", flush=True)


if __name__ == "__main__":
    main()
