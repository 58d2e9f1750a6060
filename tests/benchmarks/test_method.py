"""The grid of recovery methods: rates chosen on validation chips, pairing, resuming, and one real cell of each kind."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import log_softmax

from benchmarks.method import __main__ as command
from benchmarks.method import ceiling, cells, contrast, costs, folds, plan, sized, tables, teachers, versions, workers
from benchmarks.method.cells import Cell, Schedule, Source
from benchmarks.method.shifts import NAMES, shifts
from sarslim.chips.speckle import from_amplitudes, to_amplitudes
from sarslim.config import DistillConfig, PruneConfig, parse
from sarslim.config.recoveries import RECOVERIES, recovery
from sarslim.errors import InputError
from sarslim.records import Scaling
from sarslim.training.answers import read_record
from sarslim.training.augmentation import steps_per_epoch

SHORT = {1.0: Schedule(teacher_steps=3, steps=3)}


def line(method: str, seed: int, accuracy: float, *, rate: float = 0.002, loss: float = 0.5, budget: str = "macs=1%"):
    scores = {"accuracy": accuracy, "macro_f1": accuracy, "accuracy_4_looks": accuracy - 0.1}
    return {
        "data": "MSTAR", "fraction": 0.1, "budget": budget, "path": "uniform", "method": method, "unlabelled": False,
        "generations": 1, "longer": 1, "views": 0, "learning_rate": rate, "seed": seed, "validation": {"loss": loss},
        "test": scores, "teacher_test": {"accuracy": 0.9}, "params": 100_000, "macs": 1_400_000, "steps": 1000,
        "labelled": 312, "commit": "abc", "machine": "one core", "data_digest": "0123456789abcdef",
    }  # fmt: skip


def page(lines, tmp_path):
    tables.write(lines, tmp_path / "lines.jsonl", tmp_path / "costs.json", tmp_path / "page.md")
    return (tmp_path / "page.md").read_text()


def test_differences_are_paired_by_seed_and_regimes_kept_apart(tmp_path):
    lines = [line("finetune", seed, 0.80 + seed / 100) for seed in range(5)]
    lines += [line("kd", seed, 0.82 + seed / 100) for seed in range(5)]
    lines += [line("kd", 7, 0.5), line("finetune", 0, 0.7, budget="macs=3%")]
    text = page(lines, tmp_path)
    assert text.count("## MSTAR, 10% of the labels, macs=") == 2
    cells_of_a_row = "5 | 0.002, the only one | 100 k | 1.40 M | 82.0 % (80.0 to 84.0) | 82.0 % | 72.0 % |  |"
    assert f"| uniform | finetune | {cells_of_a_row} −8.0 points (" in text  # less than its teacher
    assert "| uniform | kd | 6 |" in text
    assert text.count("| +2.0 points (+2.0 to +2.0) [+2.0 to +2.0] |") == 2  # in the regime, and as an ingredient


def test_regimes_are_taken_together_by_seed(tmp_path):
    """One seed's teacher is behind all of its regimes; one that ran on fewer seeds has no say."""
    lines = []
    for budget, ahead in (("macs=1%", 0.03), ("macs=3%", 0.01), ("macs=5%", 0.5)):
        for seed in range(5 if ahead < 0.5 else 2):
            lines.append(line("finetune", seed, 0.40, budget=budget))
            lines.append(line("kd", seed, 0.40 + ahead, budget=budget))
    found = [row for row in page(lines, tmp_path).splitlines() if row.startswith("| a teacher: kd")]
    together = "| a teacher: kd, not fine-tuning | MSTAR | 2 | 5 | +2.0 points (+2.0 to +2.0) [+2.0 to +2.0] |"
    assert len(found) == 4
    assert found[-1] == together


def shifted_lines(figure: str):
    """Three seeds of two methods, which are told apart on shifted chips."""
    for seed in range(3):
        for method, there in (("finetune", 0.5), ("kd", 0.7)):
            made = line(method, seed, 0.8)
            made["test"] |= {figure: there + seed / 100}
            made["teacher_test"] |= {figure: 0.75 + seed / 100}
            yield made


