"""Structured pruning down to a budget, on the dependency graph and the criteria of torch-pruning."""

from sarslim.pruning.budget import Pruned, check, prune, recalibrate
from sarslim.pruning.coupling import Coupling, Unit
from sarslim.pruning.sparsity import group_lasso

__all__ = ["Coupling", "Pruned", "Unit", "check", "group_lasso", "prune", "recalibrate"]
