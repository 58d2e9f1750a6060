"""The search of the prune stage: right after a deep cut nothing is left, so a short recovery judges every candidate."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from sarslim import networks, pruning
from sarslim.chips.dataset import Dataset
from sarslim.config import DistillConfig, PruneConfig
from sarslim.networks import Recogniser, cost
from sarslim.networks.inference import folded
from sarslim.records import Trial
from sarslim.stages.learn import device, input_shape, train
from sarslim.training.distillation import DistillObjective


class Found(NamedTuple):
    """The winner, as cut and as the configuration that cuts it, and all candidates."""

    config: PruneConfig
    cut: pruning.Pruned
    trials: tuple[Trial, ...]


def search(
    config: PruneConfig,
    teacher: Recogniser,
    data: Dataset,
    *,
    cut: Callable[[PruneConfig], pruning.Pruned],
    batches: list[tuple[Tensor, Tensor]],
    views: Mapping[str, Any],
) -> Found:
    """Cuts with every stage growth and recovers a copy of each for a while; the lowest validation loss wins.

    The loss of the last epoch is compared, which is finer than the accuracy on few chips. All candidates may take as
    much from every layer, so they reach the budget all or none.

    Args:
        cut: prunes as a configuration says.
        batches: calibration chips.
        views: the fields of the recipe that say how chips are drawn and shown.

    Raises:
        InputError: as ``pruning.check``.
    """
    recipe = DistillConfig(
        epochs=config.search_epochs,
        label_weight=0.0,
        response_weight=1.0,
        scd_weight=0.0,
        srd_weight=0.0,
        crd_weight=0.0,
        reflection_weight=0.0,
        seed=config.seed,
        checkpoints="",
        **views,
    )
    frozen = folded(teacher)
    found: list[tuple[Trial, PruneConfig, pruning.Pruned]] = []
    for growth in config.search_growths:
        candidate = config.model_copy(update={"allocation": "uniform", "stage_growth": growth})
        pruned = cut(candidate)
        found.append((_try(pruned, growth, frozen, recipe, data, batches), candidate, pruned))
    trial, winner, pruned = min(found, key=lambda each: each[0].val_loss)
    return Found(winner, pruned, tuple(trial for trial, _, _ in found))


def _try(
    pruned: pruning.Pruned,
    growth: float,
    teacher: nn.Module,
    recipe: DistillConfig,
    data: Dataset,
    batches: list[tuple[Tensor, Tensor]],
) -> Trial:
    network = copy.deepcopy(pruned.network)
    assert isinstance(network, Recogniser)
    pruning.recalibrate(network, batches)
    network.to(device())
    objective = DistillObjective(
        recipe,
        teacher=teacher,
        student=network,
        taps=networks.forward_with_taps,
        student_widths=(),
        teacher_widths=(),
        classes=len(data.record.classes),
    )
    stage = f"trial of growth {growth:g}"
    record = train(network, objective, recipe, data, stage=stage, name=network.name, unlabelled=True)
    last = record.epochs[-1]
    return Trial(
        growth=growth,
        macs=cost.count_macs(network, input_shape(data)),
        params=cost.count_params(network),
        val_loss=last.val_loss,
        val_accuracy=last.val_accuracy,
    )
