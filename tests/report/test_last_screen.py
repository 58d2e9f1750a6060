"""What ends a run in the terminal."""

import os
import sys
from pathlib import Path

import example_records
import pytest

from sarslim.records import AliasDecision, AskRecord
from sarslim.report import last_screen, terminal

IN_USE = [
    "in use   Student in ONNX Runtime, one chip at a time: 1.93 ms; 5.1× faster than the teacher; "
    "2.7× faster than mobilenet_v3_small, untrained",
    "         Student in INT8: 0.180 ms, 25.0 % of the bytes, accuracy 95.5 %, in FP32 95.3 %",
]


@pytest.fixture(autouse=True)
def _on_the_path(monkeypatch):
    """The command is found by its name."""
    beside = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{beside}{os.pathsep}{os.environ['PATH']}")


def test_a_run_that_passed_says_what_it_achieved_and_what_comes_next(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    last_screen.show_run(
        example_records.config(),
        example_records.dataset(),
        example_records.evaluation(),
        tmp_path / "runs" / "1",
        "s3://models/ships/1",
        75.0,
    )
    text = capsys.readouterr().out
    assert "the student recognises 95.3 % of 600 simulated test chips" in " ".join(text.split())
    assert text.splitlines()[-14:] == [
        "gate     passed",
        "warning  2 chips of the test part are also in the training part",
        *IN_USE,
        f"report   {Path('runs/1/report.html')}",
        "bundle   s3://models/ships/1",
        "took     1m15s",
        "",
        "the student at work:",
        "  sarslim data simulate ships && sarslim predict s3://models/ships/1 ships --out found.csv",
        "other budgets:",
        "  sarslim sweep -c runs/latest/config.yaml --budgets 10%,5%,2%",
        "your own chips:",
        "  sarslim data inspect --help",
    ]


def test_it_tells_what_the_teacher_said_beforehand_and_how_much_that_is(capsys, tmp_path):
    asked = AskRecord(
        sarslim_version="1", views=8, unlabelled_views=2, chips=1200, unlabelled_chips=4800, bytes=38_400_000,
        seconds=12.3,
    )  # fmt: skip
    given = (example_records.config(), example_records.dataset(), example_records.evaluation(), tmp_path, None, 1.0)
    last_screen.show_run(*given, answers=asked)
    assert (
        "answers  the teacher answered 8 views of each of 1,200 labelled chips and 2 of each of 4,800 unlabelled ones "
        "once, in 12 s: 38.4 MB report"
    ) in " ".join(capsys.readouterr().out.split()).replace("answers the", "answers  the")
    last_screen.show_run(*given)
    assert "answers" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("decision", "line"),
    [
        ((True, "sha-1", "the first version"), "alias    latest is at this version now: the first version"),
        ((False, "sha-0", "measured on other data"), "alias    latest stays at sha-0: measured on other data"),
        ((False, None, "did not pass its gate"), "alias    latest is nowhere: did not pass its gate"),
    ],
)
def test_the_fate_of_the_alias_is_told(capsys, tmp_path, decision, line):
    moved, version, reason = decision
    last_screen.show_run(
        example_records.config(), example_records.dataset(), example_records.evaluation(), tmp_path / "runs" / "1",
        "s3://models/ships/sha-1", 75.0, AliasDecision(alias="latest", moved=moved, version=version, reason=reason),
    )  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("bundle   s3://models/ships/sha-1") + 1] == line


def test_a_run_that_failed_says_by_what_and_what_may_help(capsys, tmp_path):
    runs = tmp_path / "all my runs"
    last_screen.show_run(
        example_records.config(),
        example_records.dataset(simulated=False, warnings=()),
        example_records.evaluation(passed=False),
        runs / "1",
        None,
        5.0,
    )
    assert capsys.readouterr().out.splitlines()[-11:] == [
        "gate    drop from the teacher at most 1.0 points, but it is 1.3 points",
        *(line.replace("   ", "  ", 1) for line in IN_USE),
        f"report  {runs / '1' / 'report.html'}",
        "bundle  not published, because the gate did not pass",
        "took    5s",
        "",
        "more recovery:",
        f"  sarslim rerun latest --runs '{runs}' --from distill --set distill.epochs=80",
        "a larger budget:",
        f"  sarslim rerun latest --runs '{runs}' --from prune --set prune.macs=10% --set prune.params=10%",
    ]


@pytest.mark.parametrize(
    ("columns", "header"),
    [
        (200, ["Network", "Accuracy", "Balanced", "accuracy", "Macro-F1", "Parameters", "MACs", "File", "Latency"]),
        (70, ["Network", "Accuracy", "Parameters", "MACs", "Latency"]),
        (60, ["Network", "Accuracy", "Parameters", "MACs"]),
    ],
)
def test_what_is_needed_least_goes_first_where_the_terminal_is_narrow(columns, header, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(terminal, "width", lambda: columns)
    monkeypatch.setattr(last_screen.words, "delivered", lambda evaluation: ["word " * 30])
    evaluation = example_records.evaluation()
    last_screen.show_run(example_records.config(), example_records.dataset(), evaluation, tmp_path, "s3://a/b", 1.0)
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("Network")).split() == header
    commands = [line for line in lines if line.startswith("  sarslim")]
    assert len(commands) == 3
    assert max(len(line.rstrip()) for line in lines if line not in commands and "/" not in line) <= columns


def test_the_command_is_named_by_its_way_where_its_name_does_not_lead_to_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "my venv" / "bin" / "python"))
    monkeypatch.chdir(tmp_path)
    assert terminal.command() == "'my venv/bin/sarslim'"


@pytest.mark.parametrize(("asked", "offered"), [("60%", "100%"), ("250k", None)])
def test_a_larger_budget_is_offered_where_there_is_one(asked, offered, capsys, tmp_path):
    config = example_records.config()
    config = config.model_copy(update={"prune": config.prune.model_copy(update={"macs": asked, "params": ""})})
    last_screen.show_run(
        config, example_records.dataset(), example_records.evaluation(passed=False), tmp_path, None, 1.0
    )
    text = capsys.readouterr().out
    assert (f"--set prune.macs={offered}" in text) is (offered is not None)
    assert ("a larger budget" in text) is (offered is not None)


def test_a_comparison_names_the_most_accurate(capsys, tmp_path):
    last_screen.show_comparison(example_records.comparison(), tmp_path, 3.0)
    text = capsys.readouterr().out
    assert "9 networks on the same 600 simulated test chips; the most accurate is teacher with 96.7 %." in text
    assert "1% distill" in text
    assert text.splitlines()[-1] == "took    3s"
