"""Two real processes that train together (gloo, on the CPU) against one: the same curve, weights, errors and files."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from parallel_cases import CASES, lost, run
from torch import nn

from components.train_teacher import train_teacher as teacher_component
from sarslim.config import AskConfig, DistillConfig, PrepareConfig, PruneConfig, TeacherConfig, parse
from sarslim.errors import InputError, ServiceError
from sarslim.networks import artifact
from sarslim.records import TrainRecord
from sarslim.stages import processes
from sarslim.stages.ask import ask_teacher
from sarslim.stages.distill import distill_student
from sarslim.stages.prepare import prepare
from sarslim.stages.prune import prune_student
from sarslim.stages.results import TRAINING, read_json
from sarslim.stages.teacher import train_teacher
from sarslim.training import parallel

TESTS = Path(__file__).parent
ROOT = TESTS.parents[1]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two processes found."""
    out = tmp_path_factory.mktemp("ranks")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", f"--log-dir={out}"]
    subprocess.run([*launcher, str(TESTS / "parallel_cases.py"), str(out)], check=True, timeout=120, cwd=ROOT)
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(2)]


def same(a, b) -> bool:
    weights = all(torch.equal(value, b["learned"][key]) for key, value in a["learned"].items())
    return weights and a["curve"] == b["curve"]


@pytest.mark.parametrize("name", CASES)
def test_two_processes_give_the_result_of_one(ranks, name):
    alone, together = run(name), ranks[0][name]
    assert np.allclose(together["curve"], alone["curve"], rtol=1e-4, atol=1e-5)
    assert together["kept"] == alone["kept"]
    for key, value in alone["learned"].items():
        assert torch.allclose(together["learned"][key], value, rtol=1e-4, atol=1e-4), key


@pytest.mark.parametrize("name", [*CASES, "resumed", "dropout"])
def test_all_processes_learn_the_very_same(ranks, name):
    assert same(ranks[0][name], ranks[1][name])


def test_several_processes_resume_to_the_very_weights(ranks):
    assert [rank["resumed"]["resumed"] for rank in ranks] == [2, 2]
    assert same(ranks[0]["resumed"], ranks[0]["batch norm"])


def test_only_the_first_process_keeps_checkpoints(ranks):
    assert [rank["saved"] for rank in ranks] == [4, 0]


def test_shares_are_apart_and_make_the_whole(ranks):
    assert [rank["gathered"]["share"].tolist() for rank in ranks] == [[0, 1], [2, 3, 4]]
    assert [rank["gathered"]["rows"].tolist() for rank in ranks] == [[0, 1, 2, 3, 4]] * 2


def test_dropout_draws_apart_for_each_share(ranks):
    chip = [rank["masks"][0] for rank in ranks]
    assert 0.4 < chip[0].float().mean() < 0.6
    assert 0.4 < (chip[0] ^ chip[1]).float().mean() < 0.6


def test_a_batch_too_small_to_be_shared_is_refused_by_all(ranks):
    assert {rank["refused"] for rank in ranks} == {
        "teacher.processes: 2 processes cannot share a batch of 1 chips. Choose fewer processes or a larger batch_size."
    }


def test_one_process_pays_nothing():
    batch, network = torch.rand(4, 1), nn.BatchNorm2d(1)
    assert parallel.shard(batch) is batch
    assert parallel.gather(batch, 4) is batch
    with parallel.shared_statistics(network):
        assert "forward" not in vars(network)


@pytest.fixture(scope="module")
def house(store, tmp_path_factory):
    """Data set, teacher and pruned network."""
    folder = tmp_path_factory.mktemp("house")
    data = {"image_size": 32, "simulator": {"chips": 60, "classes": 2}}
    prepare(parse(PrepareConfig, data), dataset=folder / "dataset", card=folder / "card.html")
    teacher = parse(TeacherConfig, {"network": "aconvnet", "epochs": 1})
    train_teacher(teacher, dataset=folder / "dataset", teacher=folder / "teacher")
    prune_student(
        parse(PruneConfig, {"macs": "20%", "params": "", "calibration_chips": 32, "weak_teacher": "accept"}),
        dataset=folder / "dataset",
        teacher=folder / "teacher",
        pruned=folder / "pruned",
        table=folder / "pruning.md",
    )
    asked = AskConfig(views=3).filled(DistillConfig())
    ask_teacher(asked, dataset=folder / "dataset", teacher=folder / "teacher", answers=folder / "answers")
    return folder


