"""The one fit loop, with its augmentation and its checkpoints."""

from sarslim.training.checkpoint import Checkpoint
from sarslim.training.loop import Fitted, LabelObjective, Objective, TaughtObjective, fit

__all__ = ["Checkpoint", "Fitted", "LabelObjective", "Objective", "TaughtObjective", "fit"]
