"""One cell of the grid: makes what is not there yet, recovers the student, and measures it."""

import functools
import hashlib
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.method import scores
from sarslim import __version__, networks
from sarslim.chips.dataset import Dataset
from sarslim.config import (
    NETWORKS,
    AskConfig,
    DistillConfig,
    EvaluateConfig,
    PrepareConfig,
    PruneConfig,
    TeacherConfig,
    parse,
)
from sarslim.config.recoveries import recovery
from sarslim.networks import artifact
from sarslim.networks.cost import count_macs, count_params
from sarslim.networks.inference import folded
from sarslim.stages import shifted
from sarslim.stages.ask import ask_teacher
from sarslim.stages.asking import open_answers
from sarslim.stages.distill import recover, recover_in_rounds
from sarslim.stages.learn import device, input_shape, parents_of
from sarslim.stages.prepare import prepare
from sarslim.stages.prune import prune_student
from sarslim.stages.results import CONFIG, read_json
from sarslim.stages.teacher import train_teacher
from sarslim.training.answers import Answers
from sarslim.training.augmentation import steps_per_epoch

PATHS: dict[str, Mapping[str, Any]] = {
    "uniform": {},
    "early": {"stage_growth": 0.7},
    "even": {"stage_growth": 0.5},  # as many channels in every stage
    "late": {"stage_growth": 1.4},
    "search": {"allocation": "search"},
    "isomorphic": {"allocation": "isomorphic"},
    "global": {"allocation": "global"},
    "global, bounded": {"allocation": "global", "max_layer_ratio": 0.93},
    "taylor": {"criterion": "taylor"},
    "random": {"criterion": "random"},
    "sparse": {"sparse_epochs": 20},
}
"""Where the channels go, beside the budget. Any other path is the name of a rival, which is not pruned at all."""


@dataclass(frozen=True)
class Schedule:
    """How many steps teacher and students learn, and the share of the labels that decides about epochs and rates."""

    teacher_steps: int
    steps: int
    val_fraction: float = 0.15


@dataclass(frozen=True)
class Source:
    """A data set: how its chips are read (fields of ``PrepareConfig``), how all networks see them, and its regimes."""

    prepare: Mapping[str, Any]
    training: Mapping[str, Any]
    schedules: Mapping[float, Schedule]  # by the share of the labels


SOURCES = {
    "MSTAR": Source(
        {"image_size": 64, "scaling": "linear"},
        {"flip": False},
        {1.0: Schedule(2600, 4000, 0.1), 0.25: Schedule(1600, 3000), 0.1: Schedule(1000, 2000)},
    ),
    # The usual part of MSTAR, whose networks are measured on other versions of two vehicles, too (see versions.py).
    "MSTAR-versions": Source(
        {"image_size": 64, "scaling": "linear"},
        {"flip": False},
        {1.0: Schedule(2300, 2000, 0.1)},
    ),
    "OpenSARShip": Source(
        {"format": "opensarship", "classes": ["Cargo", "Tanker"], "polarisations": ["VV"]},
        {"class_balanced": True},
        {1.0: Schedule(600, 1000)},
    ),
    # The part of FUSAR-Ship that configs/fusar3.yaml tells of; its recipe was chosen on training and validation chips.
    "FUSAR-3": Source(
        {
            "format": "folder",
            "image_size": 32,
            "multilook": 8,
            "scaling": "chip_log",
            "group_by": "block",
            "unlabelled_multilook": 2,
        },
        {"class_balanced": True, "quarter_turns": True, "label_smoothing": 0.1},
        {1.0: Schedule(800, 800, 0.2)},
    ),
    "FUSAR-Ship": Source(
        {"format": "fusar", "image_size": 128, "min_chips_per_class": 50},
        {"class_balanced": True},
        {1.0: Schedule(6000, 8000), 0.25: Schedule(3000, 4000), 0.1: Schedule(2000, 3000)},
    ),
}
"""A share of the labels that is missing here is left out of every section of the plan."""


