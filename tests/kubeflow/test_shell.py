"""What surrounds a stage: its journal, its one line for a mistake, and a retry that ends at once."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from sarslim.errors import InputError, ServiceError
from sarslim.kubeflow import shell
from sarslim.store import journal
from sarslim.store.storage import S3Uri


@pytest.fixture
def student(tmp_path):
    return SimpleNamespace(uri=str(tmp_path / "run" / "distill-student" / "student"))


def entries(student) -> list:
    return journal.read(journal.run_root(student.uri))


def test_a_page_learns_its_run_and_on_a_cluster_the_address_of_its_artifact(student):
    here = shell.origin(student)
    assert (here.run, here.address) == ("run", "")
    assert abs(datetime.fromisoformat(here.time) - datetime.now(UTC)).total_seconds() < 60
    there = "s3://sarslim/pipelines/compress/0a1b-2c/evaluate-student/77/bundle"
    found = shell.origin(SimpleNamespace(uri=there))
    assert (found.run, found.address) == ("0a1b-2c", there)


def test_a_stage_that_ends_well_is_in_the_journal(student):
    with shell.stage("distill", inputs={"dataset": SimpleNamespace(uri="s3://a/d")}, outputs={"student": student}):
        (running,) = entries(student)
        assert running.state == "running"
    (entry,) = entries(student)
    assert (entry.stage, entry.state, entry.message) == ("distill", "succeeded", "")
    assert journal.artifacts([entry]) == {"dataset": "s3://a/d", "student": student.uri}


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [(InputError("a", "is b", "Do c"), "refused", 2), (ServiceError("a", "is b", "Do c"), "failed", 1)],
)
def test_an_error_is_one_line_in_log_and_journal(error, state, code, student, capsys):
    with pytest.raises(SystemExit) as caught, shell.stage("distill", outputs={"student": student}):
        raise error
    assert caught.value.code == code
    (entry,) = entries(student)
    assert (entry.state, entry.message) == (state, capsys.readouterr().out.strip())
    assert entry.message.endswith("error: a: is b. Do c.")
    assert journal.artifacts([entry]) == {}


def test_a_crash_leaves_its_reason_in_the_journal(student):
    with pytest.raises(ZeroDivisionError), shell.stage("distill", outputs={"student": student}):
        1 / 0  # noqa: B018
    assert entries(student)[0].message == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(("attempt", "runs"), [("", True), ("0", True), ("1", False)])
def test_a_retry_after_a_mistake_ends_at_once_with_the_same_line(attempt, runs, student, monkeypatch, capsys):
    with pytest.raises(SystemExit), shell.stage("distill", outputs={"student": student}):
        raise InputError("a", "is b", "Do c")
    monkeypatch.setenv("KFP_RETRY_INDEX", attempt)
    ran = []

    def work() -> None:
        ran.append(True)
        raise InputError("a", "is b", "Do c")

    with pytest.raises(SystemExit) as caught, shell.stage("distill", outputs={"student": student}):
        work()
    assert bool(ran) == runs
    assert caught.value.code == 2
    first, second = capsys.readouterr().out.splitlines()
    assert first == second


def test_a_retry_after_a_failure_runs_again(student, monkeypatch):
    with pytest.raises(SystemExit), shell.stage("distill", outputs={"student": student}):
        raise ServiceError("a", "is b", "Do c")
    monkeypatch.setenv("KFP_RETRY_INDEX", "1")
    with shell.stage("distill", outputs={"student": student}):
        pass
    assert entries(student)[0].state == "succeeded"


def test_the_journal_of_a_run_in_an_object_store_lies_beside_its_artifacts(store):
    student = SimpleNamespace(uri="s3://shell/pipelines/compress/run-1/distill-student/salt/student")
    with shell.stage("distill", outputs={"student": student}):
        pass
    names = [name for name, _, _ in store.list(S3Uri.parse("s3://shell/pipelines/compress/run-1/journal"))]
    assert len(names) == 1
    assert names[0].startswith("distill-")
    assert entries(student)[0].state == "succeeded"


def test_without_an_object_store_the_stage_runs_all_the_same(monkeypatch, capsys):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with shell.stage("distill", outputs={"student": SimpleNamespace(uri="s3://a/run/task/salt/student")}):
        print("ran")
    assert "note: no journal: AWS_ACCESS_KEY_ID" in capsys.readouterr().out


def test_figures_are_logged_printed_and_written(tmp_path, capsys):
    logged = {}
    metrics = SimpleNamespace(path=str(tmp_path / "out" / "metrics"), log_metric=logged.__setitem__)
    shell.log(metrics, {"accuracy": 0.5})
    assert logged == {"accuracy": 0.5}
    assert json.loads((tmp_path / "out" / "metrics").read_text()) == {"accuracy": 0.5}
    assert capsys.readouterr().out == 'figures: {"accuracy": 0.5}\n'
