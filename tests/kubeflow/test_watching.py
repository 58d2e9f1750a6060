"""What is printed while a run goes on, when the connection breaks, and at the end; from looks at real runs."""

import json

import pytest
from kfp_server import answered, with_noise
from typer.testing import CliRunner

from sarslim.cli.app import app
from sarslim.kubeflow.cluster import patience, watching
from sarslim.kubeflow.cluster.nodes import node_id
from sarslim.kubeflow.cluster.server import Server, Unreachable

OVER_TIME = [f"run_over_time_{number}" for number in range(7)]
FIGURES = 'figures: {"val_accuracy": 0.93, "val_macro_f1": 0.914, "kept_epoch": 3, "epochs": 8, "seconds": 200}'


def watch(kfp, run: str, code: int = 0) -> list[str]:
    done = CliRunner().invoke(app, ["runs", "watch", run, "--host", kfp.url])
    assert done.exit_code == code, done.output
    return done.output.splitlines()


def test_a_run_is_one_line_per_stage_and_change(kfp):
    run = kfp.play(*OVER_TIME)
    kfp.print("run_over_time_6", "train-teacher", with_noise("teacher 8/8  loss 0.1", FIGURES))
    published = "published s3://sarslim/models/sar-ships/1.0"
    kfp.print("run_over_time_6", "publish-bundle", with_noise(published))
    assert watch(kfp, run) == [
        "[Check inputs] waiting for a place in the cluster",
        "[Check inputs] done in 22s",
        "[Prepare data] from the cache",
        "[Train teacher] done in 4m00s: macro-F1 91.4 % on the validation part",
        "[Prune student] done in 21s",
        "[Distill student] done in 1m28s",
        "[Evaluate student] done in 1m04s",
        "[Publish bundle] done in 10s",
        "[Report outcome] done in 10s",
        f"run {run} succeeded in 9m28s",
        "bundle  s3://sarslim/models/sar-ships/1.0",
        "fetch   sarslim models pull sar-ships/1.0 OUT --at s3://sarslim/models",
    ]


def test_progress_of_training_is_followed_in_the_log_of_its_pod(kfp, monkeypatch):
    training = answered("run_canceling")
    training["state"], training["state_history"] = "RUNNING", []
    for task in training["run_details"]["task_details"]:
        if task.get("display_name") in ("train-teacher", "train-teacher(0)", "executor") and task["state"] == "FAILED":
            task["state"] = "RUNNING"
    kfp.looks = [training] * 6 + [answered("run_terminated")]
    lines = ["teacher 1/8  loss 0.9  7m left", "teacher 2/8  loss 0.5  6m left", "note: resumed after epoch 2"]
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        kfp.print("run_canceling", "train-teacher", with_noise(*lines[: len(pauses)]))

    monkeypatch.setattr(patience.time, "sleep", pause)
    told = [line for line in watch(kfp, training["run_id"], 1) if line.startswith("[Train teacher]")]
    assert told == [
        "[Train teacher] running",
        "[Train teacher] teacher 1/8  loss 0.9  7m left",
        "[Train teacher] teacher 2/8  loss 0.5  6m left",
        "[Train teacher] resumed after epoch 2",
        "[Train teacher] stopped after 3m38s",
    ]
    assert set(pauses) == {patience.EVERY_SECONDS}


def test_cells_of_a_sweep_are_counted(kfp):
    stuck = answered("run_sweep_succeeded") | {"state": "RUNNING"}
    kfp.looks = [stuck, answered("run_sweep_succeeded")]
    lines = watch(kfp, stuck["run_id"])
    assert "[Prune student] 2 of 4 cells done, 2 running" in lines
    assert "[Distill student] 2 of 4 cells done" in lines
    assert "[Prune student] 4 of 4 cells done" in lines
    assert sum(line.startswith("[Prune student]") for line in lines) == 2


def test_the_plan_tells_how_many_cells_there_will_be(kfp):
    stuck = answered("run_sweep_succeeded") | {"state": "RUNNING"}
    kfp.looks = [stuck] * 30 + [answered("run_sweep_succeeded")]
    kfp.print("run_sweep_succeeded", "train-teacher", with_noise('figures: {"cells": 12, "val_macro_f1": 0.5}'))
    cell = "sweep-h9zqg(0).root(0).exit-handler-1(0).for-loop-2(0).iteration-iterations(4:4)(0).iteration-item(0)"
    number = node_id("sweep-h9zqg", f"{cell}.prune-student(0).executor(0)").rpartition("-")[2]
    kfp.pods[f"sweep-h9zqg-retry-system-container-impl-{number}"] = with_noise("note: cutting")
    lines = watch(kfp, stuck["run_id"])
    assert "[Prune student] 2 of 12 cells done, 2 running" in lines
    # A cell that the list has not named before it stood still.
    assert "[Prune student] 2 of 12 cells done, 3 running" in lines