SHOWN: dict[str, Mapping[str, Any]] = {"speckled": {"speckle_looks": 4.0}}
"""How a distillation shows its chips, by what stands behind the comma in the name of a method."""


class Setting(NamedTuple):
    """What a learning rate is chosen for, and seeds are averaged over; fields as those of ``Cell``."""

    data: str
    fraction: float
    generations: int
    budget: str
    path: str
    method: str
    unlabelled: bool
    longer: int
    views: int


@dataclass(frozen=True)
class Cell:
    """One student. ``budget`` reads ``macs=1%`` or ``params=50k macs=20M``; a rival has none."""

    data: str
    fraction: float
    budget: str
    path: str
    method: str
    unlabelled: bool
    learning_rate: float
    seed: int
    generations: int = 1  # of the teacher
    longer: int = 1  # times as many steps as the regime gives students
    views: int = 0  # of each chip that the teacher answers beforehand; 0: it answers in every step

    @property
    def setting(self) -> Setting:
        """All but the learning rate and the seed."""
        return Setting(**{name: getattr(self, name) for name in Setting._fields})

    @property
    def is_rival(self) -> bool:
        """Whether the network is a lightweight one as published, not a pruned one."""
        return self.path in NETWORKS


class Places(NamedTuple):
    """Where the source is, where further chips are of which no label is used (or None), and what cells share.

    ``shifted`` are labelled chips of another kind, by name: networks are measured on them, and nothing else.
    """

    chips: Path
    others: Path | None
    work: Path
    shifted: Mapping[str, Path] = {}


def run(cell: Cell, at: Places) -> dict[str, Any]:
    """The line of results of a cell."""
    work = at.work
    schedule = SOURCES[cell.data].schedules[cell.fraction]
    steps = cell.longer * schedule.steps
    data, teacher = taught(cell, at)
    with FileLock(work / f"{places(cell, work)[2].name}.lock"):
        network = rival(cell, data) if cell.is_rival else pruned(cell, work)
    if cell.is_rival:
        quick_to_train(network)
    whole = artifact.load(teacher, kind="teacher")[0].to(device())

    began = time.monotonic()
    known, _, shown = cell.method.partition(", ")
    parts = [len(data.part(name).images) for name in ("train", "unlabelled") if name == "train" or cell.unlabelled]
    basis = parse(
        DistillConfig,
        {
            **recipe(cell), "epochs": as_many_steps(steps, *parts), "learning_rate": cell.learning_rate,
            "use_unlabelled": cell.unlabelled,
            "mixed_precision": torch.cuda.is_available(),  # the teacher answers once, and students are too small
            **(SHOWN[shown] if shown else {}),
        },
    )  # fmt: skip
    method = recovery(known, basis)
    stored = answered(cell, basis, data, work, shown) if cell.views else None
    remembered = folded(whole) if stored else Remembered(whole, work / "answers" / teacher.name)
    if method.progressive_steps > 1:
        target = read_json(PruneConfig, places(cell, work)[2] / CONFIG)
        network, record = recover_in_rounds(whole, target, remembered, method, data, taps=taps, answers=stored)
    else:
        record = recover(network, remembered, method, data, taps=taps, answers=stored)
    kept = record.epochs[record.kept_epoch - 1]
    trial, shortcuts = tried(cell, data, at)
    return {
        **asdict(cell),
        "validation": {"loss": kept.val_loss, "accuracy": kept.val_accuracy, "macro_f1": kept.val_macro_f1},
        "test": scores.scores(network, trial),
        "teacher_test": scores.of_teacher(teacher, trial),
        "shortcuts": shortcuts,
        "params": count_params(network),
        "macs": count_macs(network, input_shape(data)),
        "steps": steps,
        "teacher_steps": schedule.teacher_steps,
        "kept": record.kept_epoch / len(record.epochs),
        "seconds": round(time.monotonic() - began, 1),
        "labelled": parts[0],
        "data_digest": data.record.digest,
        "commit": commit(),
        "sarslim": __version__,
        "torch": torch.__version__,
        "machine": machine(),
    }


