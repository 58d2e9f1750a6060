"""The images, and runs in containers of them: `make test-docker` builds the images first."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from docker.client import DockerClient
from kfp import dsl

import pipeline
from components import images
from sarslim import __version__
from sarslim.config import RunConfig, parse
from sarslim.errors import InputError
from sarslim.kubeflow.local import launch, runners
from sarslim.networks import artifact
from sarslim.records import TrainRecord
from sarslim.stages.results import TRAINING, read_json

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[1]
TARGETS = sorted(set(images.TARGETS.values()))
STAGE = {target: stage for stage, target in images.TARGETS.items()}
CONFIG = {
    "prepare": {"image_size": 32, "simulator": {"chips": 120, "classes": 3}},
    "teacher": {"network": "aconvnet", "epochs": 2, "batch_size": 32},
    "prune": {"macs": "20%", "params": "20%", "weak_teacher": "accept"},
    "distill": {"epochs": 2, "batch_size": 32},
    "evaluate": {"latency_seconds": 0.05, "looks": [4], "max_drop": 1.0},
}
# The bytes of torch and all it requires, with their byte code.
SIZE_OF_TORCH = r"""
import importlib.metadata as metadata, importlib.util, pathlib, re
waiting, sizes = [("torch", "")], {}
while waiting:
    name, extras = waiting.pop()
    try:
        package = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        continue
    files = [pathlib.Path(package.locate_file(file)) for file in package.files]
    files += [pathlib.Path(importlib.util.cache_from_source(file)) for file in files if file.suffix == ".py"]
    sizes[package.name] = sum(file.stat().st_size for file in files if file.is_file())
    for text in package.requires or ():
        extra = re.search("extra == [\"'](.+?)[\"']", text)
        if extra is None or extra[1] in extras.split(","):
            waiting.append(re.match(r"([\w.-]+)(?:\[(.*?)\])?", text).groups(""))
