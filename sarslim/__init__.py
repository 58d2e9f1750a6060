"""sarslim: compress a SAR recognition network, and prove what it lost."""

import os
from importlib import import_module

# Read when OpenMP is loaded, by PyTorch: threads sleep while they wait for each other. Those that spin, as they do by
# default, take three times as long as one thread where another process wants a processor, too.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"

# Where the names of `from sarslim import ...` come from, as texts: what is not used is not loaded, and no stage is made
# of them. Their types stand in __init__.pyi.
_HOME = {
    "Bundle": "sarslim.delivery.runtime",
    "InputError": "sarslim.errors",
    "ServiceError": "sarslim.errors",
    "run": "sarslim.cli.notebook",
}
__all__ = ["Bundle", "InputError", "ServiceError", "run"]  # noqa: F822 they are looked up in _HOME


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
