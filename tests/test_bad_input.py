"""Mistakes get one clear line and exit code 2, failures exit code 1; both before anything expensive starts."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import pipeline
from sarslim.config import RunConfig, parse
from sarslim.config.parameters import to_parameters
from sarslim.errors import InputError, ServiceError
from sarslim.kubeflow.local import launch
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


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["run", "--runs", "{file}"], "--runs: {file} cannot be written to (Not a directory)"),
        (["run", "--runs", "{file}/below"], "--runs: {file}/below cannot be written to (Not a directory)"),
        (["run", "--runs", "/proc/x"], "--runs: /proc/x cannot be written to ("),
        (["run", "--runs", "/sys/x"], "--runs: /sys/x cannot be written to ("),
        (["compile", "--out", "/proc/x"], "--out: /proc/x cannot be written to ("),
        (["compile", "--out", "{file}"], "--out: {file} cannot be written to (File exists)"),
        (["run", "--config", "configs/opensarship.yaml", "--runs", "{folder}"], "prepare.source: prepare.format=open"),
    ],
    ids=["file", "below a file", "proc", "sys", "compile proc", "compile file", "no data"],
)  # fmt: skip
def test_a_place_that_cannot_be_written_to_is_told_in_one_line(arguments, where, tmp_path):
    file, folder = tmp_path / "file", tmp_path / "runs"
    file.write_text("mine")
    done = command(*(text.format(file=file, folder=folder) for text in arguments))
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"input error: {where.format(file=file)}")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_text() == "mine"


def test_a_full_disk_is_told_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100 * 2**20))
    with pytest.raises(ServiceError) as caught:
        launch.run(pipeline.build("compress"), RunConfig(), runs=tmp_path / "runs")
    assert str(caught.value) == (
        f"--runs: the disk of {tmp_path}/runs has 100 MiB free, and a run takes 265 MiB or more. "
        "Make room, or name another folder."
    )
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_runs_full_is_a_failure_and_not_a_mistake(tmp_path, number):
    with (
        pytest.raises(ServiceError, match=r"--runs: .* cannot be written to \("),
        launch.written_to("--runs", tmp_path),
    ):
        raise OSError(number, os.strerror(number))


SHOWN = "20.7× fewer, −0.8 points, 1–2 · ✓ ✗ … 95 % 船 \udcff"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", b"20.7x fewer, -0.8 points, 1-2 . + x ... 95 % \\u8239 \\xff\n"),
        ("latin-1", b"20.7\xd7 fewer, -0.8 points, 1-2 \xb7 + x ... 95 % \\u8239 \\xff\n"),
        ("utf-8", SHOWN.replace("\udcff", "\\xff").encode() + b"\n"),
    ],
)
def test_a_terminal_that_cannot_show_a_sign_shows_another(encoding, shown):
    code = f"from sarslim.errors import told\nwith told(): print({ascii(SHOWN)})"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, shown, b"")


def test_the_last_screen_is_shown_by_every_terminal(tmp_path):
    code = (
        "import pathlib, example_records\n"
        "from sarslim.errors import told\n"
        "from sarslim.report import last_screen\n"
        "with told():\n"
        "    last_screen.show_run(example_records.config(), example_records.dataset(), example_records.evaluation(),\n"
        "                         pathlib.Path('runs/1'), 's3://models/ships/1', 75.0)\n"
        "    last_screen.show_comparison(example_records.comparison(1), pathlib.Path('runs/1'), 75.0)\n"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"20.6x fewer parameters and 20.7x fewer MACs" in b" ".join(done.stdout.split())


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