def taught(cell: Cell, at: Places) -> tuple[Dataset, Path]:
    """The data set of a cell, and where the teacher trained on it is; both are made once."""
    dataset, teacher, _ = places(cell, at.work)
    at.work.mkdir(parents=True, exist_ok=True)
    with FileLock(at.work / f"{dataset.name}.lock"):
        data = prepared(cell, at)
        if not teacher.exists():
            epochs = as_many_steps(
                SOURCES[cell.data].schedules[cell.fraction].teacher_steps, len(data.part("train").images)
            )
            config = parse(TeacherConfig, recipe(cell) | {"epochs": epochs, "generations": cell.generations})
            train_teacher(config, dataset=dataset, teacher=teacher)
    return data, teacher


def prepared(cell: Cell, at: Places) -> Dataset:
    """The data set of a cell, made if it is not there yet."""
    source = SOURCES[cell.data]
    dataset = places(cell, at.work)[0]
    if not dataset.exists():
        options = {"label_fraction": cell.fraction, "keep_unlabelled": True}
        options["val_fraction"] = source.schedules[cell.fraction].val_fraction
        sources = {"source": str(at.chips), "unlabelled_source": str(at.others or "")}
        chosen: Any = parse(PrepareConfig, {**source.prepare, **options, **sources, "seed": cell.seed})
        prepare(chosen, dataset=dataset, card=at.work / "cards" / f"{dataset.name}.html")
    return Dataset.open(dataset)


def tried(cell: Cell, data: Dataset, at: Places) -> tuple[scores.Trial, dict[str, Any]]:
    """What the networks of a cell are measured on, and what shortcuts get there."""
    dataset = places(cell, at.work)[0]
    with FileLock(at.work / f"{dataset.name}.lock"):
        shortcuts = scores.shortcuts(dataset, data)
    config = parse(EvaluateConfig, {"shifted": {name: str(folder) for name, folder in at.shifted.items()}})
    elsewhere = shifted.read(config, data, read_json(PrepareConfig, dataset / CONFIG))
    return scores.Trial(data, cell.seed, shortcuts["answers"], elsewhere), shortcuts["alone"]


def answered(cell: Cell, basis: DistillConfig, data: Dataset, work: Path, shown: str) -> Answers | None:
    """What the teacher says beforehand of all chips, by the stage that asks it, once for all methods of a seed.

    As many of the unlabelled chips as the cells show that have a use for these.
    """
    dataset, teacher, _ = places(cell, work)
    folder = work / "-".join(filter(None, (teacher.name, str(cell.views), shown, "views")))
    steps = SOURCES[cell.data].schedules[cell.fraction].steps
    chips = [len(data.part(name).images) for name in ("train", "unlabelled") if data.has(name)]
    most = {"use_unlabelled": True, "mixed_precision": True, "epochs": as_many_steps(steps, *chips)}
    everything = recovery("all terms", basis.model_copy(update=most))
    with FileLock(work / f"{folder.name}.lock"):
        if not folder.exists():
            asked = AskConfig(views=cell.views, seed=cell.seed).filled(everything)
            ask_teacher(asked, dataset=dataset, teacher=teacher, answers=folder)
    return open_answers(folder, everything, data, parents_of(data, teacher=teacher))


def recipe(cell: Cell) -> dict[str, Any]:
    """What the training of every network of a cell has in common."""
    return {**SOURCES[cell.data].training, "checkpoints": "", "seed": cell.seed}


def places(cell: Cell, work: Path) -> tuple[Path, Path, Path]:
    """Where data set, teacher and pruned network of a cell are kept."""
    dataset = work / f"{cell.data}-{cell.fraction:g}-{cell.seed}"
    teacher = work / (f"{dataset.name}-teacher" + f"-{cell.generations}" * (cell.generations > 1))
    return dataset, teacher, work / f"{teacher.name}-{cell.path}-{cell.budget}"