def test_students_are_held_against_teachers_and_twins_on_shifted_chips(tmp_path):
    text = page(list(shifted_lines("accuracy_blurred")), tmp_path)
    rows = [row for row in text.splitlines() if "| blurred |" in row]
    lost = "1 | 3 | −5.0 points (−5.0 to −5.0) [−5.0 to −5.0] | 1 | 3 | +20.0 points (+20.0 to +20.0) [+20.0 to +20.0]"
    assert len(rows) == 2
    assert rows[0].startswith("| MSTAR | finetune | blurred | 1 | 3 | +15.0 points (+15.0 to +15.0)")
    assert rows[1] == f"| MSTAR | kd | blurred | {lost} |"


def test_other_versions_stand_beside_the_usual_chips(tmp_path):
    text = page(list(shifted_lines("accuracy_versions")), tmp_path)
    assert "teacher 90.0 %, other versions 76.0 %; 1000 steps" in text
    rows = [row.split(" | ") for row in text.splitlines() if row.startswith("| uniform | ")]
    assert [row[-1] for row in rows] == ["51.0 % |", "71.0 % |"]
    assert "| MSTAR | kd | other versions | 1 | 3 | −5.0 points (" in text


@pytest.mark.parametrize("kind", ["linear", "log"])
def test_shifts_of_chips_are_what_they_are_called_and_drawn_anew_alike(kind):
    scaling = (
        Scaling(kind=kind, low=0.0, high=255.0 if kind == "linear" else 5.6, offset=0.0 if kind == "linear" else 1),
    )
    amplitudes = torch.from_numpy(np.random.default_rng(0).rayleigh(40.0, (8, 1, 64, 64)).astype(np.float32))
    chips = from_amplitudes(amplitudes, scaling)
    seen = {name: alter(chips) for name, alter in shifts(scaling, 3).items()}
    assert tuple(seen) == tuple(NAMES)
    again = {name: alter(chips) for name, alter in shifts(scaling, 3).items()}
    assert all(torch.equal(seen[name], again[name]) for name in NAMES)
    assert torch.allclose(to_amplitudes(seen["dim"], scaling), 0.6 * amplitudes, rtol=1e-3, atol=1e-2)
    assert seen["blurred"].var() < 0.2 * chips.var()
    # Noise at the median power ln 2 of clutter of mean power 1.
    power = [to_amplitudes(each, scaling).square().mean() for each in (chips, seen["noisy"])]
    assert power[1] / power[0] == pytest.approx(1 + np.log(2), rel=0.03)