print(sum(sizes.values()))
"""


@pytest.fixture(scope="module")
def engine() -> DockerClient:
    return DockerClient.from_env()


def inside(target: str, *command: str) -> str:
    """What a command prints in the image of a target, run as a cluster would run it."""
    done = subprocess.run(
        ["docker", "run", "--rm", "--read-only", "--volume", "/tmp", "--network", "none", "--cap-drop", "ALL",
         images.tagged(STAGE[target]), *command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def weights(runs: Path, task: str, name: str) -> str:
    folder = next((runs / "store" / "sarslim" / "pipelines").glob(f"*/{task}/{name}"))
    return artifact.read_record(folder).weights_sha256


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_a_user_without_rights_on_a_read_only_root(target, engine):
    assert inside(target, "id", "-u") == str(runners.IMAGE_USER)
    wrote = "import pathlib; pathlib.Path.home().joinpath('x').write_text('x'); print(pathlib.Path.home())"
    assert inside(target, "python3", "-c", wrote) == "/tmp"
    assert engine.images.get(images.tagged(STAGE[target])).attrs["Config"]["User"] == "10001:10001"


@pytest.mark.parametrize("stage", images.TARGETS)
def test_an_image_holds_what_its_stage_imports_and_no_more_than_its_lock(stage):
    target = images.TARGETS[stage]
    inside(target, "python3", "-c", f"import kfp.dsl.executor_main, {images.MODULES[stage]}")
    names = (
        "import importlib.metadata as m; print(*sorted(d.name.lower().replace('_', '-') for d in m.distributions()))"
    )
    locked = {line.split("==")[0] for line in images.lock(target).read_text().splitlines() if "==" in line}
    found = set(inside(target, "python3", "-c", names).split())
    assert {"kfp", "numpy", "minio", "pydantic"} <= found <= locked
    assert ("torch" in found) == (target != "prepare")


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_holds_no_compiler_no_installer_and_no_secret(target, engine):
    tools = "for tool in cc gcc g++ clang make pip pip3 uv perl; do command -v $tool; done; true"
    assert inside(target, "sh", "-c", tools) == ""
    image = engine.images.get(images.tagged(STAGE[target]))
    said = json.dumps([image.history(), image.attrs["Config"]])
    assert "PIP_" not in said
    assert "://" not in said
    assert not [name for name, value in os.environ.items() if name.startswith("AWS_SECRET") and value in said]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_tells_its_version_and_revision(target, engine):
    labels = engine.images.get(images.tagged(STAGE[target])).labels
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.revision"].startswith(commit.strip())


def test_images_stay_small(engine):
    size = {target: engine.images.get(images.tagged(STAGE[target])).attrs["Size"] for target in TARGETS}
    assert size["prepare"] < 500e6
    assert size["train"] - int(inside("train", "python3", "-c", SIZE_OF_TORCH)) <= 400e6


def test_torch_is_one_layer_that_its_images_share(engine):
    layers = {target: engine.images.get(images.tagged(STAGE[target])).attrs["RootFS"]["Layers"] for target in TARGETS}
    assert layers["train"][:3] == layers["prune"][:3] == layers["evaluate"][:3]
    assert layers["cell"][:4] == layers["evaluate"][:4]
    assert layers["prepare"][:2] == layers["train"][:2]
    assert [len(layers[target]) for target in TARGETS] == [6, 5, 4, 5, 5]


def test_images_hold_the_versions_that_are_installed_here():
    for name in ("torch", "numpy", "kfp", "torch-pruning"):
        version = f"import importlib.metadata as m; print(m.version({name!r}))"
        assert inside("prune", "python3", "-c", version) == importlib.metadata.version(name)


def test_the_same_seed_gives_the_same_networks_in_processes_and_in_containers(store, tmp_path):
    config = parse(RunConfig, CONFIG)
    for name in ("processes", "containers"):
        launch.run(
            pipeline.build("compress"),
            config,
            runs=tmp_path / name,
            s3_endpoint=store.endpoint,
            docker=name == "containers",
        )
    for task, name in (("train-teacher", "teacher"), ("prune-student", "pruned"), ("distill-student", "student")):
        assert weights(tmp_path / "containers", task, name) == weights(tmp_path / "processes", task, name)


def test_local_data_are_read_where_they_are(store, tmp_path):
    chips = tmp_path / "chips" / "cargo"
    chips.mkdir(parents=True)
    (chips / "a.png").write_bytes(b"no image")
    config = parse(RunConfig, {"prepare": {"source": str(chips.parent)}})
    with pytest.raises(launch.RunFailed) as caught:
        launch.run(pipeline.build("compress"), config, runs=tmp_path / "runs", s3_endpoint=store.endpoint, docker=True)
    assert caught.value.exit_code == 2
    assert "there is nothing at" not in str(caught.value)


def test_a_killed_container_resumes_from_its_checkpoint(tmp_path, engine):
    runs, config = tmp_path / "runs", tmp_path / "config.yaml"
    long = {"epochs": 60, "batch_size": 16, "checkpoint_seconds": 0}
    config.write_text(yaml.safe_dump(CONFIG | {"distill": long}))
    command = [sys.executable, "-m", "sarslim.cli", "run", "--docker", "--config", str(config), "--runs", str(runs)]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert any(line.startswith("[distill] distill 5/60") for line in first.stdout)
    victims = [one for one in engine.containers.list() if one.attrs["Config"]["Image"] == images.image("distill")]
    assert len(victims) == 1
    victims[0].kill()
    printed, _ = first.communicate(timeout=120)
    assert first.returncode == 1, printed
    assert "stage distill failed" in printed
    assert len(list((runs / "store" / "sarslim").glob("checkpoints/distill-*.pt"))) == 1
    assert not (runs / "latest").exists()

    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert second.returncode == 0, second.stdout + second.stderr
    summary = json.loads((runs / "latest" / "summary.json").read_text())
    assert sorted(summary["cached"]) == ["ask", "prepare", "prune", "teacher"]  # two of them at the same time
    students = (runs / "store" / "sarslim" / "pipelines").glob(f"*/distill-student/student/{TRAINING}")
    assert 4 <= read_json(TrainRecord, next(students)).resumed_at_epoch < 60
    assert not list((runs / "store" / "sarslim").glob("checkpoints/*"))


def test_an_interrupted_run_leaves_no_container(tmp_path, engine):
    first = images.image("check")
    command = [sys.executable, "-m", "sarslim.cli", "run", "--docker", "--runs", str(tmp_path)]
    # A shell's job in the background ignores Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 60
    while not (started := [one for one in engine.containers.list() if one.attrs["Config"]["Image"] == first]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode != 0
    assert not {one.id for one in started} & {one.id for one in engine.containers.list(all=True)}


def test_an_image_that_is_not_built_is_asked_for():
    @dsl.component(base_image="sarslim/python-prepare:never-built", install_kfp_package=False)
    def idle():
        pass

    with pytest.raises(InputError, match="sarslim/python-prepare:never-built is not built. Run make images"):
        runners.require_images(idle)
