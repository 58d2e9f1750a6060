"""Every network that a run will need, built and shown a chip before anything is trained."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sarslim import networks, pruning
from sarslim.config import STAGES, Budget, DistillConfig, PruneConfig, RunConfig, TrainingConfig
from sarslim.errors import InputError
from sarslim.networks import Recogniser, artifact
from sarslim.records import DatasetRecord, ModelRecord
from sarslim.stages import bounds
from sarslim.stages.findings import Findings
from sarslim.store.storage import S3Uri, Storage, is_s3, local_copy

# Where the source decides how many classes there are: the classifier is a small part of the costs.
TYPICAL_CLASSES = 5
LARGER = 8  # pixels, in the search for a size of chips that a network takes
LARGEST = 512


class Setting:
    """What networks are built for, as far as it is known before the data are read."""

    def __init__(
        self, stages: tuple[str, ...], network: str, stem: str, classes: int, channels: int, size: int
    ) -> None:
        self.stages, self.network, self.stem = stages, network, stem
        self.classes, self.shape = classes, (channels, size, size)

    @classmethod
    def of(cls, config: RunConfig, stages: tuple[str, ...], records: Mapping[str, Any] | None) -> "Setting":
        """From the records of the artifacts that are given, and from the configuration where none is."""
        teacher, prepare = config.teacher, config.prepare
        if records is None:
            channels = len(prepare.polarisations) if prepare.polarisation_as == "channels" else 1
            classes = len(prepare.classes) or TYPICAL_CLASSES
            return cls(stages, teacher.network, teacher.stem, classes, channels or 1, prepare.image_size)
        data: DatasetRecord = records["dataset"]
        model: ModelRecord | None = records.get("teacher")
        network, stem = (model.network, model.stem) if model else (teacher.network, teacher.stem)
        return cls(stages, network, stem, len(data.classes), len(data.channels), data.image_size)

    def build(self, name: str, stem: str, device: str = "cpu") -> Recogniser:
        """A network whose weights are not even drawn: shapes decide all that is asked here.

        On the device ``meta``, nothing is computed: slower for small chips, and as fast for large ones.

        Raises:
            InputError: a stem that this network has not.
        """
        with networks.without_weights(device):
            return networks.build(
                name,
                classes=self.classes,
                channels=self.shape[0],
                stem=stem,
                mean=(0.0,) * self.shape[0],
                std=(1.0,) * self.shape[0],
            ).eval()


def try_networks(setting: Setting, config: RunConfig, room: Path | None, findings: Findings) -> None:
    built: dict[str, nn.Module] = {}
    teacher = None
    with findings.kept():
        teacher = built["teacher"] = _built(setting, setting.network, setting.stem, "teacher.network")
    if "evaluate" in setting.stages:
        for place, name in enumerate(config.evaluate.rivals):
            with findings.kept():
                built[name] = _built(setting, name, "standard", f"evaluate.rivals.{place}")
    if teacher is not None and "prune" in setting.stages:
        with findings.kept():
            _check_budget(config.prune, setting)
    if "teacher" in setting.stages and config.teacher.pretrained:
        with findings.kept():
            _try_pretrained(config.teacher.pretrained, teacher)
    for stage in ("teacher", "distill"):
        section: TrainingConfig = getattr(config, stage)
        if stage in setting.stages and section.shift >= setting.shape[1]:
            problem = f"{section.shift} pixels move a chip of {setting.shape[1]} pixels out of view"
            findings.errors.append(InputError(f"{stage}.shift", problem, "Choose a shift of a few pixels"))
    if "distill" in setting.stages and not _learns(config.distill):
        problem = f"every loss term of method {config.distill.method} has weight 0"
        remedy = "Give at least one of them a weight above 0"
        findings.errors.append(InputError("distill.label_weight", problem, remedy))
    if not bounds.elsewhere():
        _hold_against_machine(setting, config, room, built, findings)


def _learns(config: DistillConfig) -> bool:
    terms = ("label", "response", "scd", "srd", "crd", "reflection") if config.method == "distill" else ("label",)
    return any(getattr(config, f"{term}_weight") for term in terms)


def _built(setting: Setting, name: str, stem: str, where: str) -> Recogniser:
    """A network that has seen a chip.

    Raises:
        InputError: it does not take chips of this size; the remedy names the next size that it takes.
    """
    network = setting.build(name, stem)
    size = setting.shape[1]
    if _takes(network, setting.shape[0], size):
        return network
    larger = range(size + LARGER - size % LARGER, LARGEST + 1, LARGER)
    enough = next((pixels for pixels in larger if _takes(network, setting.shape[0], pixels)), None)
    remedy = f"Set prepare.image_size={enough} or more, or choose another network" if enough else "Choose another one"
    raise InputError(where, f"{name} does not take chips of {size} pixels", remedy)


def _takes(network: nn.Module, channels: int, size: int) -> bool:
    size = min(size, bounds.SMALL)  # it is only small chips of which nothing is left
    try:
        with torch.inference_mode():
            network(torch.zeros(1, channels, size, size))
    except RuntimeError:
        return False
    return True


def check_budgets(config: RunConfig) -> None:
    """Builds the teacher, untrained, to see whether the budget can be met; costs depend on shapes only.

    Raises:
        InputError: the teacher does not take chips of this size, or a budget is out of reach.
    """
    setting = Setting.of(config, STAGES, None)
    _built(setting, setting.network, setting.stem, "teacher.network")
    _check_budget(config.prune, setting)


def check_rivals(config: RunConfig, names: list[str]) -> None:
    """Builds lightweight networks for a comparison.

    Raises:
        InputError: the first one that does not take chips of this size.
    """
    setting = Setting.of(config, STAGES, None)
    for name in names:
        _built(setting, name, config.teacher.stem, "networks")


def _check_budget(config: PruneConfig, setting: Setting) -> None:
    # A measured latency means nothing before the prune stage, which may run on another machine.
    untimed = config.model_copy(update={"latency": ""})
    if not untimed.budgets:
        return
    device = "meta" if setting.shape[1] > 2 * bounds.SMALL else "cpu"
    teacher = setting.build(setting.network, setting.stem, device)
    if config.criterion == "bn_scale" and not any(isinstance(layer, nn.BatchNorm2d) for layer in teacher.modules()):
        problem = f"bn_scale says nothing about {teacher.name}, which has no BatchNorm"
        raise InputError("prune.criterion", problem, "Choose another criterion, such as l2")
    try:
        pruning.check(
            teacher,
            untimed,
            input_shape=setting.shape,
            output_layers=networks.output_layers(teacher),
            stages=networks.stages(teacher),
        )
    except InputError as error:
        shares = {name: Budget.meant_as_share(getattr(untimed, name)) for name in untimed.budgets}
        meant = " and ".join(f"prune.{name}={share}" for name, share in shares.items() if share)
        remedy = f"For a share of the teacher's set {meant}; {error.remedy}" if meant else error.remedy
        raise InputError(error.where, error.problem, remedy) from None


def _try_pretrained(address: str, teacher: Recogniser | None) -> None:
    """Loads weights that are here, and looks whether those in a store are there."""
    where = "teacher.pretrained"
    if is_s3(address):
        if not Storage.from_environment(retries=1, timeout_seconds=2).exists(S3Uri.parse(address, where)):
            raise InputError(where, f"there is nothing at {address!r}", "Give an existing path or an s3:// address")
        return
    with local_copy(address, where) as file:
        if teacher is not None:
            artifact.load_pretrained(teacher, file)


def _hold_against_machine(
    setting: Setting, config: RunConfig, room: Path | None, built: dict[str, nn.Module], findings: Findings
) -> None:
    chips = config.prepare.simulator.chips if config.prepare.simulated and "prepare" in setting.stages else None
    for stage in ("teacher", "distill"):
        section: TrainingConfig = getattr(config, stage)
        if stage in setting.stages:
            with findings.kept():
                bounds.require_processes(stage, section.processes)
            if teacher := built.get("teacher"):
                with findings.kept():
                    bounds.bound_batch(stage, section, teacher, setting.shape, chips)
    if "prune" in setting.stages:
        with findings.kept():
            bounds.bound_calibration(config.prune, setting.shape, chips)
    if "evaluate" in setting.stages:
        with findings.kept():
            bounds.bound_threads(config.evaluate)
        if built:
            with findings.kept():
                bounds.bound_evaluation(config.evaluate, built, setting.shape)
    if chips is not None:
        with findings.kept():
            bounds.bound_simulator(config.prepare, _free_bytes(room))


def _free_bytes(room: Path | None) -> int:
    place = (room or Path.cwd()).resolve()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
