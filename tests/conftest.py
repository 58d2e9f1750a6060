"""What tests share: one torch thread each, and the real embedded object store."""

import os
from collections.abc import Iterator

import pytest

from sarslim.store import local_store
from sarslim.store.storage import Storage

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    """The embedded object store, running; its address and credentials are in the environment."""
    with local_store.serve(tmp_path_factory.mktemp("store")) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield Storage.from_environment()
