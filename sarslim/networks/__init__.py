"""Networks: built by name, tapped at their stages, kept as artifacts, run, and measured for what they cost."""

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
)

__all__ = [
    "Normalise",
    "Recogniser",
    "artifact",
    "build",
    "build_for",
    "cost",
    "first_convolution",
    "forget",
    "forward_with_taps",
    "inference",
    "output_layers",
    "resize",
    "stages",
]
