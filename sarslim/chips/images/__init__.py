"""Image files as amplitudes: every file as its own tags describe it, or refused by name."""

from sarslim.chips.images.reading import STACK, SUFFIXES, from_pillow, read, read_stack, shape
from sarslim.chips.index import Pixels

__all__ = ["STACK", "SUFFIXES", "Pixels", "from_pillow", "read", "read_stack", "shape"]
