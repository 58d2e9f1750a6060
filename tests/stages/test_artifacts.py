"""What stages hand on: foreign and damaged artifacts are refused, changed data are seen."""

import json
import shutil

import pytest
from stages.house import PRUNE, prune

from sarslim.config import PrepareConfig, PruneConfig, RunConfig, parse
from sarslim.config.parameters import to_parameters
from sarslim.errors import InputError
from sarslim.networks import artifact
from sarslim.records import TrainRecord
from sarslim.stages.check import check
from sarslim.stages.prepare import prepare
from sarslim.stages.prune import prune_student
from sarslim.stages.results import read_json


def test_a_model_of_another_kind_is_refused(house, tmp_path):
    with pytest.raises(InputError, match="is a pruned model where a teacher model is needed"):
        prune(house, tmp_path / "out", PRUNE, teacher="pruned")
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
