"""Mistakes get one clear line and exit code 2, failures exit code 1; both before anything expensive starts."""

import subprocess
import sys
from pathlib import Path

import pytest

from sarslim.config import RunConfig, parse
from sarslim.config.parameters import to_parameters
from sarslim.errors import InputError, ServiceError
from sarslim.stages.check import check
from sarslim.store.storage import S3Uri

ROOT = Path(__file__).parents[1]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sarslim.cli", *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--set", "distill.temprature=3"], "did you mean distill.temperature?"),
        (["run", "--set", "prune.macs=0"], "prune.macs: '0' leaves no network. Ask for more than 0."),
        (["run", "--set", "distill"], "Write stage.field=value"),
        (["run", "--set", "prepare.classes=[Cargo"], "'[Cargo' cannot be read"),
        (["run", "--config", "no/such.yaml"], "there is no file no/such.yaml"),
        (["run", "--config", "README.md"], "README.md"),
        (["rerun", "19990101-000000", "--from", "prune"], "there is no run '19990101-000000'"),
        (["data", "inspect", "no/such/folder"], "there is nothing at"),
        (["data", "inspect", "configs"], "configs"),
    ],
    ids=["misspelt", "budget", "set", "unreadable", "config", "not yaml", "run", "source", "no chips"],
)
def test_the_command_line_answers_in_one_line(arguments, words, tmp_path):
    folder = [] if arguments[0] == "data" else ["--runs", str(tmp_path)]
    done = command(*arguments, *folder)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.startswith("input error: ")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_no_docker_engine_is_told_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine")
    done = command("run", "--docker", "--runs", str(tmp_path / "runs"))
    assert done.returncode == 1
    assert done.stderr == "service error: --docker: no Docker engine answers. Start Docker, or leave out --docker.\n"
    assert not list(tmp_path.iterdir())


def checked(**sections):
    return check(to_parameters(parse(RunConfig, sections)))


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"prepare": {"source": "/no/such/folder"}}, "there is nothing at '/no/such/folder'"),
        ({"prepare": {"source": "s3://raw-chips/nothing"}}, "s3://raw-chips/nothing: nothing is stored there"),
        ({"prepare": {"source": "s3://no-such-bucket/x"}}, "there is no bucket 'no-such-bucket'"),
        ({"prepare": {"source": "s3://BAD/x"}}, "Write s3://bucket/path"),
        ({"prune": {"macs": "99G"}}, "is more than the teacher needs"),
        ({"prune": {"params": "1"}}, "is out of reach, the smallest reachable is"),
        ({"prune": {"ignore": ["backbone.layr1"]}}, "backbone.layer1"),
    ],
)
def test_the_check_refuses_what_cannot_work(store, sections, words):
    store.write(S3Uri.parse("s3://raw-chips/readme"), b"x")
    with pytest.raises(InputError) as caught:
        checked(**sections)
    assert words in str(caught.value)


def test_wrong_credentials_are_the_users_mistake(store, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(InputError, match="refuses the credentials"):
        checked(prepare={"source": "s3://raw-chips/tree"})


def test_an_unreachable_endpoint_is_a_failure(store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match="cannot be reached"):
        checked(prepare={"source": "s3://raw-chips/tree"})


def test_changed_objects_behind_the_same_address_change_the_fingerprint(store):
    place = S3Uri.parse("s3://raw-chips/tree/Cargo/a.png")
    store.write(place, b"one")
    before = checked(prepare={"source": "s3://raw-chips/tree"}).prepare.fingerprint
    for name in ("Cargo/@eaDir/a.png", ".ipynb_checkpoints/a.png", ".DS_Store"):
        store.write(S3Uri.parse(f"s3://raw-chips/tree/{name}"), b"left by a tool")
    assert checked(prepare={"source": "s3://raw-chips/tree"}).prepare.fingerprint == before
    store.write(place, b"two")
    assert checked(prepare={"source": "s3://raw-chips/tree"}).prepare.fingerprint != before
