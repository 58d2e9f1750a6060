"""Training: one fit loop, its views and losses, the distillation objective, stored answers, processes, checkpoints."""

from sarslim.training.batches import Answered
from sarslim.training.checkpoint import Checkpoint
from sarslim.training.loop import Fitted, LabelObjective, TaughtObjective, fit
from sarslim.training.step import Objective

__all__ = [
    "Answered",
    "Checkpoint",
    "Fitted",
    "LabelObjective",
    "Objective",
    "TaughtObjective",
    "answers",
    "augmentation",
    "distillation",
    "fit",
    "losses",
    "parallel",
    "views",
]
