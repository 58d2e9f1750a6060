"""The double of KFP that tests of this room ask."""

import pytest
from kfp_server import serve

from sarslim.kubeflow.cluster import patience


@pytest.fixture(autouse=True)
def no_store_unless_asked_for(request, monkeypatch):
    """The embedded store of other tests stays out of reach: most of what is asked of a cluster needs none."""
    if "store" not in request.fixturenames:
        for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kfp(monkeypatch):
    monkeypatch.setattr(patience.time, "sleep", lambda _: None)
    with serve() as server:
        yield server