def test_versions_are_learned_met_or_new(tmp_path):
    """As MSTAR comes: only two classes have versions that differ; a third has a folder for its only one."""
    numbers = {"BMP2": ("SN_9563", "SN_9566", "SN_C21"), "T72": ("SN_132", "SN_812", "SN_S7")}
    for part in ("TRAIN", "TEST"):
        for label, each in {**numbers, "BTR70": ("SN_C71",), "ZIL131": ("",)}.items():
            for number in each:
                file = tmp_path / "mstar" / part / label / number / "HB1.jpeg"
                file.parent.mkdir(parents=True)
                file.write_text(f"{part} {label} {number}")
    made = versions.laid_out(tmp_path / "mstar", tmp_path / "work")

    def told(folder):
        return {file.read_text() for file in folder.rglob("*.jpeg")}

    usual = {f"{part} {each}" for part in ("TRAIN", "TEST") for each in ("BMP2 SN_9563", "T72 SN_132", "BTR70 SN_C71")}
    assert told(made.chips) == usual | {"TRAIN ZIL131 ", "TEST ZIL131 "}
    assert told(made.others) == {"TRAIN BMP2 SN_9566", "TRAIN T72 SN_812"}
    assert {name: told(folder) for name, folder in made.shifted.items()} == {
        "versions": {"TEST BMP2 SN_9566", "TEST BMP2 SN_C21", "TEST T72 SN_812", "TEST T72 SN_S7"},
        "versions_met": {"TEST BMP2 SN_9566", "TEST T72 SN_812"},
        "versions_new": {"TEST BMP2 SN_C21", "TEST T72 SN_S7"},
    }
    assert {file.parent.name for file in made.shifted["versions_new"].rglob("*.jpeg")} == {"BMP2", "T72"}
    assert versions.laid_out(tmp_path / "mstar", tmp_path / "work") == made
    with pytest.raises(InputError, match="has no folder TRAIN/BMP2/SN_9563"):
        versions.laid_out(tmp_path, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_taught_rival_is_held_against_itself_from_scratch(tmp_path):
    ghost = {"path": "ghostnet"}
    taught = ghost | {"unlabelled": True, "generations": 2}
    lines = [line("finetune", seed, 0.80, budget="") | ghost for seed in range(5)]
    lines += [line("kd", seed, 0.83, budget="") | taught for seed in range(5)]
    text = page(lines, tmp_path)
    assert text.count("| +3.0 points (+3.0 to +3.0) [+3.0 to +3.0] |") == 2  # in the regime, and as an ingredient
    section = plan.Section((0.1,), ("",), ("ghostnet",), ("finetune", "kd"), (True,), generations=2)
    found = [(each.method, each.unlabelled, each.generations) for each in section.settings("MSTAR")]
    assert found == [("finetune", False, 1), ("kd", True, 2)]  # a network without a teacher is the same in all tables


def test_what_learned_longer_is_a_regime_of_its_own(tmp_path):
    lines = [line("kd", seed, 0.80) for seed in range(5)]
    lines += [line("kd", seed, 0.84) | {"longer": 2, "steps": 2000} for seed in range(5)]
    text = page(lines, tmp_path)
    heading = "## MSTAR, 10% of the labels, macs=1%, 2 times as long\n\n"
    assert f"{heading}312 labelled training chips; teacher 90.0 %; 2000 steps.\n" in text
    assert "| twice the steps | macs=1%, uniform, kd, 2 times as long | MSTAR, 10% | 5 | +4.0 points (" in text


def test_rates_are_chosen_by_validation_loss_and_other_rates_are_left_out_of_the_table(tmp_path):
    lines = [line("kd", seed, 0.9, rate=0.002, loss=0.6) for seed in range(5)]
    lines += [line("kd", seed, 0.8, rate=0.005, loss=0.4) for seed in range(5)]
    assert plan.rates(lines) == {plan.cell_of(lines[0]).setting: 0.005}
    assert "| uniform | kd | 5 | 0.005 | 100 k | 1.40 M | 80.0 % (80.0 to 80.0) |" in page(lines, tmp_path)


def test_rates_are_compared_on_the_seeds_that_ran_at_all_of_them():
    lines = [line("kd", 0, 0.9, rate=0.002, loss=0.6), line("kd", 0, 0.9, rate=0.005, loss=0.7)]
    lines.append(line("kd", 1, 0.9, rate=0.005, loss=0.1))  # an easier seed
    assert list(plan.rates(lines).values()) == [0.002]


def test_the_method_held_against_the_rivals_is_what_the_pipeline_does_by_default():
    assert recovery(plan.DEFAULT, DistillConfig()) == DistillConfig()


def measured(folder, *networks):
    """The costs of networks, each a budget and a path, beside the page."""
    row = {"data": "MSTAR", "params": 1000, "macs": 10_000, "latency_ms_per_chip": {costs.DELIVERED: 0.1}}
    rows = [row | {"budget": budget, "path": path} for budget, path in networks]
    head = {"command": "costs", "commit": "abc", "machine": "one core"}
    (folder / "costs.json").write_text(json.dumps(head | {"networks": rows}))


def test_a_network_far_below_the_others_is_named_but_not_drawn(tmp_path):
    lines = [line("finetune", 0, 0.9), line("finetune", 0, 0.6, budget="") | {"path": "squeezenet1_1"}]
    measured(tmp_path, ("macs=1%", "uniform"), ("", "squeezenet1_1"))
    assert "Not drawn, more than 15 points below the best: squeezenet1_1, from scratch.\n" in page(lines, tmp_path)
    assert "squeezenet1_1" not in (tmp_path / "method-MSTAR-10.svg").read_text()


def test_the_best_students_are_held_against_the_rivals_that_had_no_more_than_they(tmp_path):
    alone = [line("all terms", seed, 0.8 + seed / 100) for seed in range(5)]
    more = [one | {"unlabelled": True, "test": one["test"] | {"accuracy": 0.9 + one["seed"] / 100}} for one in alone]
    beaten = [one | {"budget": "macs=3%", "params": 10**6, "macs": 10**7} for one in alone]
    rival = [line("finetune", seed, 0.79 + seed / 100, budget="") | {"path": "ghostnet"} for seed in range(5)]
    taught = [one | {"method": "kd", "unlabelled": True} for one in rival]
    measured(tmp_path, ("macs=1%", "uniform"), ("macs=3%", "uniform"), ("", "ghostnet"))
    text = page([*alone, *more, *beaten, *rival, *taught], tmp_path)
    first, second = text.split("## Students against lightweight networks: ")[1:]
    assert "| student 1: macs=1%, uniform, all terms | 5 |" in first
    assert "| ghostnet, from scratch | 5 | 1.00 k | 10.0 k | 0.100 ms | 81.0 % | +1.0 [+1.0 to +1.0] |" in first
    assert "macs=3%" not in first
    assert "ghostnet, kd" not in first
    assert "of the labels, and the other chips without labels\n" in second
    second = second.partition("## ")[0]
    assert second.count("| +11.0 [+11.0 to +11.0] |") == 2
    assert "ghostnet, kd + unlabelled chips" in second


def test_rates_are_tuned_first_and_every_seed_then_runs_with_the_chosen_one():
    section = plan.Section((0.1,), ("macs=1%",), ("uniform",), ("finetune", "kd"), (False, True))
    first = plan.cells(section, "MSTAR", [])
    assert len(first) == 3 * len(plan.TUNING_SEEDS) * len(plan.RATES)  # no fine-tuning with unlabelled chips
    done = [{**cell.__dict__, "validation": {"loss": abs(cell.learning_rate - plan.RATES[-1])}} for cell in first]
    rest = plan.cells(section, "MSTAR", done)
    assert {cell.seed for cell in rest} == set(plan.SEEDS) - set(plan.TUNING_SEEDS)
    assert {cell.learning_rate for cell in rest} == {plan.RATES[-1]}
    done += [{**cell.__dict__, "validation": {"loss": 1.0}} for cell in rest]
    assert plan.cells(section, "MSTAR", done) == []


def test_a_method_without_a_teacher_has_no_answers_and_those_that_have_are_paired_with_asking_in_every_step(tmp_path):
    section = plan.Section((0.1,), ("macs=1%",), ("uniform",), ("finetune", "kd"), views=(0, 16))
    assert [(each.method, each.views) for each in section.settings("MSTAR")] == [("finetune", 0), ("kd", 0), ("kd", 16)]
    lines = [line("kd", seed, 0.80 + seed / 100) for seed in range(5)]
    lines += [line("kd", seed, 0.79 + seed / 100) | {"views": 16} for seed in range(5)]
    text = page(lines, tmp_path)
    assert "| uniform | kd, 16 views answered beforehand | 5 |" in text
    found = next(row for row in text.splitlines() if row.startswith("| a teacher asked once"))
    assert "−1.0 points (−1.0 to −1.0)" in found


def test_a_data_set_has_only_the_regimes_that_it_is_large_enough_for():
    section = plan.Section((1.0, 0.1), ("macs=1%",), ("uniform",), ("finetune",))
    assert {setting[1] for setting in section.settings("MSTAR")} == {1.0, 0.1}
    assert {setting[1] for setting in section.settings("OpenSARShip")} == {1.0}


def test_a_line_that_was_cut_short_is_run_again(tmp_path):
    file = tmp_path / "lines.jsonl"
    file.write_text(json.dumps(line("kd", 0, 0.5)) + "\n" + json.dumps(line("kd", 1, 0.5))[:40])
    assert [plan.cell_of(found).seed for found in command.read(file)] == [0]


def test_every_section_names_methods_and_paths_that_there_are():
    for section in plan.SECTIONS.values():
        for method in section.methods:
            assert method in plan.METHODS
            known, _, shown = method.partition(", ")
            assert known in RECOVERIES
            assert shown in {"", *cells.SHOWN}
        assert set(section.paths) <= {*cells.PATHS, *plan.RIVALS}
    for options in cells.PATHS.values():
        parse(PruneConfig, dict(options))
    for shown in cells.SHOWN.values():
        parse(DistillConfig, dict(shown))
    for name in RECOVERIES:
        recovery(name, DistillConfig())


def test_unlabelled_chips_buy_no_steps():
    assert cells.as_many_steps(1000, 312) == 100
    with_more = cells.as_many_steps(1000, 312, 3304)
    assert with_more * steps_per_epoch(312, 3304, 32) == pytest.approx(1000, rel=0.02)


def test_what_all_networks_miss_is_counted_and_labels_that_look_wrong():
    """Three networks; the last chip of class 0 looks like class 1 to each of them, and one is often mistaken."""
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    sure = np.where(labels == 0, 0.9, 0.1)
    sure[3] = 0.1
    unsure = np.where(np.arange(8) % 2, sure, 0.45)
    answers = np.array([np.stack([first, 1 - first], axis=1) for first in (sure, sure, unsure)])
    found = ceiling.summary(answers, labels)
    assert found["single"] == [7 / 8, 7 / 8, 5 / 8]
    assert found["together"] == 7 / 8
    assert found["none_right"] == found["all_name_the_same_other_class"] == found["labels_in_doubt"] == 1 / 8
    assert found["two_agree"] == pytest.approx((1 + 6 / 8 + 6 / 8) / 3)
    told = "".join(tables.ceiling({**found, "command": "this", "commit": "abc"}))
    assert "3 teachers, each trained on its own, get 62.5 to 87.5 % of 8 test chips" in told


def test_size_counts_as_far_as_validation_chips_say_so():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)

    def opinion(strength):
        logits = rng.standard_normal((600, 3))
        logits[np.arange(600), labels] += strength
        return log_softmax(logits, axis=1)

    seen, other, noise = opinion(1.0), opinion(1.0), opinion(0.0)
    assert sized.share_of_size(seen, other, labels) == pytest.approx(1.0, abs=0.3)
    assert sized.share_of_size(seen, noise, labels) <= 0.1
    (alone, _), (both, _) = sized.figures(seen, labels), sized.figures(seen + other, labels)
    assert both > alone + 0.05
    assert sized.figures(np.array([[1, 0], [0, 1], [1, 0]]), np.array([0, 0, 1])) == (1 / 3, 0.25)


