"""Fixtures of the chip tests."""

from collections.abc import Callable
from pathlib import Path

import chip_sources
import pytest


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """Makes a class-per-folder tree of 8-bit PNG chips from chips per folder."""

    def make(counts: dict[str, int], size: int = 20) -> Path:
        return chip_sources.write_tree(tmp_path / "tree", counts, size=size)

    return make
