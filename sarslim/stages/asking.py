"""Asking a teacher beforehand, and what it said when a distillation needs it."""

from pathlib import Path

import torch
from torch import Tensor

from sarslim import __version__, networks
from sarslim.chips.dataset import Dataset
from sarslim.config import AskConfig, DistillConfig, ViewsConfig
from sarslim.errors import InputError
from sarslim.networks import artifact
from sarslim.networks.cost import fast_in_bfloat16
from sarslim.networks.inference import folded
from sarslim.records import AskRecord
from sarslim.stages.learn import device, input_shape, parents_of, require_classes
from sarslim.training.answers import ASK_AGAIN, Answers, read_record, views_shown, write
from sarslim.training.views import Views

ALIKE = ("shift", "flip", "quarter_turns", "rotate", "speckle_looks", "mixup")


def ask(config: AskConfig, *, dataset: Path, teacher: Path, answers: Path) -> AskRecord:
    """As ``ask_teacher``, where there is something to ask."""
    assert config.shown is not None
    shown, data = config.shown, Dataset.open(dataset)
    network, origin = artifact.load(teacher, kind="teacher")
    require_classes(origin, data, teacher)
    whole = folded(network.to(device()))
    half = shown.mixed_precision and fast_in_bfloat16(whole, input_shape(data))

    @torch.inference_mode()
    def told(images: Tensor) -> tuple[Tensor, list[Tensor]]:
        with torch.autocast(device().type, torch.bfloat16, enabled=half):
            if not shown.features:
                return whole(images).float(), []
            logits, features = networks.forward_with_taps(whole, images)
        return logits.float(), [feature.float().mean(dim=(2, 3)) for feature in features]

    chips = len(data.part("train").images)
    unlabelled = len(data.part("unlabelled").images) if shown.unlabelled and data.has("unlabelled") else 0
    often = views_shown(shown.epochs or config.views, chips, unlabelled)
    views, of_unlabelled = (min(config.views, each) for each in often)
    _, pooled = told(torch.zeros(1, *input_shape(data), device=device()))
    record = AskRecord(
        sarslim_version=__version__,
        views=views,
        unlabelled_views=of_unlabelled,
        chips=chips,
        unlabelled_chips=unlabelled,
        classes=len(data.record.classes),
        widths=tuple(stage.shape[1] for stage in pooled),
        seed=config.seed,
        shown=shown.model_dump(),
        parents=parents_of(data, teacher=teacher),
    )
    return write(answers, record, _views(shown, record, data), told, device(), str(teacher))


def open_answers(path: Path | None, config: DistillConfig, data: Dataset, parents: dict[str, str]) -> Answers | None:
    """The answers that a distillation takes; None where the teacher is asked in every step, or not at all.

    Args:
        path: the artifact of the ask stage, if there is one.
        parents: digests of the data set and of the teacher of the distillation.

    Raises:
        InputError: damaged answers, or those of another teacher, to other chips or other views, or not to all that a
            term or an unlabelled chip asks for.
    """
    if path is None or not config.has_teacher:
        return None
    record = read_record(path)
    if not record.views:
        return None
    for name in ("dataset", "teacher"):
        if record.parents.get(name) != parents[name]:
            raise InputError(str(path), f"holds answers that belong to another {name}", ASK_AGAIN)
    shown = ViewsConfig.model_validate(record.shown)
    for name in ALIKE:
        if getattr(config, name) != getattr(shown, name):
            raise InputError(
                f"distill.{name}", f"is {getattr(config, name)}, the teacher was shown views of {getattr(shown, name)}",
                f"{ASK_AGAIN}, or set ask.views=0",
            )  # fmt: skip
    if config.compares_stages and not record.widths:
        raise InputError(str(path), "holds no features of the stages, which scd and srd compare", ASK_AGAIN)
    if config.use_unlabelled and data.has("unlabelled") and not record.unlabelled_chips:
        raise InputError(str(path), "holds no answers to unlabelled chips", f"{ASK_AGAIN}, or use_unlabelled=false")
    return Answers.open(path, _views(shown, record, data))


def _views(shown: ViewsConfig, record: AskRecord, data: Dataset) -> Views:
    return Views(
        shown,
        record.seed,
        labelled=data.part("train").images,
        unlabelled=data.part("unlabelled").images if record.unlabelled_chips else None,
        scaling=data.record.scaling,
    )
