"""The teacher asked once: what the stage writes, what a distillation makes of it, and what it refuses."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from sarslim import networks
from sarslim.chips.dataset import Dataset
from sarslim.config import AskConfig, DistillConfig, PrepareConfig, PruneConfig, RunConfig, TeacherConfig, parse
from sarslim.config.parameters import to_parameters
from sarslim.errors import InputError
from sarslim.networks import artifact
from sarslim.networks.inference import folded
from sarslim.progress import Progress
from sarslim.records import ANSWERS, TrainRecord
from sarslim.report.words.run import answers as told
from sarslim.report.words.run import curve, headline
from sarslim.stages.ask import ask_teacher
from sarslim.stages.asking import open_answers
from sarslim.stages.check import check
from sarslim.stages.distill import distill_student
from sarslim.stages.learn import parents_of
from sarslim.stages.prepare import prepare
from sarslim.stages.prune import prune_student
from sarslim.stages.results import TRAINING, read_json
from sarslim.stages.teacher import train_teacher
from sarslim.training.answers import digest, read_record

DISTILL = parse(DistillConfig, {"epochs": 4, "checkpoint_seconds": 0, "shift": 3, "rotate": 10})
VIEWS = 3


@pytest.fixture(scope="module")
def house(store, tmp_path_factory):
    """Data set with unlabelled chips, teacher, pruned network, and the answers of the teacher."""
    folder = tmp_path_factory.mktemp("house")
    data = {"image_size": 32, "label_fraction": 0.5, "simulator": {"chips": 120, "classes": 3}}
    prepare(parse(PrepareConfig, data), dataset=folder / "dataset", card=folder / "card.html")
    for seed, name in ((0, "teacher"), (1, "stranger")):
        recipe = {"epochs": 2, "network": "aconvnet", "learning_rate": 0.01, "checkpoints": "", "seed": seed}
        train_teacher(parse(TeacherConfig, recipe), dataset=folder / "dataset", teacher=folder / name)
    prune_student(
        parse(PruneConfig, {"macs": "20%", "params": "20%", "calibration_chips": 64, "weak_teacher": "accept"}),
        dataset=folder / "dataset",
        teacher=folder / "teacher",
        pruned=folder / "pruned",
        table=folder / "pruning.md",
    )
    ask(folder, folder / "answers", DISTILL)
    return folder


def ask(house, out, *recipes, views=VIEWS, **fields):
    config = AskConfig(views=views, **fields).filled(*recipes)
    return ask_teacher(config, dataset=house / "dataset", teacher=house / "teacher", answers=out)


def distil(config, house, out, answers="answers", teacher="teacher") -> TrainRecord:
    return distill_student(
        config,
        dataset=house / "dataset",
        teacher=house / teacher,
        pruned=house / "pruned",
        student=out,
        answers=house / answers if answers else None,
    )


def weights(folder) -> str:
    return artifact.read_record(folder).weights_sha256


def test_the_record_tells_what_was_asked_of_whom_and_how_much_it_is(house):
    record, data = read_record(house / "answers"), Dataset.open(house / "dataset")
    chips, unlabelled = (len(data.part(name).images) for name in ("train", "unlabelled"))
    assert (record.chips, record.unlabelled_chips) == (chips, unlabelled)
    assert (record.views, record.unlabelled_views) == (VIEWS, VIEWS)
    assert record.parents == parents_of(data, teacher=house / "teacher")
    assert record.shown["rotate"] == 10
    assert record.seconds > 0
    assert record.bytes == sum(file.stat().st_size for file in (house / "answers").glob("*.npy"))
    assert record.bytes > record.answers * 2 * (record.classes + sum(record.widths))
    assert "views of each of" in told(record)
    assert headline("ask", record.figures()).startswith(f"{record.answers:,} answers, ")
    assert "the teacher answers during" in headline("ask", {"views": 0, "answers": 0, "bytes": 0})


def test_nobody_is_asked_for_more_views_than_a_distillation_shows(house, tmp_path):
    record = ask(house, tmp_path, DISTILL, views=50)
    assert record.unlabelled_chips > record.chips > 0
    assert record.views == DISTILL.epochs == 4
    assert record.unlabelled_views == -(-4 * record.chips // record.unlabelled_chips) < 4


def test_answers_of_a_version_that_did_not_tell_epochs_serve(house, tmp_path):
    shutil.copytree(house / "answers", tmp_path / "answers")
    record = json.loads((tmp_path / "answers" / ANSWERS).read_text())
    assert record["shown"].pop("epochs") == DISTILL.epochs
    (tmp_path / "answers" / ANSWERS).write_text(json.dumps(record))
    data = Dataset.open(house / "dataset")
    assert open_answers(tmp_path / "answers", DISTILL, data, parents_of(data, teacher=house / "teacher"))
    asked = AskConfig(views=VIEWS).filled(DISTILL)
    before = asked.model_copy(update={"shown": asked.shown.model_copy(update={"epochs": 0})})
    again = ask_teacher(before, dataset=house / "dataset", teacher=house / "teacher", answers=tmp_path / "again")
    assert (again.views, again.unlabelled_views) == (VIEWS, VIEWS)


def test_stored_answers_are_those_of_the_teacher_asked_now(house):
    data = Dataset.open(house / "dataset")
    stored = open_answers(house / "answers", DISTILL, data, parents_of(data, teacher=house / "teacher"))
    assert stored is not None
    chips = np.arange(stored.record.chips + stored.record.unlabelled_chips)
    (images, *_), answer = stored.show(chips, np.random.default_rng(0), torch.device("cpu"))
    teacher = folded(artifact.load(house / "teacher")[0])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=False):
        logits, features = networks.forward_with_taps(teacher, images)
    exact = stored.record.shown["mixed_precision"] and torch.cpu.get_capabilities().get("avx512_bf16")
    tolerance = {"rtol": 0.05, "atol": 0.1} if exact else {"rtol": 1e-3, "atol": 1e-3}
    assert torch.allclose(answer.logits, logits, **tolerance)
    for kept, feature in zip(answer.pooled, features, strict=True):
        assert torch.allclose(kept, feature.mean(dim=(2, 3)), **tolerance)


def test_a_student_tells_which_answers_it_had(house, tmp_path):
    record = distil(DISTILL, house, tmp_path / "student")
    asked = read_record(house / "answers")
    assert record.answers == asked
    assert read_json(TrainRecord, tmp_path / "student" / TRAINING) == record
    assert artifact.read_record(tmp_path / "student").parents["answers"] == digest(asked)
    assert f"Beforehand the teacher answered {VIEWS} views of each of" in curve(record)
    assert {"label", "response", "scd", "srd", "crd", "total"} <= set(record.epochs[0].losses)


def test_with_stored_answers_the_teacher_is_never_run(house, tmp_path, monkeypatch):
    import sarslim.training.distillation as distillation

    asked = []
    look = distillation.DistillObjective._look

    def counting(self, network, images):
        asked.append(network is self._teacher[0])
        return look(self, network, images)

    monkeypatch.setattr(distillation.DistillObjective, "_look", counting)
    one = DISTILL.model_copy(update={"epochs": 1})
    distil(one, house, tmp_path / "stored")
    assert asked
    assert not any(asked)
    distil(one, house, tmp_path / "online", answers="")
    assert any(asked)


class Killed(BaseException):
    """Stands for a process that is killed."""


def test_a_killed_distillation_resumes_to_the_same_student(house, tmp_path, monkeypatch):
    step = Progress.step

    def die(self, detail="", count=1):
        step(self, detail, count)
        if self.done == 3 and self.total == 4:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "step", die)
        with pytest.raises(Killed):
            distil(DISTILL, house, tmp_path / "killed")
    # What another way of asking left behind is not taken up.
    assert distil(DISTILL, house, tmp_path / "online", answers="").resumed_at_epoch == 0
    assert distil(DISTILL, house, tmp_path / "killed").resumed_at_epoch == 3
    assert distil(DISTILL, house, tmp_path / "whole").resumed_at_epoch == 0
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert weights(tmp_path / "whole") != weights(tmp_path / "online")


def test_asking_again_gives_the_same_answers_and_another_seed_others(house, tmp_path):
    first = read_record(house / "answers")
    assert digest(ask(house, tmp_path / "again", DISTILL)) == digest(first)
    assert ask(house, tmp_path / "other", DISTILL, seed=1).sha256 != first.sha256


def test_rounds_and_logits_alone_take_stored_answers_too(house, tmp_path):
    kd = {"scd_weight": 0, "srd_weight": 0, "progressive_steps": 2, "epochs": 4, "checkpoints": "", "use_unlabelled": 0}
    recipe = parse(DistillConfig, kd)
    record = ask(house, tmp_path / "answers", recipe)
    assert (record.widths, record.unlabelled_chips) == ((), 0)
    student = distil(recipe, house, tmp_path / "student", tmp_path / "answers")
    assert student.answers == record
    assert len(student.epochs) == 4


def test_asked_online_the_stage_writes_a_record_alone_and_nothing_changes(house, tmp_path):
    unneeded = ask(house, tmp_path / "unneeded", DISTILL.model_copy(update={"method": "finetune"}))
    record = ask(house, tmp_path / "none", DISTILL, views=0)
    assert unneeded == record
    assert [file.name for file in (tmp_path / "none").iterdir()] == [ANSWERS]
    assert (record.views, record.bytes) == (0, 0)
    short = DISTILL.model_copy(update={"epochs": 1})
    assert distil(short, house, tmp_path / "a", tmp_path / "none").answers is None
    distil(short, house, tmp_path / "b", answers="")
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert "answers" not in artifact.read_record(tmp_path / "a").parents


def test_the_twin_does_not_look_at_answers(house, tmp_path):
    twin = DISTILL.model_copy(update={"method": "finetune", "epochs": 1, "shift": 1})
    assert distil(twin, house, tmp_path / "a").answers is None
    distil(twin, house, tmp_path / "b", answers="")
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_asking_nothing_loads_no_torch():
    code = "import sys, sarslim.stages.ask; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("change", "teacher", "words"),
    [
        ({}, "stranger", "holds answers that belong to another teacher"),
        ({"rotate": 0.0}, "teacher", "distill.rotate: is 0.0, the teacher was shown views of 10.0"),
        ({"mixup": 0.0}, "teacher", "distill.mixup: is 0.0, the teacher was shown views of 0.2"),
    ],
)
def test_answers_that_do_not_belong_to_a_distillation_are_refused(house, tmp_path, change, teacher, words):
    with pytest.raises(InputError, match=words):
        distil(DISTILL.model_copy(update=change), house, tmp_path / "student", teacher=teacher)
    assert not (tmp_path / "student").exists()


def test_answers_without_what_a_term_or_an_unlabelled_chip_needs_are_refused(house, tmp_path):
    plain = DISTILL.model_copy(update={"scd_weight": 0.0, "srd_weight": 0.0, "use_unlabelled": False})
    ask(house, tmp_path / "logits", plain)
    with pytest.raises(InputError, match="holds no features of the stages, which scd and srd compare"):
        distil(DISTILL, house, tmp_path / "student", tmp_path / "logits")
    more = plain.model_copy(update={"use_unlabelled": True})
    with pytest.raises(InputError, match="holds no answers to unlabelled chips"):
        distil(more, house, tmp_path / "student", tmp_path / "logits")


def checked(methods="", **values) -> AskConfig:
    parameters = to_parameters(parse(RunConfig, values)) | {"methods": methods}
    return check(parameters | {f"{name}_uri": "" for name in ("dataset", "teacher", "pruned", "student")}).ask


def test_the_check_fills_in_what_the_teacher_is_shown():
    ask = {"ask": {"views": 8}}
    shown = checked(**ask, distill={"flip": False, "scd_weight": 0, "srd_weight": 0}).shown
    assert shown is not None
    assert (shown.flip, shown.features, shown.unlabelled) == (False, False, True)
    assert checked(distill={"flip": False}) == AskConfig()
    twin = checked(**ask, distill={"method": "finetune"})
    assert (twin.views, twin.shown) == (8, None)
    # In a comparison it is the methods that decide.
    assert checked("kd, finetune", **ask, distill={"method": "finetune"}).shown.features is False
    assert checked("kd+scd, finetune", **ask, distill={"scd_weight": 0}).shown.features is True
    assert checked("finetune, scratch", **ask).shown is None
    with pytest.raises(InputError, match="'kdd' is not a recovery method known here"):
        checked("kdd", **ask)
