"""The grid of recovery methods: resuming, pairing, and the table."""

import json

import pytest

from benchmarks import method


def line(name: str, seed: int, accuracy: float, budget: str = "1%") -> dict:
    scores = {"accuracy": accuracy, "macro_f1": accuracy}
    return {
        "data": "MSTAR", "fraction": 0.1, "budget": budget, "method": name, "seed": seed, "test": scores,
        "teacher_test": {"accuracy": 0.9, "macro_f1": 0.9}, "params": 100_000, "macs": 1_400_000, "epochs": 80,
        "labelled": 331, "commit": "abc",
    }  # fmt: skip


def test_differences_are_paired_by_seed_and_regimes_kept_apart():
    lines = [line("finetune", seed, 0.80 + seed / 100) for seed in range(3)]
    lines += [line("kd + crd", seed, 0.82 + seed / 100) for seed in range(3)]
    lines += [line("kd", 7, 0.5), line("finetune", 0, 0.7, budget="3%")]
    text = "\n".join(method.tables(lines))
    assert text.count("## MSTAR, 10% of the labels") == 2
    assert "| finetune | 3 | 81.0 % (80.0 to 82.0) |  |" in text
    assert "| kd + crd | 3 | 83.0 % (82.0 to 84.0) | +2.0 points (+2.0 to +2.0) |" in text
    assert "| kd | 1 | 50.0 % (50.0 to 50.0) |  |" in text
    assert "331 labelled chips; teacher 90.0 %; students of 100 k parameters and 1.40 M MACs" in text


def test_the_interval_of_a_mean_is_that_of_the_normal_law_for_many_pairs():
    differences = [0.01 * (number % 7 - 3) for number in range(700)]
    low, high = method.interval(differences)
    spread = 1.96 * 0.02 / 700**0.5
    assert (low, high) == (pytest.approx(-spread, rel=0.1), pytest.approx(spread, rel=0.1))


def test_a_line_that_was_cut_short_is_run_again(tmp_path):
    file = tmp_path / "lines.jsonl"
    file.write_text(json.dumps(line("kd", 0, 0.5)) + "\n" + json.dumps(line("kd", 1, 0.5))[:40])
    assert [method.cell_of(found).seed for found in method.read(file)] == [0]


def test_every_method_is_a_valid_configuration():
    for options in method.METHODS.values():
        assert method.parse(method.DistillConfig, {name: value for name, value in options.items() if name != "start"})
    assert {options["start"] for options in method.METHODS.values() if "start" in options} == {
        "scratch",
        *method.RIVALS,
    }


def test_unlabelled_chips_buy_no_steps():
    assert method.as_many_steps(80, 331, 2972) == 42
    assert 42 * method.steps_per_epoch(331, 2972, 32) == pytest.approx(
        80 * method.steps_per_epoch(331, 0, 32), rel=0.02
    )
    assert method.as_many_steps(80, 331, 0) == 80
