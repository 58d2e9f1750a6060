"""What two processes are set to do in ``test_parallel.py``: a module apart, for it loads in half the time."""

import os
import signal
import sys
import tempfile
from pathlib import Path

import torch
from test_distillation import Staged, with_taps
from test_loop import Kept, Normalised, chips
from torch import nn

from sarslim.config import DistillConfig, TeacherConfig, TrainingConfig, ViewsConfig
from sarslim.errors import InputError
from sarslim.records import AskRecord, Scaling, TrainRecord
from sarslim.training import LabelObjective, TaughtObjective, fit, parallel
from sarslim.training.answers import Answers, write
from sarslim.training.distillation import DistillObjective
from sarslim.training.views import Views

# 25 chips make batches of 7, 6, 6 and 6: shares of 3 and 4 among them.
VIEWS = {"mixup": 0.2, "shift": 2, "flip": True, "label_smoothing": 0.1}
# bfloat16 rounds more coarsely than two processes may differ from one.
COMMON = VIEWS | {"epochs": 4, "batch_size": 8, "warmup_epochs": 1, "checkpoint_seconds": 0, "mixed_precision": False}
SGD = COMMON | {"optimizer": "sgd", "learning_rate": 0.02}
CASES = {
    "no batch norm": TrainingConfig(**SGD),
    "batch norm": TrainingConfig(**SGD, rotate=10, speckle_looks=4),
    "adamw": TrainingConfig(**COMMON, learning_rate=0.002, class_balanced=True),
    "clipped": TrainingConfig(**SGD, clip_norm=0.05),
    "taught": TrainingConfig(**SGD),
    "distill": DistillConfig(**SGD),
    "all terms": DistillConfig(
        **SGD, scd_weight=0.1, srd_weight=0.1, reflection_weight=0.1, crd_direction="both", response="dkd"
    ),
    "answered": DistillConfig(**SGD, scd_weight=0.1, srd_weight=0.1),
    "between chips": DistillConfig(**SGD, response="dist", response_weight=3, standardise_logits=True),
    "finetune": DistillConfig(**SGD, method="finetune"),
}


def staged(widths, seed):
    torch.manual_seed(seed)
    return Staged(widths)


def no_batch_norm():
    torch.manual_seed(0)
    return nn.Sequential(
        Normalised(), nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 3)
    )


def dropout():
    torch.manual_seed(0)
    return nn.Sequential(Normalised(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(256, 3))


def answered(path: Path, recipe: DistillConfig, images, unlabelled, scaling) -> Answers:
    """What the teacher says beforehand; it stays readable without its files, which are mapped."""
    teacher = staged((8, 12, 16), seed=1).eval()
    views = Views(ViewsConfig.of(recipe), 0, labelled=images, unlabelled=unlabelled, scaling=scaling)
    record = AskRecord(
        sarslim_version="0", views=4, unlabelled_views=4, chips=len(images), unlabelled_chips=len(unlabelled),
        classes=3, widths=(8, 12, 16),
    )  # fmt: skip

    @torch.no_grad()
    def ask(batch):
        logits, features = with_taps(teacher, batch)
        return logits, [feature.mean(dim=(2, 3)) for feature in features]

    write(path, record, views, ask, torch.device("cpu"), "teacher")
    return Answers.open(path, views)


def run(name: str, kept: Kept | None = None, recipe: TrainingConfig | None = None, network: nn.Module | None = None):
    """One training run, as what can be compared: its curve, and all that it learned."""
    recipe = recipe or CASES[name]
    network = network or (no_batch_norm() if name == "no batch norm" else staged((4, 6, 8), seed=2))
    objective = TaughtObjective(staged((8, 12, 16), seed=1)) if name == "taught" else LabelObjective()
    if isinstance(recipe, DistillConfig):
        teacher, widths = staged((8, 12, 16), seed=1), ([4, 6, 8], [8, 12, 16])
        objective = DistillObjective(
            recipe,
            teacher=teacher,
            student=network,
            taps=with_taps,
            student_widths=widths[0],
            teacher_widths=widths[1],
            classes=3,
        )
    images, labels = chips(25)
    unlabelled = chips(9, seed=3)[0] if name in ("taught", "all terms", "answered") else None
    scaling = (Scaling(kind="linear", low=0.0, high=255.0),)
    with tempfile.TemporaryDirectory() as folder:
        stored = answered(Path(folder, "answers"), recipe, images, unlabelled, scaling) if name == "answered" else None
    fitted = fit(
        network,
        objective,
        train_images=images,
        train_labels=labels,
        val_images=images,
        val_labels=labels,
        unlabelled_images=unlabelled,
        recipe=recipe,
        scaling=scaling,
        answers=stored,
        checkpoint=kept,
        what="teacher",
    )
    curve = [list(epoch.losses.values()) + [epoch.val_loss, epoch.val_macro_f1] for epoch in fitted.epochs]
    learned = {f"network.{key}": value for key, value in network.state_dict().items()}
    learned |= {f"objective.{key}": value for key, value in objective.state_dict().items()}
    return {"curve": curve, "kept": fitted.kept.epoch, "resumed": fitted.resumed_at_epoch, "learned": learned}


def refused() -> str:
    """What is said of a batch that is too small to be shared: one labelled chip."""
    images, labels = chips(1)
    try:
        fit(
            no_batch_norm(),
            LabelObjective(),
            train_images=images,
            train_labels=labels,
            val_images=images,
            val_labels=labels,
            recipe=CASES["no batch norm"],
            scaling=(Scaling(kind="linear", low=0.0, high=255.0),),
            what="teacher",
        )
    except InputError as error:
        return str(error)
    return ""


def lost(config: TeacherConfig, *, out: Path) -> TrainRecord:
    """A stage whose second process is killed, as when memory runs out, while the first waits for it."""
    if not parallel.is_first():
        print("the last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return parallel.gather(torch.zeros(1), 2)


def main(out: Path) -> None:
    """What each of the processes does; leaves its results in ``out``."""
    with parallel.joined():
        results = {name: run(name) for name in CASES}
        kept = Kept()
        run("batch norm", kept)
        # Only the first process finds a checkpoint; the others go on from it all the same.
        found = Kept(kept.saved[1] if parallel.is_first() else None)
        results["resumed"] = run("batch norm", found, network=staged((4, 6, 8), seed=7))
        results["saved"] = len(kept.saved)
        network, masks = dropout(), []
        network[2].register_forward_hook(lambda layer, inputs, output: masks.append(output == 0))
        results["dropout"] = run("dropout", network=network, recipe=CASES["no batch norm"])
        results["masks"] = next(mask for mask in masks if mask.any())
        rows = parallel.gather(parallel.shard(torch.arange(5.0)), 5)
        results["gathered"] = {"rows": rows, "share": parallel.shard(torch.arange(5))}
        results["refused"] = refused()
        torch.save(results, out / f"{parallel.rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