def test_where_the_list_of_tasks_stands_still_the_logs_tell_how_it_goes_on(kfp, monkeypatch):
    """Argo stored the nodes of four cells compressed: from then on the list did not change until the end."""
    stuck = answered("run_sweep_succeeded") | {"state": "RUNNING"}
    kfp.looks = [stuck] * 30 + [answered("run_sweep_succeeded")]
    made = "made pruned  s3://sarslim/pipelines/sweep/1/prune-student/2/pruned"
    kfp.print("run_sweep_succeeded", "prune-student", with_noise(made), cell=2)
    kfp.print("run_sweep_succeeded", "prune-student", with_noise("note: cutting"), cell=3)
    prefix = "sweep-h9zqg(0).root(0).exit-handler-1(0).for-loop-2(0).iteration-iterations(2:2)(0).iteration-item(0)"
    number = node_id("sweep-h9zqg", f"{prefix}.distill-student(0).executor(0)").rpartition("-")[2]
    kfp.pods[f"sweep-h9zqg-retry-system-container-impl-{number}"] = with_noise("student 1/12  loss 0.2")
    lines = watch(kfp, stuck["run_id"])
    assert "[Prune student] 3 of 4 cells done, 1 running" in lines
    assert "[Distill student] 2 of 4 cells done, 1 running" in lines


def test_a_connection_that_breaks_for_a_while_is_waited_for(kfp):
    run = kfp.play("run_over_time_6")
    api = Server(kfp.url).connect()
    kfp.away = 14  # the SDK's own attempts, and some of ours
    assert watching.wait(api, run)
    assert kfp.away == 0


def test_what_is_said_of_a_broken_connection(kfp, capsys):
    run = kfp.play("run_over_time_6")
    api = Server(kfp.url).connect()
    kfp.away = 14
    watching.wait(api, run)
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert f"{kfp.url} cannot be reached" in first
    assert "the run goes on, trying again for 15m00s" in first
    assert first.endswith(f"To watch it later: sarslim runs watch {run} --host {kfp.url}")
    assert second.startswith("answers again after ")
    kfp.away = 10_000
    with pytest.raises(Unreachable, match="The run goes on without us; to watch it again: sarslim runs watch"):
        watching.wait(api, run)


def test_a_refused_value_is_told_in_the_words_of_the_check(kfp):
    run = kfp.play("run_refused_by_check")
    message = "input error: prune.macs: 'banana' is not a budget. Write a share such as 5% or a number such as 2M."
    kfp.print("run_refused_by_check", "check-inputs", with_noise(message))
    lines = watch(kfp, run, 1)
    assert lines[0] == "[Check inputs] FAILED after 1m40s"
    assert lines[-3:] == [
        "Check inputs said last:",
        f"  {message}",
        f"more: sarslim runs show {run} --host {kfp.url}",
    ]


def test_a_driver_that_failed_is_quoted(kfp):
    run = kfp.play("run_failed_driver")
    said = "F1126 10:18:29 main.go:59] KFP driver: failed to resolve inputs: cannot find producer task importer"
    kfp.print("run_failed_driver", "distill-student", said, template="system-container-driver")
    assert f"  {said}" in watch(kfp, run, 1)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("run_without_service_account", "usually the service account is not there, a quota is full"),
        ("run_failed_driver", "Distill student: KFP's driver failed before it"),
        ("run_terminated", "it was terminated; Retry in the UI goes on from the last checkpoint"),
    ],
)
def test_without_a_log_it_says_what_it_usually_is_and_where_to_look(name, words, kfp):
    lines = "\n".join(watch(kfp, kfp.play(name), 1))
    assert words in lines
    if name != "run_terminated":
        workflow = (
            answered(name)["run_details"]["task_details"][1].get("child_tasks") and "kubectl -n kubeflow get events"
        )
        assert workflow in lines


def test_runs_show_tells_stages_artifacts_and_how_to_go_on(kfp):
    run = kfp.play("run_over_time_6")
    base = "s3://sarslim/pipelines/compress/run"
    logs = {
        "train-teacher": [f"given dataset  {base}/d", FIGURES, f"made teacher  {base}/t"],
        "prune-student": [f"given dataset  {base}/d", f"given teacher  {base}/t", f"made pruned  {base}/p"],
        "distill-student": [f"made student  {base}/s"],
    }
    for task, lines in logs.items():
        kfp.print("run_over_time_6", task, with_noise(*lines))
    done = CliRunner().invoke(app, ["runs", "show", run, "--host", kfp.url])
    assert done.exit_code == 0, done.output
    for row in ("Prepare data", "from the cache", "Train teacher", "4m00s", "macro-F1 91.4 % on the validation part"):
        assert row in done.output
    given = f"dataset_uri={base}/d teacher_uri={base}/t pruned_uri={base}/p student_uri={base}/s"
    assert f"from-distilled with {given}" in done.output
    told = json.loads(CliRunner().invoke(app, ["runs", "show", run, "--host", kfp.url, "--json"]).output)
    assert told["made"] == {
        "dataset": f"{base}/d",
        "teacher": f"{base}/t",
        "pruned": f"{base}/p",
        "student": f"{base}/s",
    }
    assert told["state"] == "SUCCEEDED"
    assert told["stages"][1] == {
        "stage": "Prepare data", "state": "from the cache", "time": "", "attempts": "", "figure": "",
    }  # fmt: skip


def test_runs_show_of_a_failed_run_has_the_reason(kfp):
    run = kfp.play("run_refused_by_check")
    kfp.print("run_refused_by_check", "check-inputs", with_noise("input error: a: is b. Do c."))
    done = CliRunner().invoke(app, ["runs", "show", run, "--host", kfp.url])
    assert "  input error: a: is b. Do c." in done.output
    assert "Train teacher" in done.output
    assert "not run" in done.output
    assert "Retry in the UI" in done.output
