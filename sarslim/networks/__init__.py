"""Networks: built by name, tapped at their stages, kept as artifacts, run, and measured for what they cost."""

import torch

from sarslim.config.machine import threads
from sarslim.networks.recogniser import (
    Normalise,
    Recogniser,
    build,
    build_for,
    first_convolution,
    forget,
    forward_with_taps,
    output_layers,
    resize,
    stages,
    without_weights,
)


def follow_threads() -> None:
    """Has PyTorch use no more threads than ``machine.threads`` says; to be called again where that has changed.

    By itself it takes one for every processor of the machine, also where a container may use two of them.
    """
    torch.set_num_threads(min(torch.get_num_threads(), threads()))


follow_threads()

__all__ = [
    "Normalise",
    "Recogniser",
    "artifact",
    "build",
    "build_for",
    "cost",
    "definitions",
    "first_convolution",
    "follow_threads",
    "forget",
    "forward_with_taps",
    "inference",
    "output_layers",
    "resize",
    "shapes",
    "stages",
    "timing",
    "without_weights",
]
