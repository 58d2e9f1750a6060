"""What is sent to a cluster, and what is said about its answers. The server speaks KFP's REST API, and is not KFP."""

import json

import pytest
import yaml
from kfp_server import serve
from typer.testing import CliRunner

import pipeline
from sarslim.cli.app import app
from sarslim.config import RunConfig
from sarslim.config.parameters import to_parameters
from sarslim.kubeflow import remote
from sarslim.records import JournalEntry
from sarslim.store.storage import S3Uri

RUN = "s3://sarslim/pipelines/compress/run-1"


@pytest.fixture
def kfp(monkeypatch):
    monkeypatch.setattr(remote.time, "sleep", lambda _: None)
    with serve() as server:
        yield server


def call(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_a_submitted_run_carries_arguments_root_and_the_pipeline(kfp):
    done = call(
        "submit",
        "--host",
        kfp.url,
        "--set",
        "distill.temperature=2",
        "--data",
        "s3://raw/chips",
        "--wait",
        "--run-as",
        "sarslim-runner",
    )
    assert done.exit_code == 0, done.output
    (sent,) = kfp.runs
    assert sent["experiment_id"] == "experiment-1"
    assert sent["service_account"] == "sarslim-runner"
    assert sent["runtime_config"]["pipeline_root"] == "s3://sarslim/pipelines"
    parameters = sent["runtime_config"]["parameters"]
    assert parameters["temperature"] == 2
    assert parameters["source"] == "s3://raw/chips"
    assert set(parameters) == set(to_parameters(RunConfig()))
    spec = sent["pipeline_spec"].get("pipeline_spec", sent["pipeline_spec"])
    assert spec["pipelineInfo"]["name"] == "compress"
    assert "platform_spec" in sent["pipeline_spec"]
    assert "[Train teacher] running" in done.output
    assert "run run-1 succeeded" in done.output


def test_a_run_that_fails_ends_the_command_with_1(kfp):
    kfp.states = ["RUNNING", "FAILED"]
    done = call("submit", "--host", kfp.url, "--wait")
    assert done.exit_code == 1
    assert "run run-1 failed: teacher failed" in done.output


def test_a_dry_run_prints_all_and_sends_nothing(kfp):
    done = call("submit", "--host", kfp.url, "-p", "sweep", "-i", "budgets=5%", "--dry-run", "--place", "secret=mine")
    assert done.exit_code == 0
    run, spec, platform = yaml.safe_load_all(done.stdout)
    assert run["runtime_config"]["parameters"]["budgets"] == "5%"
    assert spec["pipelineInfo"]["name"] == "sweep"
    assert "secretName: mine" in yaml.safe_dump(platform)
    assert kfp.runs == []


def test_uploading_twice_makes_a_version(kfp):
    assert call("upload", "--host", kfp.url, "--version", "one").exit_code == 0
    assert kfp.pipelines == list(pipeline.DAGS)
    kfp.pipelines = ["compress"]
    assert "compress: version two" in call("upload", "--host", kfp.url, "--version", "two").output
    assert kfp.uploads == [("compress", "two")]


def test_runs_and_logs_are_listed(kfp):
    assert "run-1  compress of today  SUCCEEDED  2026-11-24" in call("runs", "--host", kfp.url).output
    assert call("logs", "run-1", "--host", kfp.url).output == "== Train teacher\nteacher 1/2  loss 0.5\n\n"


def test_a_token_comes_from_the_environment(kfp, monkeypatch):
    kfp.token = "secret-token"
    refused = call("runs", "--host", kfp.url)
    assert refused.exit_code == 2
    assert "refuses us (401" in refused.output
    assert "Set KFP_TOKEN" in refused.output
    monkeypatch.setenv("KFP_TOKEN", "secret-token")
    assert call("runs", "--host", kfp.url).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["submit", "--host", "http://127.0.0.1:9"], 1, "cannot be reached"),
        (["submit", "--host", "URL", "--data", "/some/where"], 2, "is a path on this machine"),
        (["submit", "--host", "URL", "-p", "swep"], 2, "did you mean sweep?"),
        (["submit", "--host", "URL", "-p", "from-teacher"], 2, "dataset_uri is missing"),
        (["logs", "run-7", "--host", "URL"], 2, "knows nothing of this name or id"),
    ],
)
def test_a_mistake_gets_one_line(kfp, arguments, code, words):
    done = call(*[kfp.url if argument == "URL" else argument for argument in arguments])
    assert done.exit_code == code
    assert words in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert kfp.runs == []


@pytest.fixture
def journal(store):
    """The journal of run-1: everything up to the pruned network is there, distillation was killed."""
    entries = [
        JournalEntry(
            stage="check", state="succeeded", inputs={}, outputs={"run_config": f"{RUN}/check-inputs/1/run_config"}
        ),
        JournalEntry(
            stage="prune", state="succeeded",
            inputs={"dataset": "s3://sarslim/old/dataset", "teacher": f"{RUN}/train-teacher/2/teacher"},
            outputs={"pruned": f"{RUN}/prune-student/3/pruned"},
        ),
        JournalEntry(
            stage="distill", state="running", inputs={}, outputs={"student": f"{RUN}/distill-student/4/student"}
        ),
    ]  # fmt: skip
    config = RunConfig().model_copy(update={"distill": RunConfig().distill.model_copy(update={"epochs": 7})})
    store.write(S3Uri.parse(f"{RUN}/check-inputs/1/run_config"), config.model_dump_json().encode())
    for entry in entries:
        remote.journal.write(entry)


@pytest.mark.parametrize("uploaded", [False, True])
def test_a_rerun_starts_from_the_artifacts_of_the_run_with_its_configuration(uploaded, kfp, journal):
    if uploaded:
        kfp.pipeline = {"pipeline_version_reference": {"pipeline_id": "compress", "pipeline_version_id": "one"}}
    done = call("rerun", "run-1", "--from", "distill", "--set", "distill.temperature=3", "--host", kfp.url)
    assert done.exit_code == 0, done.output
    (sent,) = kfp.runs
    parameters = sent["runtime_config"]["parameters"]
    assert parameters["dataset_uri"] == "s3://sarslim/old/dataset"
    assert parameters["teacher_uri"] == f"{RUN}/train-teacher/2/teacher"
    assert parameters["pruned_uri"] == f"{RUN}/prune-student/3/pruned"
    assert (parameters["recovery_epochs"], parameters["temperature"]) == (7, 3)
    assert "from-pruned" in json.dumps(sent["pipeline_spec"])


def test_a_rerun_from_a_stage_whose_inputs_are_not_there_says_where_to_start(kfp, journal):
    done = call("rerun", "run-1", "--from", "evaluate", "--host", kfp.url)
    assert done.exit_code == 2
    assert "run-1: has no student. Start --from distill" in done.output