def pruned(cell: Cell, work: Path) -> networks.Recogniser:
    """The teacher of this seed, pruned along the path to the budget."""
    dataset, teacher, folder = places(cell, work)
    if not folder.exists():
        budgets = dict(bound.split("=") for bound in cell.budget.split())
        # Narrow networks want finer steps than 4 channels, and less of them to be spared in each layer.
        fine = {"macs": "", "params": "", "round_to": 2, "max_layer_ratio": 0.98}
        config = parse(PruneConfig, fine | budgets | dict(PATHS[cell.path]) | {"seed": cell.seed})
        prune_student(config, dataset=dataset, teacher=teacher, pruned=folder, table=work / f"{folder.name}.md")
    return artifact.load(folder, kind="pruned")[0]


def rival(cell: Cell, data: Dataset) -> networks.Recogniser:
    """A lightweight network as published, with fresh weights."""
    torch.manual_seed(cell.seed)
    return networks.build_for(data.record, cell.path)


def quick_to_train(network: nn.Module) -> None:
    """Lays a network's weights out so that its depthwise convolutions learn up to twice as fast on CPUs."""
    for layer in network.modules():
        # The first layer stays: with one channel, oneDNN's backward pass cannot be trusted (see training/batches.py).
        if isinstance(layer, nn.Conv2d) and layer.in_channels > 1:
            layer.to(memory_format=torch.channels_last)


class Remembered(nn.Module):
    """A teacher that answers a batch it has seen before from a file.

    Cells of one seed show the same views in the same order, and the teacher is most of the work of distillation. On a
    GPU it is not, and nothing is kept.
    """

    def __init__(self, teacher: networks.Recogniser, folder: Path) -> None:
        super().__init__()
        self.teacher, self.folder = folded(teacher), folder
        # Twice as fast as float32 on a CPU that has instructions for it; normalisation stays exact.
        self.teacher.backbone.to(torch.bfloat16).to(memory_format=torch.channels_last)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Remembered":
        return self

    def forward(self, images: Tensor) -> Tensor:
        return self.answers(images)[0]

    def answers(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Logits (N, K) and the pooled features (N, C_s, 1, 1) of every stage."""
        if images.is_cuda:
            return self._ask(images)
        file = self.folder / f"{hashlib.sha256(images.numpy().tobytes()).hexdigest()[:32]}.safetensors"
        if not file.exists():
            logits, pooled = self._ask(images)
            found = {str(stage): tensor for stage, tensor in enumerate([logits, *pooled])}
            file.parent.mkdir(parents=True, exist_ok=True)
            draft = file.with_suffix(f".{os.getpid()}")
            save_file(found, draft)
            draft.replace(file)
        kept = load_file(file)
        return kept["0"], tuple(kept[str(stage)] for stage in range(1, len(kept)))

    def _ask(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        with torch.autocast(images.device.type, torch.bfloat16):
            logits, features = networks.forward_with_taps(self.teacher, images)
        return logits.float(), tuple(feature.float().mean(dim=(2, 3), keepdim=True) for feature in features)


def taps(network: Any, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """As ``networks.forward_with_taps``, for a remembered teacher, too."""
    return network.answers(images) if isinstance(network, Remembered) else networks.forward_with_taps(network, images)


def as_many_steps(steps: int, labelled: int, unlabelled: int = 0) -> int:
    """Epochs that come nearest to so many steps."""
    return max(round(steps / steps_per_epoch(labelled, unlabelled, DistillConfig().batch_size)), 1)


@functools.cache
def commit() -> str:
    """The commit that is checked out; ``-dirty`` with changes."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    return done.stdout.strip()


def machine() -> str:
    """The class of the machine: what computes, and its kind."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"one core of {model or platform.machine()}"
