"""An epoch of distillation (KD) of a ResNet-18 into its student of 5 % of the MACs: ours, and torchdistill's.

Chips, teacher and pruned network are read from a folder as ``benchmarks.answers.made`` leaves it.
"""

import contextlib
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import RandomSampler, TensorDataset

from benchmarks.speed.training import COUNTED, EPOCHS, PLAIN, Clock, unrecorded
from benchmarks.speed.turns import quiet
from sarslim.chips.dataset import Dataset
from sarslim.config import AskConfig, DistillConfig, parse
from sarslim.config.recoveries import recovery
from sarslim.networks import artifact
from sarslim.networks.inference import folded
from sarslim.stages.ask import ask_teacher
from sarslim.stages.asking import open_answers
from sarslim.stages.distill import recover
from sarslim.stages.learn import parents_of


def measure(kind: str, folder: Path, device: str = "cpu") -> float:
    """Seconds of an epoch: teacher asked in every step (``ours``), ``once`` beforehand, or ``torchdistill``.

    On a GPU also ``stepwise``, which is ours, unrecorded, and ``twin``, fine-tuning; several epochs, as in training.
    """
    on_gpu = device == "cuda"
    recipe = {**PLAIN, "checkpoints": "", "epochs": EPOCHS if on_gpu else 1, "mixed_precision": on_gpu}
    config = recovery("finetune" if kind == "twin" else "kd", parse(DistillConfig, recipe))
    data = Dataset.open(folder / "data")
    student, teacher = (artifact.load(folder / kind)[0] for kind in ("pruned", "teacher"))
    with tempfile.TemporaryDirectory() as name, quiet():
        answers = None
        if kind == "once":
            asked, out = AskConfig(views=1).filled(config), Path(name) / "answers"
            ask_teacher(asked, dataset=folder / "data", teacher=folder / "teacher", answers=out)
            answers = open_answers(out, config, data, parents_of(data, teacher=folder / "teacher"))
        student, teacher = student.to(device), teacher.to(device)
        clock = Clock(device)
        if kind == "torchdistill":
            of_torchdistill(teacher, student, data, config, clock)
            return clock.seconds()
        with unrecorded() if kind == "stepwise" else contextlib.nullcontext():
            record = recover(student, folded(teacher), config, data, answers=answers)
        clock.tick()
        return statistics.median(epoch.seconds for epoch in record.epochs[-COUNTED:]) if on_gpu else clock.seconds()


def of_torchdistill(teacher: nn.Module, student: nn.Module, data: Dataset, config: DistillConfig, clock: Clock) -> None:
    """One stage of its ``DistillationBox``, as its example scripts run it."""
    from torchdistill.core.distillation import DistillationBox

    part = data.part("train")
    chips = TensorDataset(torch.from_numpy(np.array(part.images)), torch.from_numpy(np.array(part.labels)))
    logits = {
        "student_module_path": ".", "student_module_io": "output",
        "teacher_module_path": ".", "teacher_module_io": "output",
    }  # fmt: skip
    kd = {**logits, "temperature": config.temperature, "alpha": 0.5}
    stage = {
        "num_epochs": clock.epochs,
        "train_data_loader": {
            "dataset_id": "chips", "sampler": {"class_or_func": RandomSampler, "kwargs": {}},
            "kwargs": {"batch_size": config.batch_size, "num_workers": 0},
        },
        "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False},
        "student": {"forward_proc": "forward_batch_only", "requires_grad": True},
        "optimizer": {"key": "AdamW", "kwargs": {"lr": config.learning_rate}, "max_grad_norm": config.clip_norm},
        "criterion": {
            "key": "WeightedSumLoss",
            "kwargs": {"sub_terms": {"kd": {"criterion": {"key": "KDLoss", "kwargs": kd}, "weight": 1.0}}},
        },
    }  # fmt: skip
    device = next(student.parameters()).device
    on_gpu = device.type == "cuda"
    if on_gpu:
        student.to(memory_format=torch.channels_last)
        teacher.to(memory_format=torch.channels_last)
    box = DistillationBox(teacher.eval(), student, {"chips": chips}, stage, device, None, False, 1)
    for epoch in range(clock.epochs):
        box.pre_epoch_process(epoch=epoch)
        for batch, targets, extra in box.train_data_loader:
            batch, targets = batch.to(device), targets.to(device)
            box.pre_forward_process()
            with torch.autocast(device.type, torch.bfloat16, enabled=on_gpu):
                loss = box.forward_process(batch, targets=targets, supp_dict=extra)
            box.post_forward_process(loss)
        clock.tick()


if __name__ == "__main__":
    print(measure(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
