"""Pushing images to a real registry on loopback, where Debian's docker-registry is installed."""

import importlib.util
import io
import json
import shutil
import socket
import subprocess
import time

import pytest
from docker.client import DockerClient

from components import images

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="apt-get install docker-registry"),
]


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """The address of an empty registry, which SARSLIM_REGISTRY names."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place = probe.getsockname()
    address = f"{place[0]}:{place[1]}"
    config = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(tmp_path)}}, "http": {"addr": address}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    server = subprocess.Popen(["docker-registry", "serve", str(tmp_path / "config.json")], stderr=subprocess.DEVNULL)
    monkeypatch.setenv("SARSLIM_REGISTRY", f"{address}/team")
    while socket.socket().connect_ex(place):
        assert server.poll() is None
        time.sleep(0.1)
    yield address
    server.terminate()
    server.wait(timeout=10)


def build_script():
    spec = importlib.util.spec_from_file_location("build", images.ROOT / "docker" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_tag_is_pushed_once_and_pinned_by_its_digest(registry, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "TARGETS", {"prepare": "prepare", "publish": "prepare"})
    monkeypatch.setattr(images, "DIGESTS", tmp_path / "digests.json")
    script, engine = build_script(), DockerClient.from_env()
    names = [images.tagged(stage) for stage in images.TARGETS]
    assert all(name.startswith(f"{registry}/team/python-prepare:") for name in names)

    def build(name, content):
        # Small stand-ins: what is in an image does not matter here.
        engine.images.build(fileobj=io.BytesIO(f"FROM scratch\nLABEL content={content}\n".encode()), tag=name)

    build(names[0], "one")
    build(names[1], "two")
    script.push()
    pinned = [images.image(stage) for stage in images.TARGETS]
    assert all(name.startswith(f"{registry}/team/python-prepare@sha256:") for name in pinned)
    assert len(set(pinned)) == 2

    build(names[0], "another-build")
    script.push()
    assert [images.image(stage) for stage in images.TARGETS] == pinned
    engine.images.remove(names[0])
    assert engine.images.pull(pinned[0]).labels == {"content": "one"}
    for name in (pinned[0], names[1]):
        engine.images.remove(name, force=True)
