"""Stage 4: the pruned network recovered."""

from pathlib import Path

import torch
from torch import Tensor, nn

from sarslim import networks, pruning
from sarslim.chips.dataset import Dataset
from sarslim.config import DistillConfig, PruneConfig
from sarslim.networks import Recogniser, artifact, cost
from sarslim.networks.inference import folded
from sarslim.records import TrainRecord
from sarslim.stages import bounds
from sarslim.stages.asking import open_answers
from sarslim.stages.learn import device, input_shape, joined, parents_of, require_classes, save_trained, train
from sarslim.stages.processes import in_processes
from sarslim.stages.prune import calibration
from sarslim.stages.results import CONFIG, read_json
from sarslim.stages.resume import Places, kept_until_saved, nowhere
from sarslim.training import parallel
from sarslim.training.answers import Answers, digest
from sarslim.training.distillation import DistillObjective, Taps


@in_processes
def distill_student(
    config: DistillConfig, *, dataset: Path, teacher: Path, pruned: Path, student: Path, answers: Path | None = None
) -> TrainRecord:
    """Recovers the pruned network and saves it as a model artifact with its training record.

    Where ``answers`` holds what the teacher said beforehand, that is taken; else it answers in every step.
    With ``progressive_steps`` above 1 the way to the widths of ``pruned`` is gone again from the teacher, in rounds
    of pruning and distillation.

    Raises:
        InputError: models for other classes than the data set, answers of another teacher or to other views, no loss
            term switched on, or batches beyond the memory.
    """
    data = Dataset.open(dataset)
    whole, origin = artifact.load(teacher, kind="teacher")
    small, cut = artifact.load(pruned, kind="pruned")
    require_classes(origin, data, teacher)
    require_classes(cut, data, pruned)
    bounds.bound_batch("distill", config, whole, input_shape(data), len(data.part("train").images))
    parents = parents_of(data, teacher=teacher, pruned=pruned)
    stored = open_answers(answers, config, data, parents)
    if stored:
        parents |= {"answers": digest(stored.record)}
    whole.to(device())
    with kept_until_saved(config, "distill", parents) as places:
        if config.progressive_steps > 1:
            target = read_json(PruneConfig, pruned / CONFIG)
            network, record = recover_in_rounds(
                whole, target, folded(whole), config, data, answers=stored, places=places
            )
        else:
            network, record = small, recover(small, folded(whole), config, data, answers=stored, places=places)
        record = record.model_copy(update={"answers": stored.record if stored else None})
        save_trained(
            student, network, config, record, data,
            kind="student", network=cut.network, stem=cut.stem, parents=parents, pruning=cut.pruning,
        )  # fmt: skip
    return record


def recover(
    network: Recogniser,
    teacher: nn.Module,
    config: DistillConfig,
    data: Dataset,
    *,
    stage: str = "distill",
    taps: Taps = networks.forward_with_taps,
    answers: Answers | None = None,
    places: Places = nowhere,
) -> TrainRecord:
    """Trains ``network`` in place as ``config`` says.

    Args:
        teacher: on the device to train on.
        stage: names the progress lines and the checkpoint.
        taps: logits and features of every stage, for the network and for the teacher.
        answers: what the teacher said beforehand; None: it answers in every step.
        places: gives the place for the checkpoint.
    """
    if config.start == "fresh":
        networks.forget(network, config.seed)
    network.to(device())
    objective = DistillObjective(
        config,
        teacher=teacher,
        student=network,
        taps=taps,
        student_widths=_stage_widths(network, data, taps),
        teacher_widths=_stage_widths(teacher, data, taps),
        classes=len(data.record.classes),
    )
    unlabelled = config.use_unlabelled and config.method == "distill"
    return train(
        network,
        objective,
        config,
        data,
        stage=stage,
        name=network.name,
        unlabelled=unlabelled,
        answers=answers,
        checkpoint=places(stage),
    )


def recover_in_rounds(
    whole: Recogniser,
    target: PruneConfig,
    teacher: nn.Module,
    config: DistillConfig,
    data: Dataset,
    *,
    taps: Taps = networks.forward_with_taps,
    answers: Answers | None = None,
    places: Places = nowhere,
) -> tuple[Recogniser, TrainRecord]:
    """Prunes and distils in turn. Half of the epochs go to the last round, which meets the budget.

    Args:
        whole: the network to prune, on the device to train on.
        target: budget and path of the last round.
        teacher, taps, answers, places: as for ``recover``.
    """
    rounds = config.progressive_steps
    short = max(config.epochs // (2 * (rounds - 1)), 1)
    batches = [(images.to(device()), labels.to(device())) for images, labels in calibration(data.part("train"), target)]
    network, records = whole, []
    for number in range(1, rounds + 1):
        last = number == rounds
        goal = target if last else _on_the_way(target, whole, input_shape(data), number / rounds)
        # A budget of latency is met by the clock, which differs between processes.
        network = parallel.from_first(_cut, network, whole, goal, data, batches)
        epochs = max(config.epochs - short * (rounds - 1), 1) if last else short
        recipe = config.model_copy(update={"epochs": epochs})
        stage = f"distill-{number}"
        records.append(recover(network, teacher, recipe, data, stage=stage, taps=taps, answers=answers, places=places))
    return network, joined(records)


def _cut(
    network: Recogniser, whole: Recogniser, goal: PruneConfig, data: Dataset, batches: list[tuple[Tensor, Tensor]]
) -> Recogniser:
    cut = pruning.prune(
        network,
        goal,
        input_shape=input_shape(data),
        output_layers=networks.output_layers(whole),
        stages=networks.stages(whole),
        batches=lambda: batches,
        teacher=whole,
    ).network
    assert isinstance(cut, Recogniser)
    pruning.recalibrate(cut, batches)
    return cut.cpu()


def _on_the_way(target: PruneConfig, whole: nn.Module, shape: tuple[int, int, int], share: float) -> PruneConfig:
    """The budget part of the way from the teacher to the target, in equal factors."""
    whole_cost = {"macs": cost.count_macs(whole, shape), "params": cost.count_params(whole)}
    bounds = {
        name: f"{whole_cost[name] * (budget.limit(whole_cost[name]) / whole_cost[name]) ** share:.0f}"
        for name, budget in target.budgets.items()
        if name in whole_cost
    }
    return target.model_copy(update={"latency": "", **bounds}) if bounds else target


@torch.no_grad()
def _stage_widths(network: nn.Module, data: Dataset, taps: Taps) -> list[int]:
    network.eval()
    _, features = taps(network, torch.zeros(1, *input_shape(data), device=device()))
    return [feature.shape[1] for feature in features]
