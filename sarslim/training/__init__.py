"""The one fit loop, with its augmentation and its checkpoints."""

from sarslim.training.loop import Fitted, LabelObjective, Objective, fit

__all__ = ["Fitted", "LabelObjective", "Objective", "fit"]
