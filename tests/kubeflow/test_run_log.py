"""What KFP prints locally is sorted by task; a person sees progress only."""

import builtins
import io
import logging
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from kfp.local import logging_utils

from sarslim.kubeflow.local import run_log


class Terminal(io.StringIO):
    """A screen that people look at."""

    def isatty(self) -> bool:
        return True

    def last_table(self) -> list[str]:
        """What is left on the screen, without colours."""
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.getvalue())
        return [line.rstrip() for line in text[text.rindex("   Stage") :].splitlines() if line.strip()]


def headline(stage, figures):
    return f"{stage} {figures['val_macro_f1']:g}"


NAMES = {"train-teacher": "teacher", "prune-student": "prune"}


def test_lines_are_sorted_by_task_and_progress_is_shown(tmp_path):
    screen = io.StringIO()
    with run_log.watch(tmp_path / "logs", NAMES, screen, headline=headline) as log:
        print("12:00:00.000 - INFO - Executing task \x1b[96m'train-teacher'\x1b[0m")
        print("    [KFP Executor] Got executor_input: {}")
        print("    teacher 1/2  loss 1.0  3s left")
        print("    teacher 2/2  loss 0.5")
        print("    note: chips are simulated")
        print('    figures: {"val_macro_f1": 0.9}')
        print("12:00:09.000 - INFO - Task \x1b[96m'train-teacher'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m")
        logging.info("Task prune-student cache hit (key=0123456789ab); skipping execution.")
    assert screen.getvalue().splitlines() == [
        "[teacher] started",
        "[teacher] teacher 1/2  loss 1.0  3s left",
        "[teacher] teacher 2/2  loss 0.5",
        "[teacher] chips are simulated",
        "[teacher] done in 0s: teacher 0.9",
        "[prune] from cache",
    ]
    assert log.cached == ["prune"]
    assert log.seconds["prune"] == 0.0
    assert log.failed is None
    kept = (tmp_path / "logs" / "teacher.log").read_text()
    assert "[KFP Executor] Got executor_input" in kept
    assert "\x1b" not in kept


def test_a_failed_task_is_remembered_with_its_words(tmp_path):
    screen = io.StringIO()
    with run_log.watch(tmp_path, NAMES, screen) as log:
        print("Executing task 'prune-student'")
        print("    input error: prune.macs: out of reach. Ask for more.")
        print("Task 'prune-student' finished with status FAILURE")
    assert log.failed == "prune"
    assert "input error: prune.macs: out of reach. Ask for more." in log.lines("prune")
    assert screen.getvalue().splitlines()[-1] == "[prune] FAILED"


@pytest.fixture
def terminal(monkeypatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "78")
    return Terminal()


STAGES = ("prepare", "teacher", "prune", "publish")


def test_a_terminal_shows_every_stage_with_its_state_time_and_figure(tmp_path, terminal):
    names = NAMES | {"prepare-data": "prepare"}
    with run_log.watch(tmp_path, names, terminal, stages=STAGES, headline=headline) as log:
        logging.info("Task prepare-data cache hit (key=0123456789ab); skipping execution.")
        for number in ("", "-2"):
            print(f"Executing task 'train-teacher{number}'")
            print("    teacher 1/2  loss 1.0  3s left")
            print('    figures: {"val_macro_f1": 0.9}')
            print(f"Task 'train-teacher{number}' finished with status SUCCESS")
        print("Executing task 'prune-student'")
        print("    a line of KFP's")
        print("Task 'prune-student' finished with status FAILURE")
    assert terminal.last_table() == [
        "   Stage    State      Time",
        "✓  prepare  cached       0s",
        "✓  teacher  done 2×      0s  teacher 0.9",
        "✗  prune    FAILED       0s",
        "·  publish  not run",
    ]
    assert "a line of KFP's" not in terminal.getvalue()
    assert log.failed == "prune"


