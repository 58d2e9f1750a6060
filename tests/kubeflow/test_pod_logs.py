"""Logs of stages, by the names of pods that a real KFP gives them."""

import pytest
from kfp_server import answered, with_noise
from typer.testing import CliRunner

from sarslim.cli.app import app
from sarslim.kubeflow.cluster import pod_logs
from sarslim.store.storage import S3Uri


def call(*arguments: str, code: int = 0) -> list[str]:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == code, done.output
    return done.output.splitlines()


def test_only_the_lines_of_the_stage_are_left():
    assert len(with_noise().splitlines()) > 70
    assert pod_logs.own(with_noise("teacher 1/2  loss 0.5", "made teacher  s3://a/b")) == [
        "teacher 1/2  loss 0.5", "made teacher  s3://a/b",
    ]  # fmt: skip


@pytest.mark.parametrize("rest", ['    "Output": "4"', "  }", "}"], ids=["cut by glog", "cut later", "whole"])
def test_what_a_task_returns_is_no_line_of_the_stage(rest):
    returned = 'I1127 01:29:30.175206      16 launcher_v2.go:1230] ExecutorOutput: {\n  "parameterValues": {\n' + rest
    assert pod_logs.own(with_noise("figures: {}", returned)) == ["figures: {}"]
    end = "[KFP Executor 2026-11-27 01:29:28,541 INFO]: Wrote executor output file"
    assert pod_logs.own(f"before\n{returned}\n{end}\nafter") == ["before", "after"]


def test_a_stage_is_found_by_the_name_that_a_person_gives_it(kfp):
    run = kfp.play("run_over_time_6")
    kfp.print("run_over_time_6", "check-inputs", with_noise("all is well"))
    for name in ("check", "check-inputs", "Check inputs"):
        assert call("logs", run, name, "--host", kfp.url) == ["== Check inputs", "all is well"]
    # The very pod that the real server gave the log of.
    asked = [line for line in kfp.asked if "/k8s/pod/logs" in line]
    assert "podname=compress-kxfzh-retry-system-container-impl-1972145600" in asked[0]
    assert f"runid={run}&podnamespace=kubeflow&createdat=2026-11-26" in asked[0]
    assert call("logs", run, "techer", "--host", kfp.url, code=2)[0].startswith("input error: STAGE: the run has no")


def test_all_lines_come_when_asked(kfp):
    run = kfp.play("run_over_time_6")
    kfp.print("run_over_time_6", "check-inputs", with_noise("all is well"))
    assert len(call("logs", run, "check", "--host", kfp.url, "--all")) > 70


def test_attempts_are_told_apart(kfp):
    run = kfp.play("run_cloned_in_ui")
    kfp.print("run_cloned_in_ui", "evaluate-student", with_noise("first"), with_noise("second"))
    at = ("logs", run, "evaluate", "--host", kfp.url)
    assert call(*at) == ["== Evaluate student, attempt 2 of 2", "second"]
    assert call(*at, "--attempt", "1") == ["== Evaluate student, attempt 1 of 2", "first"]
    assert "was tried 2 times" in call(*at, "--attempt", "3", code=2)[0]
    assert call("logs", run, "teacher", "--host", kfp.url) == [
        "== Train teacher", "from the cache: an earlier run printed it",
    ]  # fmt: skip


def test_cells_are_told_apart(kfp):
    run = kfp.play("run_sweep_succeeded")
    for cell in range(4):
        kfp.print("run_sweep_succeeded", "prune-student", with_noise(f"in cell {cell + 1}"), cell=cell)
    at = ("logs", run, "prune", "--host", kfp.url)
    assert call(*at, "--cell", "3") == ["== Prune student, cell 3", "in cell 3"]
    assert [line for line in call(*at) if line.startswith("in")] == [f"in cell {n}" for n in range(1, 5)]


def test_a_log_is_followed_until_its_stage_ends(kfp, monkeypatch):
    running = answered("run_over_time_4") | {"state": "RUNNING"}
    for task in running["run_details"]["task_details"]:
        if task.get("display_name") == "prune-student":
            task["state"] = "RUNNING"
    kfp.looks = [running, running, answered("run_over_time_6")]
    lines = ["one", "two", "three"]
    kfp.print("run_over_time_6", "prune-student", with_noise(*lines[:1]))

    def grow(_):
        kfp.print("run_over_time_6", "prune-student", with_noise(*lines))

    monkeypatch.setattr(pod_logs.time, "sleep", grow)
    assert call("logs", running["run_id"], "prune", "--host", kfp.url, "--follow") == lines


def test_the_token_is_sent_for_logs_too(kfp, monkeypatch):
    kfp.token = "secret-token"
    run = kfp.play("run_over_time_6")
    assert "refuses us (401" in call("logs", run, "--host", kfp.url, code=2)[0]
    monkeypatch.setenv("KFP_TOKEN", "secret-token")
    kfp.print("run_over_time_6", "check-inputs", with_noise("all is well"))
    assert call("logs", run, "check", "--host", kfp.url) == ["== Check inputs", "all is well"]


def test_what_the_launcher_left_in_the_store_is_read_where_the_pod_is_gone(kfp, store):
    run = kfp.play("run_over_time_6")
    kept = f"s3://sarslim/pipelines/compress/{run}/train-teacher/1/executor-logs-0"
    store.write(S3Uri.parse(kept), with_noise("from the store").encode())
    assert call("logs", run, "teacher", "--host", kfp.url) == ["== Train teacher", "from the store"]
    assert "its pod is gone" in call("logs", run, "prune", "--host", kfp.url)[1]
