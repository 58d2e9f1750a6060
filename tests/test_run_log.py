"""What KFP prints locally is sorted by task; a person sees progress only."""

import io
import logging

from sarslim import run_log

NAMES = {"train-teacher": "teacher", "prune-student": "prune"}


def test_lines_are_sorted_by_task_and_progress_is_shown(tmp_path):
    screen = io.StringIO()
    with run_log.watch(tmp_path / "logs", NAMES, screen) as log:
        print("12:00:00.000 - INFO - Executing task \x1b[96m'train-teacher'\x1b[0m")
        print("    [KFP Executor] Got executor_input: {}")
        print("    teacher 1/2  loss 1.0  3s left")
        print("        teacher 2/2  loss 0.5")
        print("    note: chips are simulated")
        print("12:00:09.000 - INFO - Task \x1b[96m'train-teacher'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m")
        logging.info("Task prune-student cache hit (key=0123456789ab); skipping execution.")
    assert screen.getvalue().splitlines() == [
        "[teacher] started",
        "[teacher] teacher 1/2  loss 1.0  3s left",
        "[teacher] teacher 2/2  loss 0.5",
        "[teacher] chips are simulated",
        "[teacher] done in 0s",
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
