"""What pulls whole channels towards zero while a network learns, so that cutting them costs little."""

from collections.abc import Sequence

import torch
import torch_pruning as tp
from torch import Tensor, nn

from sarslim.pruning.coupling import Unit

READERS = (tp.prune_conv_in_channels, tp.prune_linear_in_channels)


def group_lasso(units: Sequence[Unit]) -> Tensor:
    """The sum over units and their channels of sqrt(p) ||w||, for the p weights w that go with one channel.

    These are the weights that make the channel, those that read it, and its BatchNorm scales, but no biases: the groups
    of DepGraph (Fang et al., CVPR 2023). Its GroupNormPruner adds to their gradients a multiple of w that is larger for
    weaker channels, and fades with w. Here it is the group lasso (Yuan and Lin, JRSS B 68, 2006), which pulls until
    nothing is left; its sqrt(p) makes the pull on a weight of the channel's usual size 1 in layers of every size.

    Args:
        units: of a ``Coupling``; the gradients flow to the weights of its network, as they are at the call.
    """
    return torch.stack([_norms(unit).sum() for unit in units]).sum()


def _norms(unit: Unit) -> Tensor:
    """sqrt(p) ||w|| of every channel (channels,)."""
    squares, size = torch.zeros(unit.channels), 0.0
    for item in unit.group:
        module = item.dep.target.module
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d) and module.weight is not None:
            rows = module.weight.movedim(1, 0) if item.dep.handler in READERS else module.weight
            sums = rows.square().reshape(len(rows), -1).sum(dim=1)
            channels = torch.tensor(item.root_idxs, device=sums.device)
            squares = squares.to(sums.device).index_add(0, channels, sums[item.idxs])
            size += len(item.idxs) * rows[0].numel() / unit.channels
    # The root has no gradient at zero, where a channel is to stay.
    return (size * squares.clamp(min=1e-12)).sqrt()
