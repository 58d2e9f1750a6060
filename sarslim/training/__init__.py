"""Training: one fit loop, its augmentation, its losses, the distillation objective, several processes, checkpoints."""

from sarslim.training.checkpoint import Checkpoint
from sarslim.training.loop import Fitted, LabelObjective, Objective, TaughtObjective, fit

__all__ = [
    "Checkpoint",
    "Fitted",
    "LabelObjective",
    "Objective",
    "TaughtObjective",
    "augmentation",
    "distillation",
    "fit",
    "losses",
    "parallel",
]
