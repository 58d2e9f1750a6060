"""A ResNet-18 pruned to 5 % of its MACs: by ``pruning.prune``, and by the loop of torch-pruning's own examples."""

import sys
import time

import torch
import torch_pruning
from torch import nn

from sarslim import networks, pruning
from sarslim.config import PruneConfig, parse
from sarslim.networks.cost import count_macs

BUDGET, SIDE = 0.05, 64
STEPS = 100  # of torch-pruning: as fine as ours, which lands within one step of widths below the budget


def measure(kind: str) -> float:
    """Seconds until the network is within its budget, ``ours`` or by ``torch-pruning``."""
    torch.manual_seed(0)
    network = networks.build("resnet18", classes=4, channels=1, stem="3x3", mean=(100.0,), std=(50.0,)).eval()
    shape = (1, SIDE, SIDE)
    allowed = BUDGET * count_macs(network, shape)
    began = time.perf_counter()
    if kind == "ours":
        pruned: nn.Module = pruning.prune(
            network, parse(PruneConfig, {"macs": f"{BUDGET:%}", "params": "", "criterion": "l2"}),
            input_shape=shape, output_layers=networks.output_layers(network), stages=networks.stages(network),
            batches=list,
        ).network  # fmt: skip
    else:
        pruned = of_torch_pruning(network, torch.zeros(1, *shape), allowed)
    took = time.perf_counter() - began
    assert count_macs(pruned, shape) <= allowed
    return took


def of_torch_pruning(network: networks.Recogniser, example: torch.Tensor, allowed: float) -> nn.Module:
    pruner = torch_pruning.pruner.BasePruner(
        network, example, importance=torch_pruning.importance.GroupMagnitudeImportance(p=2), iterative_steps=STEPS,
        pruning_ratio=1.0, max_pruning_ratio=0.95, round_to=4,
        ignored_layers=[network.get_submodule(name) for name in networks.output_layers(network)],
    )  # fmt: skip
    for _ in range(STEPS):
        pruner.step()
        macs, _ = torch_pruning.utils.count_ops_and_params(network, example)
        if macs <= allowed:
            break
    return network


if __name__ == "__main__":
    print(measure(*sys.argv[1:]))
