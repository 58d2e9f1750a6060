"""A cluster to hold scenarios to: the KFP that the environment names, or a double of it.

``make test-cluster HOST=URL`` sets the variables. Whatever a scenario makes is in an experiment, under names of
pipelines and in a folder of the store that no one else has; at the end it is removed.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubeflow.kfp_server import serve
from scenario import HOST, TABLE, Cluster

from sarslim.kubeflow.cluster import patience


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("cluster")


def pytest_terminal_summary(terminalreporter):
    if TABLE:
        terminalreporter.section(f"scenarios on {HOST or 'a double of KFP'}")
        widest = max(len(what) for what, _, _ in TABLE)
        for what, seen, seconds in TABLE:
            terminalreporter.write_line(f"{what:<{widest}}  {seconds:6.0f} s  {seen}")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if not HOST:
        with serve() as double, pytest.MonkeyPatch.context() as patch:
            patch.setattr(patience.time, "sleep", lambda _: None)
            for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                patch.delenv(name, raising=False)
            yield Cluster(double.url, double=double)
        return
    variables = {
        name: os.environ.get(f"SARSLIM_CLUSTER_{name.upper()}", "") for name in ("namespace", "run_as", "store")
    }
    found = Cluster(HOST, bucket=os.environ.get("SARSLIM_CLUSTER_BUCKET") or "sarslim", **variables)
    try:
        yield found
    finally:
        if left := found.remove():
            TABLE.append(("NOT removed", "; ".join(left), 0))


@pytest.fixture
def real(cluster: Cluster) -> Cluster:
    """A cluster on which things can be done that the double only tells of."""
    if cluster.double is not None:
        pytest.skip("needs a real KFP: make test-cluster HOST=URL")
    return cluster


@pytest.fixture
def real_kubectl(real: Cluster) -> Cluster:
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl on this machine")
    return real
