"""torchvision's definitions of networks, loaded without PyTorch's compiler.

torchvision takes one function from it, for an operator of detection networks, and with it 2 s of a processor.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch  # noqa: F401 whole, before anything stands in for a part of it

COMPILER, UTILITIES = "torch._dynamo", "torch._dynamo.utils"


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Stands in for the compiler while torchvision is loaded; whoever asks for it later gets the real one."""
    if COMPILER in sys.modules or "torchvision" in sys.modules:
        yield
        return
    package, utilities = ModuleType(COMPILER), ModuleType(UTILITIES)
    utilities.is_compile_supported = lambda device: False  # type: ignore[attr-defined]
    sys.modules |= {COMPILER: package, UTILITIES: utilities}
    try:
        yield
    finally:
        del sys.modules[COMPILER], sys.modules[UTILITIES]


with _without_compiler():
    from torchvision import models
    from torchvision.models.shufflenetv2 import InvertedResidual as ShuffleBlock
    from torchvision.ops import Conv2dNormActivation, SqueezeExcitation

__all__ = ["Conv2dNormActivation", "ShuffleBlock", "SqueezeExcitation", "models"]