def test_progress_is_a_bar_and_a_long_line_does_not_break_the_table(tmp_path, terminal):
    with run_log.watch(tmp_path, NAMES, terminal, stages=STAGES) as log:
        print("Executing task 'train-teacher'")
        print(f"    teacher 1/2  {'x' * 200}")
    row = terminal.last_table()[2]
    assert row.startswith("✗  teacher  stopped")
    assert "━" in row
    assert "epoch 1/2  xxx" in row
    assert len(row) == 78
    assert "x" * 200 in "".join(log.lines("teacher"))


def test_the_time_left_stands_before_what_may_be_cut_off(tmp_path, terminal):
    with run_log.watch(tmp_path, NAMES | {"distill-student": "distill"}, terminal, stages=("distill",)):
        print("Executing task 'distill-student'")
        print("    distill-2 3/8  loss 0.5720  val macro-F1 0.3333  and a lot more of it  1m20s left")
    assert "round 2, epoch 3/8  1m20s left  loss 0.5720" in terminal.last_table()[1]


def test_cells_of_a_sweep_are_counted(tmp_path, terminal, monkeypatch):
    told = {"names": NAMES | {"plan-sweep": "plan", "recover-cell": "recover"}, "loops": {"plan-sweep": "recover"}}

    def sweep(screen):
        with run_log.watch(tmp_path, screen=screen, stages=("plan", "teacher", "recover"), **told):
            print("Executing task 'plan-sweep'")
            print('    figures: {"cells": 3}')
            print("Task 'plan-sweep' finished with status SUCCESS")
            print("Executing task 'train-teacher'")
            print("Task 'train-teacher' finished with status SUCCESS")
            for number in ("", "-2"):
                print(f"Executing task 'recover-cell{number}'")
                print(f"Task 'recover-cell{number}' finished with status SUCCESS")

    sweep(terminal)
    assert terminal.last_table()[2:] == ["✓  teacher  done        0s", "✓  recover  2 of 3      0s"]
    lines = io.StringIO()
    sweep(lines)
    assert lines.getvalue().splitlines()[-1] == "[recover-2] done in 0s (2 of 3)"


def test_cells_side_by_side_are_told_apart(tmp_path, terminal):
    told = {"names": {"plan-sweep": "plan", "recover-cell": "recover"}, "loops": {"plan-sweep": "recover"}}
    turn = threading.Barrier(2)

    def cell(status):
        with logging_utils.local_logger_context(), logging_utils.indented_print():
            logging.info("Executing task 'recover-cell'")
            turn.wait(10)
            for epoch in (1, 2):
                sys.stdout.write("    dist")  # a line may come in pieces
                turn.wait(10)
                sys.stdout.write(f"ill {epoch}/2  {status}\n")
            run_log.say(f"input error: {status}")
            logging.info(f"Task 'recover-cell' finished with status {status}")

    def sweep(screen):
        printing, handlers = builtins.print, logging.getLogger().handlers[:]
        with (
            run_log.watch(tmp_path, screen=screen, stages=("recover",), **told) as log,
            ThreadPoolExecutor(2) as pool,
        ):
            list(pool.map(cell, ["SUCCESS", "FAILURE"]))
        assert builtins.print is printing
        assert logging.getLogger().handlers == handlers
        return log

    lines = io.StringIO()
    log = sweep(lines)
    good = {"1": "2", "2": "1"}[log.failed[-1]]
    shown = lines.getvalue().splitlines()
    for number, status in ((good, "SUCCESS"), (log.failed[-1], "FAILURE")):
        name = f"recover-{number}"
        assert [line for line in shown if f"[{name}] distill" in line] == [
            f"[{name}] distill {epoch}/2  {status}" for epoch in (1, 2)
        ]
        assert log.lines(name)[-2] == f"input error: {status}"
        assert (tmp_path / f"{name}.log").read_text().count(status) == 4
    sweep(terminal)
    assert terminal.last_table()[1] == "✗  recover  FAILED      0s"


def test_a_terminal_that_cannot_redraw_gets_lines(tmp_path, terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with run_log.watch(tmp_path, NAMES, terminal, stages=STAGES):
        print("Executing task 'train-teacher'")
    assert terminal.getvalue() == "[teacher] started\n"
