"""A disk that runs full, no memory, and two at once: a clear error or right results, and nothing half-written."""

import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sarslim.errors import InputError, ServiceError, of_the_machine
from sarslim.store.storage import S3Uri, write_sums

ROOT = Path(__file__).parents[2]
STAGE = """
import sys
from pathlib import Path
from types import SimpleNamespace
from sarslim.kubeflow import shell
folder = Path(sys.argv[1])
made = SimpleNamespace(uri=str(folder / "run" / "task" / "made"), path=str(folder / "run" / "task" / "made"))
def at_work():
    if sys.argv[2] == "model":
        from faults.readers import HOW, CLASSES, small_network
        from sarslim.networks import artifact
        from sarslim.records import ModelRecord
        record = ModelRecord(
            sarslim_version="0", kind="student", network="aconvnet", stem="standard", classes=CLASSES,
            channels=("amplitude",), image_size=16, scaling=HOW.scaling, mean=(40.0,), std=(20.0,), widths={},
            parents={}, pruning=None, metrics={},
        )
        artifact.save(Path(made.path), small_network(), record)
    elif sys.argv[2] == "dataset":
        from sarslim.chips.prepare import prepare
        from sarslim.config import PrepareConfig, parse
        config = parse(PrepareConfig, {"image_size": 16, "simulator": {"chips": 200, "classes": 2}})
        prepare(config, None, Path(made.path))
    else:
        import numpy
        numpy.zeros(2**50, numpy.uint8)
with shell.stage("prepare", outputs={"made": made}):
    at_work()
"""


def full(*arguments: str, most: int = 4000) -> subprocess.CompletedProcess[str]:
    """A program that can write no file of more bytes than ``most``, as on a disk that has no more."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests" / "chips")))},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("what", "words"), [("dataset", "cannot be written"), ("model", "cannot be written"), ("memory", "not enough")]
)
def test_a_stage_without_room_says_so_and_leaves_nothing(what, words, tmp_path):
    done = full("-c", STAGE, str(tmp_path), what)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1].startswith("service error: ")
    assert words in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout + done.stderr
    left = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.parent.name for path in left] == ["journal"]
    assert '"failed"' in (tmp_path / left[0]).read_text()


def test_a_command_without_room_says_so_and_leaves_nothing(tmp_path):
    done = full("-m", "sarslim.cli", "data", "simulate", str(tmp_path / "ships"), "--chips", "20", most=500)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith("service error: ")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_fault_of_the_machine_stays_what_it_is():
    assert of_the_machine(ValueError("x")) is None
    assert of_the_machine(FileNotFoundError(2, "no such file")) is None
    cause = RuntimeError("save failed")
    cause.__cause__ = OSError(28, "No space left on device", "/a/b")
    assert str(of_the_machine(cause)).startswith("/a/b: cannot be written (No space left on device). Make room")


def test_two_that_publish_at_once_leave_one_whole_bundle_or_an_error(store, tmp_path):
    for round_ in range(6):
        place, folders = S3Uri.parse(f"s3://tests/twice/{round_}"), []
        for name in "ab":
            folders.append(tmp_path / f"{name}{round_}")
            folders[-1].mkdir()
            for file in ("model.onnx", "metrics.json"):
                (folders[-1] / file).write_bytes((name + file).encode() * 3000)
            write_sums(folders[-1])

        def publish(folder: Path, place: S3Uri = place) -> bool:
            try:
                store.publish(folder, place)
            except (InputError, ServiceError):
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            well = list(pool.map(publish, folders))
        copy = tmp_path / f"copy{round_}"
        try:
            found = store.fetch_bundle(place, copy)
        except InputError:  # both wrote at once: nobody is served a mix
            continue
        assert any(well)
        assert len(found) == 2
        assert len({(copy / file).read_bytes()[:1] for file in found}) == 1