@pytest.fixture
def chips(tmp_path):
    """Two classes of 32-pixel chips: a bright bar, upright or flat."""
    rng = np.random.default_rng(0)
    for part, count in (("TRAIN", 40), ("TEST", 12)):
        for name in ("flat", "upright"):
            folder = tmp_path / "chips" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                picture = rng.integers(0, 90, (32, 32))
                where = rng.integers(10, 20)
                bar = picture[where : where + 4] if name == "flat" else picture[:, where : where + 4]
                bar += 120
                Image.fromarray(picture.astype(np.uint8)).save(folder / f"{part}{number}.png")
    return tmp_path / "chips"


def test_cells_share_teacher_answers_and_pruned_weights(chips, tmp_path, monkeypatch):
    schedules = {0.5: Schedule(teacher_steps=4, steps=6)}
    monkeypatch.setitem(cells.SOURCES, "bars", Source({"image_size": 32}, {"flip": False}, schedules))
    setting = ("bars", 0.5, "macs=10%", "uniform")
    work = tmp_path / "work"
    at = cells.Places(chips, None, work)
    tuned = cells.run(Cell(*setting, "finetune", False, 0.002, 0), at)
    taught = cells.run(Cell(*setting, "kd", True, 0.002, 0), at)
    answers = sorted((work / "answers" / "bars-0.5-0-teacher").iterdir())
    again = cells.run(Cell(*setting, "kd", True, 0.002, 0), at)
    assert again["test"] == taught["test"]
    assert answers == sorted((work / "answers" / "bars-0.5-0-teacher").iterdir())
    once = [Cell(*setting, method, True, 0.002, 0, views=2) for method in ("kd", "all terms")]
    stored = [cells.run(cell, at) for cell in once]
    assert answers == sorted((work / "answers" / "bars-0.5-0-teacher").iterdir())  # nothing is asked again
    assert [record.views for record in map(read_record, work.glob("bars-0.5-0-teacher-2-views"))] == [2]
    assert {line["views"] for line in stored} == {2}
    assert {line["macs"] for line in stored} == {taught["macs"]}
    rounds = cells.run(Cell(*setting, "kd progressive", True, 0.002, 0), at)
    assert rounds["macs"] == taught["macs"]  # the same budget, met in three rounds
    rival = cells.run(Cell("bars", 0.5, "", "shufflenet_v2_x0_5", "finetune", False, 0.002, 0), at)
    assert tuned["macs"] == taught["macs"] < 0.1 * 142e6
    assert rival["params"] > 300_000
    assert tuned["labelled"] == 34
    assert {len(line["data_digest"]) for line in (tuned, taught, rival)} == {64}
    assert 0 <= tuned["test"]["accuracy_4_looks"] <= 1
    assert tuned["test"]["balanced_accuracy"] == pytest.approx(tuned["test"]["accuracy"])  # as many chips of each
    assert tuned["shortcuts"]["majority"] == {"accuracy": 0.5, "balanced_accuracy": 0.5}
    low, high = tuned["test"]["over_shortcut"]
    assert low <= tuned["test"]["accuracy"] - max(each["accuracy"] for each in tuned["shortcuts"].values()) <= high

    moved = cells.run(Cell(*setting, "finetune", False, 0.002, 0), at._replace(shifted={"moved": chips / "TEST"}))
    assert moved["test"]["accuracy_moved"] == moved["test"]["accuracy"] == tuned["test"]["accuracy"]  # the same chips
    assert "accuracy_moved" not in tuned["test"]

    monkeypatch.setattr(costs, "SECONDS", 0.01)
    lines, file = [tuned, taught, rival], tmp_path / "costs.json"
    costs.write(lines, work, file)
    rows = {row["path"]: row for row in json.loads(file.read_text())["networks"]}
    assert rows.keys() == {"uniform", "teacher", *plan.RIVALS}
    assert rows["uniform"]["macs"] == tuned["macs"] < rows["teacher"]["macs"]
    assert all(time > 0 for row in rows.values() for time in row["latency_ms_per_chip"].values())
    tables.write(lines, tmp_path / "lines.jsonl", file, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "](method-bars-50.svg)" in page
    assert "without looking at the target: majority 50.0 % (50.0 %)" in page
    assert f"{100 * tuned['test']['balanced_accuracy']:.1f} %" in page
    assert (tmp_path / "method-bars-50.svg").read_text().startswith("<svg")


def test_an_error_in_a_process_of_the_grid_reaches_its_user(tmp_path):
    results = tmp_path / "lines.jsonl"
    cell = Cell("MSTAR", 0.1, "macs=1%", "uniform", "finetune", False, 0.002, 0)
    with pytest.raises(InputError, match="there is nothing at"):
        workers.run_all([cell], at=cells.Places(tmp_path / "none", None, tmp_path / "work"), results=results, workers=1)
    assert not results.exists()


def test_a_remembered_teacher_answers_as_the_teacher(tmp_path):
    torch.manual_seed(0)
    teacher = cells.networks.build("aconvnet", classes=3, channels=1, stem="standard", mean=(50.0,), std=(20.0,)).eval()
    known = cells.Remembered(teacher, tmp_path)
    images = torch.rand(4, 1, 32, 32) * 255
    first, second = cells.taps(known, images), cells.taps(known, images)
    logits, features = cells.networks.forward_with_taps(teacher, images)
    assert torch.equal(first[0], second[0])
    assert len(first[1]) == 4
    assert torch.allclose(first[0], logits, atol=0.05)
    assert [each.shape for each in first[1]] == [(4, feature.shape[1], 1, 1) for feature in features]
    assert torch.allclose(first[1][0].flatten(1), features[0].mean(dim=(2, 3)), rtol=0.05, atol=0.05)


def test_recipes_of_teachers_are_compared_on_the_same_seeds(chips, tmp_path, monkeypatch):
    monkeypatch.setitem(cells.SOURCES, "bars", Source({"image_size": 32, "scaling": "chip_log"}, {}, SHORT))
    monkeypatch.setattr(teachers, "VEHICLE_STEPS", 2)
    monkeypatch.setattr(contrast, "STEPS", 2)
    chosen = (teachers.RECIPE, "not turned", "a second generation", teachers.VEHICLES, teachers.UNLABELLED)
    at = cells.Places(chips, chips, tmp_path / "work")
    started = teachers.starts("bars", at, chips, chosen)
    assert set(started) == {teachers.VEHICLES, teachers.UNLABELLED}
    made = teachers.measure("bars", at, (0, 1), chosen, started)
    assert made["command"].endswith(
        "--seeds 0 1 --variants 'the recipe' 'not turned' 'a second generation' 'pretrained on vehicles' "
        "'pretrained on unlabelled chips'"
    )
    found = made["variants"]
    assert tuple(found) == chosen
    for figures in found.values():
        assert all(
            low <= high for low, high in zip(figures["over_shortcut_from"], figures["over_shortcut_to"], strict=True)
        )
    # The recipe of these chips turns none: the same network.
    assert found["not turned"]["val_loss_over_the_recipe"]["mean"] == 0
    for name in chosen[2:]:
        losses = [found[other]["val_loss"] for other in (name, teachers.RECIPE)]
        assert all(len(loss) == 2 for loss in losses)
        assert all(one != other for one, other in zip(*losses, strict=True))
        over = found[name]["val_loss_over_the_recipe"]["mean"]
        assert over == pytest.approx(np.mean(losses[0]) - np.mean(losses[1]))


def test_two_views_of_a_chip_are_found_among_those_of_others():
    rng = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 8, 16, generator=rng)
    alike = contrast.nt_xent(torch.cat([one, one + 0.01 * other]), 0.2)
    assert alike < 0.5 < 2 < contrast.nt_xent(torch.cat([one, other]), 0.2)
    # By hand: two chips, views at right angles to those of the other chip.
    unit = torch.eye(2)
    assert contrast.nt_xent(torch.cat([unit, 3 * unit]), 0.5).item() == pytest.approx(np.log(1 + 2 * np.exp(-2)))


