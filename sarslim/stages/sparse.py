"""Sparse learning, before anything is cut: a copy of the teacher learns to do with few channels."""

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from sarslim import networks, pruning
from sarslim.chips.dataset import Dataset
from sarslim.config import PruneConfig, TrainingConfig
from sarslim.networks import Recogniser
from sarslim.stages.learn import device, input_shape, train
from sarslim.training import LabelObjective


class SparseObjective(nn.Module):
    """Cross-entropy with the labels, and the group lasso over the coupled channels of the network that learns."""

    def __init__(self, units: list[pruning.Unit], weight: float) -> None:
        super().__init__()
        self.weights = {"label": 1.0, "group_lasso": weight}
        self._labels, self._units = LabelObjective(), units

    def forward(self, network: nn.Module, images: Tensor, targets: Tensor, labelled: Tensor) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = self._labels(network, images, targets, labelled)
        return terms | {"group_lasso": pruning.group_lasso(self._units)}


def learn_sparsely(whole: Recogniser, config: PruneConfig, data: Dataset, views: Mapping[str, Any]) -> Recogniser:
    """A copy of ``whole``, on the CPU, after ``sparse_epochs`` with labels and the group lasso.

    Args:
        views: the fields of the recipe that say how chips are drawn and shown.

    Raises:
        InputError: as ``pruning.check``, before anything is learnt.
    """
    spared, shape = networks.output_layers(whole), input_shape(data)
    pruning.check(whole, config, input_shape=shape, output_layers=spared, stages=networks.stages(whole))
    network = copy.deepcopy(whole).to(device())
    coupling = pruning.Coupling(network, shape, (*spared, *config.ignore))
    recipe = TrainingConfig(
        epochs=config.sparse_epochs,
        learning_rate=config.sparse_learning_rate,
        mixup=0.0,
        seed=config.seed,
        checkpoints="",
        **views,
    )
    objective = SparseObjective(coupling.units, config.sparse_weight)
    train(network, objective, recipe, data, stage="sparse learning", name=network.name)
    return network.cpu()
