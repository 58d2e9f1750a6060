"""Stages at work on small data: interruption and resumption, distillation in rounds, and inputs that do not fit."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import example_records
import numpy as np
import pytest
import torch
from PIL import Image

from sarslim import networks
from sarslim.chips import simulated_folder
from sarslim.chips.dataset import Dataset
from sarslim.config import (
    DistillConfig,
    EvaluateConfig,
    PrepareConfig,
    PruneConfig,
    PublishConfig,
    RunConfig,
    TeacherConfig,
    parse,
)
from sarslim.config.machine import threads
from sarslim.config.parameters import to_parameters
from sarslim.delivery.session import Session
from sarslim.errors import InputError
from sarslim.networks import artifact
from sarslim.networks.shapes import shape_of
from sarslim.progress import Progress
from sarslim.pruning import Coupling, group_lasso
from sarslim.records import BundleRecord, Origin, PruneRecord, TrainRecord
from sarslim.stages import learn, search, sparse
from sarslim.stages.check import check
from sarslim.stages.compare import compare
from sarslim.stages.distill import distill_student
from sarslim.stages.evaluate import evaluate
from sarslim.stages.measure import measure
from sarslim.stages.prepare import prepare
from sarslim.stages.prune import prune_student, require_teacher
from sarslim.stages.publish import publish
from sarslim.stages.results import read_json
from sarslim.stages.shifted import Source, compared
from sarslim.stages.shifted import read as read_shifted
from sarslim.stages.sparse import learn_sparsely
from sarslim.stages.teacher import train_teacher
from sarslim.store.storage import S3Uri, write_sums

EVERY_EPOCH = {"epochs": 4, "checkpoint_seconds": 0}
TEACHER = EVERY_EPOCH | {"network": "aconvnet", "ema_decay": 0.9, "learning_rate": 0.01}
PRUNE = {"macs": "20%", "params": "20%", "calibration_chips": 64, "weak_teacher": "accept"}  # it has seen 100 chips


class Killed(BaseException):
    """Stands for a process that is killed: no clean-up of ours sees it."""


@pytest.fixture(scope="module")
def house(store, tmp_path_factory):
    """Data set, teacher and pruned network, made once."""
    folder = tmp_path_factory.mktemp("house")
    data = {"image_size": 32, "simulator": {"chips": 120, "classes": 3}}
    prepare(parse(PrepareConfig, data), dataset=folder / "dataset", card=folder / "card.html")
    train_teacher(parse(TeacherConfig, TEACHER), dataset=folder / "dataset", teacher=folder / "teacher")
    prune_student(
        parse(PruneConfig, PRUNE),
        dataset=folder / "dataset",
        teacher=folder / "teacher",
        pruned=folder / "pruned",
        table=folder / "pruning.md",
    )
    return folder


def weights(folder) -> str:
    return artifact.read_record(folder).weights_sha256


def distil(config, house, out) -> TrainRecord:
    return distill_student(
        config, dataset=house / "dataset", teacher=house / "teacher", pruned=house / "pruned", student=out
    )


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


def test_distillation_logs_every_term_and_finetuning_labels_only(house, tmp_path):
    terms = {"scd_weight": 0.1, "srd_weight": 0.1, "crd_weight": 0.1}
    full = distil(parse(DistillConfig, {"epochs": 1, **terms}), house, tmp_path / "full")
    assert {"label", "response", "scd", "srd", "crd", "auxiliary_label", "total"} <= set(full.epochs[0].losses)
    plain = distil(parse(DistillConfig, {"epochs": 1, "method": "finetune", **terms}), house, tmp_path / "plain")
    assert set(plain.epochs[0].losses) == {"label", "total"}


class Deaf(torch.nn.Module):
    """Names the class that it is told to, whatever it sees."""

    def __init__(self, chosen: list[int], classes: int) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.nn.functional.one_hot(torch.tensor(chosen), classes).float())

    def forward(self, images):
        return self.logits[: len(images)]


@pytest.mark.parametrize(
    ("labels", "right", "refused"),
    [
        ([0] * 20 + [1] * 20, 0, "is right for 0.0% of the 40 validation chips, 0.0% by the lower end"),
        ([0] * 20 + [1] * 20, 20, "and always naming the largest class is for 50.0%"),
        ([0] * 20 + [1] * 20, 26, "65.0% of the 40 validation chips, 49.5% by the lower end"),
        ([0] * 20 + [1] * 20, 27, ""),
        ([0] * 36 + [1] * 4, 38, "always naming the largest class is for 90.0%"),
        ([0] * 5 + [1] * 2, 7, ""),  # too few to tell, and all of them right
        ([0] * 5 + [1] * 2, 5, "always naming the largest class is for 71.4%"),
    ],
)
def test_a_teacher_that_learned_nothing_is_refused_before_pruning(labels, right, refused, tmp_path, capsys):
    part = SimpleNamespace(images=np.zeros((len(labels), 1, 32, 32), np.uint8), labels=np.array(labels))
    told = [label if place < right else 1 - label for place, label in enumerate(labels)]
    # Whoever asks for another part than this one gets a KeyError.
    only = SimpleNamespace(part={"val": part}.__getitem__, record=SimpleNamespace(classes=("a", "b")))
    if refused:
        with pytest.raises(InputError) as caught:
            require_teacher(Deaf(told, 2), only, tmp_path / "teacher")
        assert refused in str(caught.value)
        assert "set prune.weak_teacher=accept to try out the rest" in str(caught.value)
    else:
        require_teacher(Deaf(told, 2), only, tmp_path / "teacher")
    assert ("too few to tell" in capsys.readouterr().out) == (len(labels) == 7)


def test_a_weak_teacher_stops_the_prune_stage_before_anything_is_cut(house, tmp_path):
    with pytest.raises(InputError, match=r"teacher: the teacher is right for .* validation chips"):
        prune(house, tmp_path / "out", PRUNE | {"weak_teacher": "refuse"})
    assert not (tmp_path / "out").exists()


def test_the_student_carries_no_heads_and_the_widths_of_the_pruned_network(house, tmp_path):
    distil(parse(DistillConfig, {"epochs": 1, "srd_weight": 0.1}), house, tmp_path / "student")
    student, pruned = artifact.read_record(tmp_path / "student"), artifact.read_record(house / "pruned")
    assert student.widths == pruned.widths
    assert student.parents == {
        "dataset": pruned.parents["dataset"],
        "teacher": artifact.digest(house / "teacher"),
        "pruned": artifact.digest(house / "pruned"),
    }


def test_pruning_and_distilling_in_rounds_ends_within_the_budget(house, tmp_path):
    record = distil(parse(DistillConfig, {"epochs": 6, "progressive_steps": 3}), house, tmp_path / "student")
    assert [epoch.epoch for epoch in record.epochs] == [1, 2, 3, 4, 5, 6]
    assert record.kept_epoch >= 3
    student, pruned = artifact.read_record(tmp_path / "student"), artifact.read_record(house / "pruned")
    assert student.widths == pruned.widths
    assert weights(tmp_path / "student") != weights(house / "pruned")


SEARCH = PRUNE | {"allocation": "search", "search_growths": [0.5, 1, 2], "search_epochs": 2}


def prune(house, out, values, teacher="teacher") -> PruneRecord:
    folders = {"dataset": house / "dataset", "teacher": house / teacher}
    return prune_student(parse(PruneConfig, values), **folders, pruned=out, table=out.with_suffix(".md"))


@pytest.fixture(scope="module")
def searched(house):
    """What a search left, beside the rest of the house."""
    return prune(house, house / "searched", SEARCH)


def test_a_search_takes_the_candidate_with_the_lowest_validation_loss(house, searched, tmp_path):
    whole = searched.macs_before
    assert [trial.growth for trial in searched.search] == [0.5, 1, 2]
    assert all(0.1 * whole < trial.macs <= 0.2 * whole for trial in searched.search)
    assert len({trial.val_loss for trial in searched.search}) == 3
    best = min(searched.search, key=lambda trial: trial.val_loss)
    assert (searched.macs_after, searched.params_after) == (best.macs, best.params)

    config = read_json(PruneConfig, house / "searched" / "config.json")
    assert (config.allocation, config.stage_growth) == ("uniform", best.growth)
    assert read_json(PruneRecord, house / "searched" / "pruning.json") == searched
    again = prune(house, tmp_path / "again", PRUNE | {"stage_growth": best.growth})
    assert weights(tmp_path / "again") == weights(house / "searched")
    assert again.val_accuracy_recalibrated == searched.val_accuracy_recalibrated

    table = (house / "searched.md").read_text()
    (row,) = [line for line in table.splitlines() if line.endswith("| chosen |")]
    assert row.startswith(f"| {best.growth:g} | ")
    assert all(f" | {trial.val_loss:.4f} | " in table for trial in searched.search)
    assert "Candidates" not in (house / "pruning.md").read_text()


def test_a_search_repeats_bit_for_bit_and_follows_its_seed(house, searched, tmp_path):
    repeated = prune(house, tmp_path / "repeated", SEARCH)
    assert repeated.search == searched.search
    assert weights(tmp_path / "repeated") == weights(house / "searched")
    other = prune(house, tmp_path / "other", SEARCH | {"search_growths": [1], "seed": 1})
    assert other.search[0].val_loss != searched.search[1].val_loss


def test_rounds_of_distillation_keep_the_growth_that_won(house, searched, tmp_path):
    config = parse(DistillConfig, {"epochs": 2, "progressive_steps": 2})
    folders = {"dataset": house / "dataset", "teacher": house / "teacher", "pruned": house / "searched"}
    distill_student(config, **folders, student=tmp_path / "student")
    pruned = artifact.read_record(house / "searched")
    assert artifact.read_record(tmp_path / "student").widths == pruned.widths


def test_a_search_out_of_reach_is_refused_before_any_trial(house, tmp_path, capsys):
    with pytest.raises(InputError, match=r"prune\.macs: macs=0\.1% is out of reach"):
        prune(house, tmp_path / "out", SEARCH | {"macs": "0.1%"})
    assert "trial" not in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_sparse_learning_lowers_the_penalty_and_leaves_the_teacher_alone(house, tmp_path):
    before = {file: file.read_bytes() for file in (house / "teacher").iterdir()}
    data = Dataset.open(house / "dataset")
    whole, _ = artifact.load(house / "teacher")
    weak, strong = (
        learn_sparsely(whole, parse(PruneConfig, {"sparse_epochs": 2, "sparse_weight": weight}), data, {})
        for weight in (1e-9, 1e-2)
    )

    def penalty(network):
        return group_lasso(Coupling(network.eval(), (1, 32, 32), networks.output_layers(network)).units).item()

    assert penalty(strong) < 0.97 * penalty(weak)
    assert penalty(strong) < 0.97 * penalty(whole)

    prune(house, tmp_path / "pruned", PRUNE | {"sparse_epochs": 2})
    prune(house, tmp_path / "again", PRUNE | {"sparse_epochs": 2})
    assert {file: file.read_bytes() for file in (house / "teacher").iterdir()} == before
    assert weights(tmp_path / "pruned") == weights(tmp_path / "again") != weights(house / "pruned")
    sparse, plain = (artifact.read_record(folder) for folder in (tmp_path / "pruned", house / "pruned"))
    assert sparse.widths == plain.widths
    assert sparse.parents == plain.parents


def test_a_budget_out_of_reach_is_refused_before_sparse_learning(house, tmp_path, capsys):
    with pytest.raises(InputError, match=r"prune\.macs: macs=0\.1% is out of reach"):
        prune(house, tmp_path / "out", PRUNE | {"macs": "0.1%", "sparse_epochs": 2})
    assert "sparse learning" not in capsys.readouterr().out


def test_all_learning_in_the_prune_stage_shows_chips_as_the_teacher_saw_them(house, tmp_path, monkeypatch):
    views = {"flip": False, "shift": 1, "rotate": 5.0, "speckle_looks": 4.0, "batch_size": 16, "class_balanced": True}
    recipe = parse(TeacherConfig, TEACHER | {"epochs": 1} | views)
    train_teacher(recipe, dataset=house / "dataset", teacher=tmp_path / "teacher")
    seen = []

    def spy(*arguments, **named):
        seen.append(arguments[2])
        return learn.train(*arguments, **named)

    for stage in (search, sparse):
        monkeypatch.setattr(stage, "train", spy)
    prune(house, tmp_path / "pruned", SEARCH | {"sparse_epochs": 1, "search_growths": [1]}, tmp_path / "teacher")
    assert [config.epochs for config in seen] == [1, 2]
    assert all(config.model_dump(include=set(views)) == views for config in seen)
    assert [config.checkpoints for config in seen] == ["", ""]


def snippets_work(card: str, folder: Path, data: Dataset) -> None:
    """Runs what the card says to paste, where it says to paste it."""
    (folder / "chips").mkdir()
    for number, image in enumerate(data.part("test").images[:3]):
        Image.fromarray(image[0]).save(folder / "chips" / f"{number}.png")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    blocks = re.findall(r"```(shell|python)\n(.*?)```", card, re.DOTALL)
    assert [language for language, _ in blocks] == ["shell", "python"]
    run = {"shell": ["bash", "-c"], "python": [sys.executable, "-c"]}
    said = [
        subprocess.run(
            [*run[language], code],
            cwd=folder,
            env={**os.environ, "PATH": path},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for language, code in blocks
    ]
    table = list(csv.DictReader((folder / "found.csv").open()))
    assert [row["chip"] for row in table] == ["chips/0.png", "chips/1.png", "chips/2.png"]
    answers = [line.split()[:2] for line in said[1].splitlines() if not line.startswith("note: ")]
    assert answers == [[row["chip"], row["class"]] for row in table]


@pytest.fixture(scope="module")
def rough(tmp_path_factory) -> Path:
    """Simulated chips of two of the three classes, other ships, with a single look more of speckle."""
    folder, rng = tmp_path_factory.mktemp("shifted") / "rough", np.random.default_rng(0)
    simulated_folder.write(folder, 60, 3, seed=7, unlabelled=0, image_size=32)
    shutil.rmtree(sorted(place for place in folder.iterdir() if place.is_dir())[0])
    for file in sorted(folder.rglob("*.png")):
        amplitude = np.asarray(Image.open(file), float)
        amplitude *= np.sqrt(rng.gamma(1, 1, amplitude.shape))
        Image.fromarray(np.clip(amplitude, 0, 255).astype(np.uint8)).save(file)
    return folder


def test_networks_are_measured_on_shifted_chips_too(house, rough, store, tmp_path):
    address = S3Uri.parse("s3://tests/rough")
    for file in rough.rglob("*.png"):
        store.upload(file, address / file.relative_to(rough).as_posix())
    shifted = {"shifted": {"rough": str(rough), "stored": str(address)}}
    fields = {"latency_seconds": 0.02, "looks": [], **shifted}
    data, known = Dataset.open(house / "dataset"), artifact.load(house / "teacher")[0]
    config = parse(EvaluateConfig, fields)
    sources = read_shifted(config, data, read_json(PrepareConfig, house / "dataset" / "config.json"))
    assert [len(source.images) for source in sources] == [40, 40]
    assert sources[0].digest == sources[1].digest
    assert (sources[0].simulated, sources[0].images.dtype, sources[0].images.shape[1:]) == (True, "uint8", (1, 32, 32))
    found, again = (
        measure(label, config, dataset=house / "dataset", model=house / label["name"], scores=tmp_path / "scores")
        for label in ({"name": "teacher"}, {"name": "pruned", "budget": "20%", "method": "kd"})
    )
    right = known(torch.from_numpy(sources[0].images).float()).argmax(dim=1).numpy() == sources[0].labels
    assert found.shifted["rough"].accuracy == found.shifted["stored"].accuracy == pytest.approx(right.mean())
    assert found.shifted["rough"].balanced_accuracy == pytest.approx(
        np.mean([right[sources[0].labels == k].mean() for k in np.unique(sources[0].labels)])
    )
    assert found.figures()["accuracy_rough"] == found.shifted["rough"].accuracy
    texts = [each.model_dump_json() for each in (found, again)]
    compare(texts, comparison=tmp_path / "c.json", page=tmp_path / "c.html", table=tmp_path / "c.md")
    assert "| Network | Test part | rough (40) | stored (40) |" in (tmp_path / "c.md").read_text()
    assert 'id="shift"' in (tmp_path / "c.html").read_text()
    other = again.model_copy(update={"shifted": {}}).model_dump_json()
    with pytest.raises(InputError, match="were measured on different shifted sources"):
        compare([texts[0], other], comparison=tmp_path / "c.json", page=tmp_path / "c.html", table=tmp_path / "c.md")


def test_chips_that_are_learned_from_are_counted_and_classes_that_are_not_known_are_refused(house, rough, tmp_path):
    data, prepared = Dataset.open(house / "dataset"), PrepareConfig()
    part = data.part("train")
    source = Source("train", "here", True, np.array(part.images[:10]), np.array(part.labels[:10]))
    answers = dict.fromkeys(("teacher", "pruned", "student"), source.labels)
    record = compared(source, data, answers)
    assert (record.trained_on, sum(record.per_class), record.student.difference) == (10, 10, 0)
    shutil.copytree(rough, tmp_path / "more")
    (tmp_path / "more" / "tanker").rename(tmp_path / "more" / "tug")
    config = parse(EvaluateConfig, {"shifted": {"more": str(tmp_path / "more")}})
    with pytest.raises(InputError, match=r"evaluate\.shifted\.more: has chips of tug, which the network does not know"):
        read_shifted(config, data, prepared)
    chosen = parse(PrepareConfig, {"classes": data.record.classes})
    assert len(read_shifted(config, data, chosen)[0].images) == 20


def test_evaluation_judges_by_the_gate_and_fills_the_bundle(house, rough, tmp_path, store):
    distil(parse(DistillConfig, {"epochs": 1}), house, tmp_path / "student")
    fields = {"latency_seconds": 0.02, "looks": [1], "min_accuracy": 1.0, "rivals": ["mnasnet0_5"]}
    fields |= {"min_over_shortcut": 0.0, "shifted": {"rough": str(rough)}, "max_drop_shifted": 0.0}
    config = parse(EvaluateConfig, fields)
    record = evaluate(
        config,
        dataset=house / "dataset",
        teacher=house / "teacher",
        pruned=house / "pruned",
        student=tmp_path / "student",
        evaluation=tmp_path / "evaluation",
        bundle=tmp_path / "bundle",
        page=tmp_path / "report.html",
        origin=Origin(run="a-run", time="2026-01-28T12:34:56+00:00"),
    )
    assert record.gate[0].condition == "95 % lower bound of accuracy above the largest class's"
    assert record.gate[0].bound == pytest.approx(1 / 3)
    verdicts = {check.condition: check.passed for check in record.gate}
    assert verdicts["accuracy at least"] is False
    assert verdicts["MACs at most"] is True
    assert verdicts["parameters at most"] is True
    assert record.passed is False
    for kind in ("teacher", "pruned", "student"):
        assert record.over_shortcut[kind].accuracy == (getattr(record, kind).accuracy, record.best_shortcut.accuracy)
    assert record.shortcuts[0].accuracy == record.majority_accuracy == pytest.approx(1 / 3)
    (check,) = (each for each in record.gate if "lead over the best shortcut" in each.condition)
    assert (check.found, check.passed) == (record.over_shortcut["student"].interval[0], False)  # after one epoch
    (elsewhere,) = record.shifted
    assert (elsewhere.name, elsewhere.per_class, elsewhere.trained_on) == ("rough", (0, 20, 20), 0)
    assert elsewhere.student.accuracy[1] == elsewhere.pruned.accuracy[1]
    assert record.figures()["student_accuracy_rough"] == elsewhere.student.accuracy[0]
    (check,) = (each for each in record.gate if "from the teacher on rough" in each.condition)
    assert check.found == pytest.approx(elsewhere.student.accuracy[1] - elsewhere.student.accuracy[0])
    assert record.against_teacher["student"].accuracy == (record.student.accuracy, record.teacher.accuracy)
    assert "Under shift" in (tmp_path / "report.html").read_text()
    assert "What shortcuts get" in (tmp_path / "report.html").read_text()
    test, wrong = Dataset.open(house / "dataset").part("test"), len(record.mistakes)
    assert wrong == min(24, round((1 - record.student.accuracy) * len(test.labels))) > 0
    assert all(record.student.classes[test.labels[m.chip]].name == m.true != m.student for m in record.mistakes)
    assert (tmp_path / "report.html").read_text().count("<img ") == wrong + 3 * 4
    assert record.student.macs <= 0.2 * record.teacher.macs
    files = Dataset.open(house / "dataset").files("test")
    assert [mistake.file for mistake in record.mistakes] == [files[mistake.chip] for mistake in record.mistakes]
    receipt = publish(
        parse(PublishConfig, {"version": "1"}),
        bundle=tmp_path / "bundle",
        receipt=tmp_path / "r.json",
        page=tmp_path / "told" / "report",
    )
    for page, address in ((tmp_path / "report.html", "BUNDLE"), (tmp_path / "told" / "report", receipt.uri)):
        assert f'Bundle.open("<span data-fill="bundle">{address}</span>")' in page.read_text()
        assert '<span data-fill="run">a-run</span>' in page.read_text()
    assert receipt.uri == "s3://sarslim/models/simulated-ships/1"
    assert store.fetch_bundle(S3Uri.parse(receipt.uri), tmp_path / "copy") == receipt.sha256
    assert set(receipt.sha256) == {
        "weights.safetensors", "model.json", "labels.json", "MODEL_CARD.md", "report.html",
        "model.onnx", "model.int8.onnx", "metrics.json",
    }  # fmt: skip
    assert [(each.network, each.runtime, each.precision) for each in record.deployments] == [
        (network, *kind)
        for network in ("teacher", "student")
        for kind in (("ONNX Runtime", "FP32"), ("ONNX Runtime", "INT8"), ("PyTorch", "FP32"))
    ]
    combinations = len({1, threads()}) * 2
    assert [(rival.network, len(rival.latency)) for rival in record.rivals] == [("mnasnet0_5", combinations)]
    assert record.rivals[0].params > 900_000
    assert all(len({(one.threads, one.batch) for one in each.latency}) == combinations for each in record.deployments)
    for network, scores in (("teacher", record.teacher), ("student", record.student)):
        onnx, int8, torch = (each for each in record.deployments if each.network == network)
        assert scores.latency == onnx.latency[:2]
        assert (torch.accuracy, torch.macro_f1) == (scores.accuracy, scores.macro_f1)
        assert (onnx.accuracy, onnx.macro_f1) == pytest.approx((scores.accuracy, scores.macro_f1))
        assert onnx.logits_difference < 1e-4
        assert int8.bytes < onnx.bytes
        assert int8.quantization.calibration_chips > 0
        assert onnx.latency[1].images_per_second == pytest.approx(64_000 / onnx.latency[1].median_ms)
    assert record.pruned.latency == record.student.latency
    assert record.threads == 1
    metrics = read_json(BundleRecord, tmp_path / "copy" / "metrics.json")
    assert metrics.data_digest == Dataset.open(house / "dataset").record.digest
    assert (metrics.gate_passed, metrics.simulated, metrics.files["model.onnx"].accuracy) == (
        False, True, record.student.accuracy,
    )  # fmt: skip
    session = Session(tmp_path / "copy" / "model.int8.onnx")
    assert session.preprocessing.typical == Dataset.open(house / "dataset").record.typical is not None
    assert session.preprocessing.scaling == Dataset.open(house / "dataset").record.scaling
    assert session.preprocessing.dtype == "uint8"
    card = (tmp_path / "copy" / "MODEL_CARD.md").read_text()
    assert card.count("| Student | ONNX INT8 |") == 1
    snippets_work(card, tmp_path / "copy", data=Dataset.open(house / "dataset"))


def test_a_published_version_is_not_overwritten(house, tmp_path, store):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "a").write_text("1")
    write_sums(bundle)
    config = parse(PublishConfig, {"name": "fixed", "version": "1"})
    publish(config, bundle=bundle, receipt=tmp_path / "receipt.json")
    (bundle / "a").write_text("2")
    write_sums(bundle)
    with pytest.raises(InputError, match="another bundle has this version"):
        publish(config, bundle=bundle, receipt=tmp_path / "receipt.json")


def test_a_model_of_another_kind_is_refused(house, tmp_path):
    with pytest.raises(InputError, match="is a pruned model where a teacher model is needed"):
        prune_student(
            parse(PruneConfig, PRUNE),
            dataset=house / "dataset",
            teacher=house / "pruned",
            pruned=tmp_path / "out",
            table=tmp_path / "t.md",
        )
    assert not (tmp_path / "out").exists()


def test_a_data_set_with_other_classes_than_the_model_is_refused(house, tmp_path):
    other = parse(PrepareConfig, {"image_size": 32, "simulator": {"chips": 80, "classes": 2}})
    prepare(other, dataset=tmp_path / "dataset", card=tmp_path / "card.html")
    with pytest.raises(InputError, match="the model's classes are .* those of the data set"):
        prune_student(
            parse(PruneConfig, PRUNE),
            dataset=tmp_path / "dataset",
            teacher=house / "teacher",
            pruned=tmp_path / "out",
            table=tmp_path / "t.md",
        )


def test_a_damaged_artifact_is_refused_by_name(house, tmp_path):
    shutil.copytree(house / "teacher", tmp_path / "teacher")
    (tmp_path / "teacher" / "weights.safetensors").write_bytes(b"short")
    with pytest.raises(InputError, match="weights.safetensors"):
        artifact.load(tmp_path / "teacher")
    with pytest.raises(InputError, match="is missing"):
        read_json(TrainRecord, tmp_path / "nothing.json")


def test_the_check_fills_in_the_fingerprint_and_sees_changed_data(tmp_path):
    folder = tmp_path / "raw" / "Cargo"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(b"1")
    config = parse(RunConfig, {"prepare": {"source": str(tmp_path / "raw")}})
    before = check(to_parameters(config)).prepare.fingerprint
    assert check(to_parameters(config)).prepare.fingerprint == before
    (folder / "a.png").write_bytes(b"2")
    assert check(to_parameters(config)).prepare.fingerprint != before


def test_the_data_card_says_that_chips_are_simulated(house):
    assert "simulated" in (house / "card.html").read_text().lower()
    assert json.loads((house / "dataset" / "dataset.json").read_text())["simulated"] is True


def test_networks_of_one_data_set_are_timed_in_turns_and_those_of_one_shape_once(house, tmp_path):
    shapes = [shape_of(*artifact.load(house / name)) for name in ("teacher", "pruned", "pruned")]
    networks = [
        each.model_copy(update={"shape": shape, "latency": None})
        for each, shape in zip(example_records.comparison(1).networks, shapes, strict=False)
    ]
    config = EvaluateConfig(latency_seconds=0.02)
    out = {"comparison": tmp_path / "comparison.json", "page": tmp_path / "page.html", "table": tmp_path / "table.md"}
    record = compare(config, [network.model_dump_json() for network in networks], **out)
    teacher, first, second = (network.latency for network in record.networks)
    assert teacher.median_ms > first.median_ms > 0
    assert second == first
    assert "eac7eac7eac7" in out["page"].read_text()
    other = networks[1].model_copy(update={"data_digest": "0" * 12})
    with pytest.raises(InputError, match="different data sets .000000000000, eac7eac7eac7."):
        compare(config, [networks[0].model_dump_json(), other.model_dump_json()], **out)
