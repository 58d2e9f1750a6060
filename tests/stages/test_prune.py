"""Pruning at work on small data: weak teachers, the search, and learning before the cut."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from stages.house import PRUNE, TEACHER, prune, weights

from sarslim import networks
from sarslim.chips.dataset import Dataset
from sarslim.config import DistillConfig, PruneConfig, TeacherConfig, parse
from sarslim.errors import InputError
from sarslim.networks import artifact
from sarslim.pruning import Coupling, group_lasso
from sarslim.records import PruneRecord
from sarslim.stages import learn, search, sparse
from sarslim.stages.distill import distill_student
from sarslim.stages.prune import require_teacher
from sarslim.stages.results import read_json
from sarslim.stages.sparse import learn_sparsely
from sarslim.stages.teacher import train_teacher


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


SEARCH = PRUNE | {"allocation": "search", "search_growths": [0.5, 1, 2], "search_epochs": 2}


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
