"""Image files as amplitudes: every file as its own tags describe it, or refused by name."""

from sarslim.chips.images.reading import STACK, SUFFIXES, read, read_stack, shape

__all__ = ["STACK", "SUFFIXES", "read", "read_stack", "shape"]
