"""Stages that are interrupted go on where they were."""

import pytest
from stages.house import EVERY_EPOCH, TEACHER, distil, weights

from sarslim.config import DistillConfig, TeacherConfig, parse
from sarslim.progress import Progress
from sarslim.stages.teacher import train_teacher
from sarslim.store.storage import S3Uri


class Killed(BaseException):
    """Stands for a process that is killed: no clean-up of ours sees it."""


@pytest.fixture
def killed_in_epoch_3(monkeypatch):
    """Training dies when it reports the third epoch."""
    step = Progress.step

    def die(self, detail="", count=1):
        step(self, detail, count)
        if self.done == 3 and self.total == 4:
            raise Killed

    monkeypatch.setattr(Progress, "step", die)
    return monkeypatch


def test_a_killed_teacher_resumes_to_the_weights_of_one_that_was_not(house, tmp_path, killed_in_epoch_3):
    config = parse(TeacherConfig, TEACHER | {"rerun": "killed"})
    with pytest.raises(Killed):
        train_teacher(config, dataset=house / "dataset", teacher=tmp_path / "teacher")
    assert not (tmp_path / "teacher").exists()
    killed_in_epoch_3.undo()
    record = train_teacher(config, dataset=house / "dataset", teacher=tmp_path / "teacher")
    assert record.resumed_at_epoch == 3
    assert len(record.epochs) == 4
    assert weights(tmp_path / "teacher") == weights(house / "teacher")


def test_a_killed_distillation_resumes_to_the_same_student(house, tmp_path, killed_in_epoch_3):
    config = parse(DistillConfig, EVERY_EPOCH | {"scd_weight": 0.1, "srd_weight": 0.1})
    with pytest.raises(Killed):
        distil(config, house, tmp_path / "killed")
    killed_in_epoch_3.undo()
    assert distil(config, house, tmp_path / "killed").resumed_at_epoch == 3
    whole = distil(config, house, tmp_path / "whole")
    assert whole.resumed_at_epoch == 0
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


@pytest.mark.parametrize("stage", ["teacher", "distill"])
def test_what_a_stage_finished_before_it_was_killed_is_not_trained_again(house, tmp_path, store, monkeypatch, stage):
    def run(out):
        if stage == "distill":
            return distil(parse(DistillConfig, EVERY_EPOCH | {"progressive_steps": 2}), house, tmp_path / out)
        config = parse(TeacherConfig, TEACHER | {"generations": 2})
        return train_teacher(config, dataset=house / "dataset", teacher=tmp_path / out)

    step, kept = Progress.step, S3Uri.parse(TeacherConfig().checkpoints)

    def die(self, detail="", count=1):
        step(self, detail, count)
        if self.what == f"{stage}-2":
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "step", die)
        with pytest.raises(Killed):
            run("killed")
    assert [name for name, *_ in store.list(kept) if stage in name]
    again, whole = run("killed"), run("whole")
    assert again.resumed_at_epoch > len(again.epochs) / 2  # all of the first half, and an epoch of the second
    assert whole.resumed_at_epoch == 0
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert [name for name, *_ in store.list(kept) if stage in name] == []


def test_another_configuration_does_not_resume_from_the_checkpoint(house, tmp_path, killed_in_epoch_3):
    with pytest.raises(Killed):
        distil(parse(DistillConfig, EVERY_EPOCH | {"temperature": 3}), house, tmp_path / "killed")
    killed_in_epoch_3.undo()
    assert distil(parse(DistillConfig, EVERY_EPOCH | {"temperature": 2}), house, tmp_path / "x").resumed_at_epoch == 0
