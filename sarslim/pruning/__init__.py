"""Structured pruning down to a budget, on the dependency graph and the criteria of torch-pruning."""

from sarslim.pruning.budget import Pruned, check, prune, recalibrate

__all__ = ["Pruned", "check", "prune", "recalibrate"]
