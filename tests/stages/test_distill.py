"""Distillation at work on small data, at once and in rounds."""

from stages.house import distil, weights

from sarslim.config import DistillConfig, parse
from sarslim.networks import artifact


def test_distillation_logs_every_term_and_finetuning_labels_only(house, tmp_path):
    terms = {"scd_weight": 0.1, "srd_weight": 0.1, "crd_weight": 0.1}
    full = distil(parse(DistillConfig, {"epochs": 1, **terms}), house, tmp_path / "full")
    assert {"label", "response", "scd", "srd", "crd", "auxiliary_label", "total"} <= set(full.epochs[0].losses)
    plain = distil(parse(DistillConfig, {"epochs": 1, "method": "finetune", **terms}), house, tmp_path / "plain")
    assert set(plain.epochs[0].losses) == {"label", "total"}


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
