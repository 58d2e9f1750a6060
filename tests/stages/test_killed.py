"""A run whose processes are killed from outside, and what the next run makes of it; ``make faults`` has many more."""

import json
import os
import signal
import time

import pytest
import yaml
from faults.kills import start

from sarslim.config import TeacherConfig, parse
from sarslim.networks import artifact
from sarslim.records import TrainRecord
from sarslim.stages.results import TRAINING, read_json
from sarslim.stages.teacher import train_teacher

TEACHER = {"network": "aconvnet", "epochs": 40, "batch_size": 16, "checkpoint_seconds": 0}
CONFIG = {
    "prepare": {"image_size": 64, "simulator": {"chips": 200, "classes": 2}},
    "teacher": TEACHER,
    "prune": {"macs": "20%", "params": "20%"},
    "distill": {"epochs": 1},
    "evaluate": {"latency_seconds": 0.05, "looks": [4], "max_drop": 1.0},
}


def test_a_killed_run_resumes_to_the_weights_of_one_that_was_not(tmp_path, monkeypatch):
    runs, config = tmp_path / "runs", tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    first = start(runs, config)
    assert any(line.startswith("[teacher] teacher 5/40") for line in first.stdout)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert first.returncode == -signal.SIGKILL
    assert not (runs / "latest").exists()

    # And once more, by SIGTERM: the stage saves, and nothing of the run is left behind.
    again = start(runs, config)
    assert any(line.startswith("[teacher] teacher ") for line in again.stdout)
    began = time.monotonic()
    again.terminate()
    printed, _ = again.communicate(timeout=30)
    assert again.returncode == 143, printed
    assert time.monotonic() - began < 20
    assert "interrupted; the same command goes on" in printed
    time.sleep(5)  # what ended is there until the system has taken note
    with pytest.raises(ProcessLookupError):
        os.killpg(again.pid, 0)

    second = start(runs, config)
    printed, _ = second.communicate(timeout=300)
    assert second.returncode == 0, printed
    summary = json.loads((runs / "latest" / "summary.json").read_text())
    assert summary["cached"] == ["prepare"]
    assert "[teacher] resumed after epoch" in printed
    assert not list((runs / "store" / "sarslim").glob("checkpoints/*"))
    teacher = next((runs / "store" / "sarslim" / "pipelines").glob("*/train-teacher/teacher/model.json")).parent
    record = read_json(TrainRecord, teacher / TRAINING)
    assert 4 <= record.resumed_at_epoch < 40

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    dataset = next((runs / "store" / "sarslim" / "pipelines").glob("*/prepare-data/dataset"))
    train_teacher(parse(TeacherConfig, TEACHER), dataset=dataset, teacher=tmp_path / "whole")
    whole = artifact.read_record(tmp_path / "whole").weights_sha256
    assert artifact.read_record(teacher).weights_sha256 == whole
