"""Training: one fit loop, its views and losses, the distillation objective, stored answers, processes, checkpoints."""

from sarslim.training.checkpoint import Checkpoint
from sarslim.training.loop import Answered, Fitted, LabelObjective, Objective, TaughtObjective, fast_bfloat16, fit

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
    "fast_bfloat16",
    "fit",
    "losses",
    "parallel",
    "views",
]