def test_views_for_contrast_differ_in_spread_and_stay_stored_values():
    chips = torch.full((4, 1, 16, 16), 100, dtype=torch.uint8)
    chips[:, :, 4:8, 4:8] = 140
    seen = contrast.view(chips, (Scaling(kind="linear", low=0, high=255),), np.random.default_rng(0))
    assert seen.shape == (4, 1, 16, 16)
    assert 0 <= seen.min() < seen.max() <= 255
    assert len(seen.std(dim=(1, 2, 3)).unique()) == 4


def test_folds_are_ranges_of_numbers_of_the_training_chips_and_keep_groups_together(chips, tmp_path):
    source, rows = tmp_path / "source", []
    for number, image in enumerate(sorted(chips.rglob("*.png"))):
        name = f"{image.parent.name}/{number}.png"
        for part in ("TRAIN", "TEST"):
            (source / part / name).parent.mkdir(parents=True, exist_ok=True)
            (source / part / name).write_bytes(image.read_bytes())
            rows.append(f"{part}/{name},{part}{number // 2},{number}")
    (source / "groups.csv").write_text("\n".join(["file,group,number", *rows]) + "\n", encoding="utf-8")

    where: dict[str, list[int]] = {}
    for fold in range(folds.FOLDS):
        copy = folds.laid_out(source, tmp_path / str(fold), fold)
        head, *lines = (copy / "groups.csv").read_text(encoding="utf-8").splitlines()
        assert head == "file,group,number,split"
        assert sorted(line.split(",")[0] for line in lines) == sorted(
            str(file.relative_to(copy)) for file in copy.rglob("*.png")
        )
        assert all(line.split(",")[1].startswith("TRAIN") for line in lines)
        assert {line.split("/")[0] for line in lines} == {folder.name for folder in (source / "TRAIN").iterdir()}
        for line in lines:
            file, group, number, part = line.split(",")
            if part == "test":
                where.setdefault(f"{file.split('/')[0]} {group}", []).append(fold)
    assert all(len(set(found)) == 1 for found in where.values())
    held = [fold for found in where.values() for fold in found]
    assert len(held) == len(rows) // 2  # every training chip once
    for name in ("flat", "upright"):
        ranges = {int(key.split(" TRAIN")[1]): found[0] for key, found in where.items() if key.startswith(name)}
        by_number = [fold for _, fold in sorted(ranges.items())]
        assert by_number == sorted(by_number)
        assert set(by_number) == set(range(folds.FOLDS))