# As KFP starts a component: a process whose standard output is its log.
COMPONENT = """
import json, sys, types
from components.distill_student import distill_student
artifacts = {name: types.SimpleNamespace(path=path, uri=path) for name, path in json.loads(sys.argv[2]).items()}
distill_student.python_func(config=sys.argv[1], **artifacts)
"""


def children(pid: int) -> set[int]:
    found = {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    return found.union(*map(children, found))


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_terminated_stage_ends_all_its_processes_and_resumes(house, tmp_path, capfd):
    config = {"epochs": 16, "batch_size": 64, "processes": 2, "progressive_steps": 2, "checkpoint_seconds": 0}
    inputs = {name: house / name for name in ("dataset", "teacher", "pruned", "answers")}
    outputs = {name: tmp_path / "task" / name for name in ("student", "metrics")}
    paths = {name: str(path) for name, path in (inputs | outputs).items()}
    task = subprocess.Popen(
        [sys.executable, "-c", COMPONENT, json.dumps(config), json.dumps(paths)],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert task.stdout is not None
    assert any(line.startswith("distill-2 2/8") for line in task.stdout)
    started = children(task.pid)
    assert len(started) == 3
    task.terminate()
    _, errors = task.communicate(timeout=60)
    assert task.returncode == 128 + signal.SIGTERM
    assert errors == ""
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert not outputs["student"].exists()

    capfd.readouterr()
    record = distill_student(parse(DistillConfig, config), **inputs, student=outputs["student"])
    lines = capfd.readouterr().out.splitlines()
    assert record.resumed_at_epoch >= 8 + 2
    assert record.answers is not None
    assert not [line for line in lines if line.startswith("distill-1")]  # the first round was finished
    assert [line.split()[1] for line in lines if line.startswith("distill-2")] == [
        f"{epoch}/8" for epoch in range(record.resumed_at_epoch - 8 + 1, 9)
    ]
    assert read_json(TrainRecord, outputs["student"] / TRAINING) == record
    assert artifact.read_record(outputs["student"]).widths == artifact.read_record(house / "pruned").widths


def test_a_mistake_found_by_the_processes_is_one_line(house, tmp_path, capfd):
    paths = {"dataset": house / "dataset", "teacher": tmp_path / "task" / "teacher", "metrics": tmp_path / "task" / "m"}
    artifacts = {name: SimpleNamespace(path=str(path), uri=str(path)) for name, path in paths.items()}
    config = {"network": "vgg16_bn", "stem": "small", "processes": 2}
    with pytest.raises(SystemExit) as stopped:
        teacher_component.python_func(config=json.dumps(config), **artifacts)
    assert stopped.value.code == 2
    printed = capfd.readouterr()
    assert printed.out.splitlines()[-1:] == [
        "input error: teacher.stem: small has no meaning for vgg16_bn, whose first layer keeps the resolution anyway. "
        "Set stem=standard."
    ]
    assert printed.err == ""


def test_a_process_that_dies_fails_the_stage_and_is_heard(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("PYTHONPATH", f"{TESTS.parent}:{TESTS}")
    with pytest.raises(ServiceError, match="one of 2 training processes failed"):
        processes.in_processes(lost)(TeacherConfig(processes=2), out=tmp_path)
    assert "the last words" in capfd.readouterr().err


def test_there_is_a_process_per_gpu_and_no_more(monkeypatch):
    started = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(processes, "_launch", lambda count, *_: started.append(count))
    for wanted in (0, 2, 4):
        processes.in_processes(lost)(TeacherConfig(processes=wanted), out=Path("out"))
    assert started == [4, 2, 4]
    with pytest.raises(InputError, match=r"processes: 5 is more than the 4 GPUs here"):
        processes.in_processes(lost)(TeacherConfig(processes=5), out=Path("out"))
