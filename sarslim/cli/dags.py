"""The way to the DAGs of ``pipeline.py``, which a clone has and the small install has not."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

CLONE = Path(__file__).parents[2]


def pipelines() -> ModuleType:
    """The module ``pipeline`` of the clone that this command was installed from.

    Raises:
        ModuleNotFoundError: there is none, or what it imports is not installed.
    """
    # At the end: the folder docker/ of the clone must not stand in for the package of that name.
    if (CLONE / "pipeline.py").is_file() and str(CLONE) not in sys.path:
        sys.path.append(str(CLONE))
    return importlib.import_module("pipeline")
