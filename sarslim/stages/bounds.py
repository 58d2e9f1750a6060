"""Upper bounds that the machine gives to the numbers of a configuration that cost memory or threads.

They are lower bounds of what is needed, held against all that there is: what is refused could not have worked.
"""

import os
from collections.abc import Callable

import torch
from torch import nn

from sarslim.config import EvaluateConfig, PrepareConfig, PruneConfig, TrainingConfig
from sarslim.config.machine import cores, require_memory, require_threads
from sarslim.errors import InputError
from sarslim.networks import cost

# A weight, its gradient, two moments of AdamW, and the running average, of four bytes each.
STATE_BYTES = 5 * 4
SIMULATOR_BATCH = 64
SMALL = 64  # pixels
Shape = tuple[int, int, int]


def elsewhere() -> bool:
    """Whether the stages of this run may run on other machines than this one."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


def require_processes(section: str, processes: int) -> None:
    """
    Raises:
        InputError: more processes than GPUs or, where there are none, than processors.
    """
    gpus = torch.cuda.device_count()
    if gpus and processes > gpus:
        raise InputError(
            f"{section}.processes", f"{processes} is more than the {gpus} GPUs here",
            "Choose fewer processes, or 0 for one per GPU",
        )  # fmt: skip
    if not gpus and processes > cores():
        raise InputError(
            f"{section}.processes", f"{processes} is more than the {cores()} processors here, and there is no GPU",
            "Choose fewer processes, or 0 for one",
        )  # fmt: skip


def bound_threads(config: EvaluateConfig) -> None:
    """
    Raises:
        InputError: more threads than processors.
    """
    require_threads("evaluate.threads", config.threads)


def bound_batch(section: str, config: TrainingConfig, teacher: nn.Module, shape: Shape, chips: int | None) -> None:
    """Holds the batch of a training run against the memory of its device.

    Args:
        section: ``teacher``, where the teacher learns, or ``distill``, where it only answers.
        teacher: on any device.
        shape: of a chip (C, H, W).
        chips: how many there are to learn from, which no batch can exceed; None: not known yet.

    Raises:
        InputError: one step would not fit into the memory.
    """
    batch = config.batch_size if chips is None else min(config.batch_size, chips)
    learns = section == "teacher"
    each = _scaled(cost.kept_bytes if learns else cost.peak_memory_bytes, teacher, shape)
    fixed = (STATE_BYTES if learns else 4) * cost.count_params(teacher)
    gpus = torch.cuda.device_count()
    have = sum(torch.cuda.get_device_properties(gpu).total_memory for gpu in range(gpus)) or None
    require_memory(f"{section}.batch_size", batch, each / (1 + config.mixed_precision), fixed=fixed, have=have)


def bound_evaluation(config: EvaluateConfig, networks: dict[str, nn.Module], shape: Shape) -> None:
    """Holds the batches of the latency measurement against this machine.

    Args:
        networks: by name; all of them are measured.
        shape: of a chip (C, H, W).

    Raises:
        InputError: a batch that does not fit into the memory.
    """
    most = max(_scaled(cost.peak_memory_bytes, network, shape) for network in networks.values())
    require_memory("evaluate.batch_sizes", max(config.batch_sizes), most + 4 * _pixels(shape))


def bound_calibration(config: PruneConfig, shape: Shape, chips: int | None) -> None:
    """
    Raises:
        InputError: the calibration chips do not fit into the memory.
    """
    count = config.calibration_chips if chips is None else min(config.calibration_chips, chips)
    require_memory("prune.calibration_chips", count, 4 * _pixels(shape))


def bound_simulator(config: PrepareConfig, free_bytes: int) -> None:
    """
    Args:
        free_bytes: on the disk that the data set goes to.

    Raises:
        InputError: a batch of the simulator does not fit into the memory, or the data set on the disk.
    """
    size = config.image_size
    # Real and imaginary part of the speckle and of the echo of every look, in FP32.
    batch = SIMULATOR_BATCH * 4 * 4 * (size * config.multilook) ** 2
    require_memory("prepare.simulator.looks", config.simulator.looks, batch)
    each = size * size * (1 if config.dtype == "uint8" else 2)
    if config.simulator.chips * each > free_bytes:
        need, free = (f"{number / 2**30:.3g} GiB" for number in (config.simulator.chips * each, free_bytes))
        raise InputError(
            "prepare.simulator.chips",
            f"{config.simulator.chips} chips of {size} pixels need {need}, and the disk has {free} free",
            f"Set it below {free_bytes // each}, or make room",
        )


def _scaled(measure: Callable[[nn.Module, Shape], float], network: nn.Module, shape: Shape) -> float:
    """Bytes for a chip: features grow with its area, so that large ones need not be tried."""
    channels, height, width = shape
    tried = (channels, min(height, SMALL), min(width, SMALL))
    return measure(network, tried) * (height * width) / (tried[1] * tried[2])


def _pixels(shape: Shape) -> int:
    channels, height, width = shape
    return channels * height * width
