"""What is sent to a cluster, and what is said about its answers."""

import io
import json
import tarfile

import pytest
import yaml
from kfp_server import answered, with_noise
from typer.testing import CliRunner

import pipeline
from sarslim.cli.app import app
from sarslim.config import RunConfig
from sarslim.config.parameters import to_parameters
from sarslim.records import JournalEntry
from sarslim.store import journal


def call(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_a_submitted_run_refers_to_a_version_and_carries_arguments_and_root(kfp):
    kfp.play("run_over_time_6")
    done = call("submit", "--host", kfp.url, "--set", "distill.temperature=2", "--data", "s3://raw/chips", "--wait",
                "--run-as", "sarslim-runner")  # fmt: skip
    assert done.exit_code == 0, done.output
    (sent,) = kfp.runs
    assert sent["experiment_id"] in kfp.experiments.values()
    assert sent["service_account"] == "sarslim-runner"
    assert sent["runtime_config"]["pipeline_root"] == "s3://sarslim/pipelines"
    parameters = sent["runtime_config"]["parameters"]
    assert parameters["temperature"] == 2
    assert parameters["source"] == "s3://raw/chips"
    assert set(parameters) == set(to_parameters(RunConfig()))
    assert "pipeline_spec" not in sent
    made = kfp.pipelines["", "sarslim-compress"]
    (version,) = kfp.versions[made["pipeline_id"]]
    assert sent["pipeline_version_reference"] == {
        "pipeline_id": made["pipeline_id"], "pipeline_version_id": version["pipeline_version_id"],
    }  # fmt: skip
    assert version["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "sarslim-compress"
    assert version["pipeline_spec"]["platform_spec"]
    run = answered("run_over_time_6")["run_id"]
    assert done.output.splitlines()[:2] == [f"run     {run}", f"see     {kfp.url}/#/runs/details/{run}"]
    assert f"run {run} succeeded in 9m28s" in done.output


def test_the_same_pipeline_is_uploaded_once_and_another_one_is_a_new_version(kfp):
    kfp.play("run_over_time_6")
    for _ in range(2):
        done = call("submit", "--host", kfp.url)
        assert "watch   sarslim runs watch" in done.output
    (versions,) = kfp.versions.values()
    assert len(versions) == 1
    call("submit", "--host", kfp.url, "--place", "secret=mine")
    assert len(versions) == 2
    assert kfp.runs[2]["pipeline_version_reference"]["pipeline_version_id"] == versions[1]["pipeline_version_id"]
    assert len(kfp.pipelines) == 1


def test_a_run_that_fails_ends_the_command_with_1(kfp):
    kfp.play("run_canceling", "run_terminated")
    done = call("submit", "--host", kfp.url, "--wait")
    assert done.exit_code == 1
    assert "was stopped after 11m25s" in done.output


def test_a_dry_run_prints_all_and_sends_nothing(kfp):
    done = call("submit", "--host", kfp.url, "-p", "sweep", "-i", "budgets=5%", "--dry-run", "--place", "secret=mine")
    assert done.exit_code == 0
    run, spec, platform = yaml.safe_load_all(done.stdout)
    assert run["runtime_config"]["parameters"]["budgets"] == "5%"
    assert (run["pipeline"], spec["pipelineInfo"]["name"]) == ("sarslim-sweep", "sarslim-sweep")
    assert "secretName: mine" in yaml.safe_dump(platform)
    assert kfp.asked == []


@pytest.mark.parametrize("namespace", [[], ["--namespace", "team"]])
def test_uploading_twice_finds_what_is_there(namespace, kfp, monkeypatch):
    """With several users a list without the namespace leaves pipelines out, and a second upload was refused."""
    monkeypatch.setattr(pipeline, "DAGS", {name: pipeline.DAGS[name] for name in ("compress", "from-pruned")})
    kfp.health["multi_user"] = bool(namespace)
    first = call("upload", "--host", kfp.url, *namespace).output.splitlines()
    assert [line.split("  ")[0] for line in first] == [f"sarslim-{name}: new" for name in pipeline.DAGS]
    second = call("upload", "--host", kfp.url, *namespace).output.splitlines()
    assert [line.split("  ")[0] for line in second] == [f"sarslim-{name}: there already" for name in pipeline.DAGS]
    named = call("upload", "--host", kfp.url, *namespace, "--version", "two").output
    assert named.count(": new version") == len(pipeline.DAGS)
    assert {place for place, _ in kfp.pipelines} == {"team" if namespace else ""}
    assert {len(versions) for versions in kfp.versions.values()} == {2}


def test_runs_are_listed_and_where_there_are_none_that_is_said(kfp):
    done = call("runs", "--host", kfp.url)
    assert done.output == f"no runs yet at {kfp.url}\n"
    kfp.play("run_over_time_6")
    assert "f5a3e433-1f82-4be9-99bb-abff9d2e50ec  second" in call("runs", "--host", kfp.url).output


def test_runs_without_a_host_are_those_of_this_machine(tmp_path):
    assert call("runs", "--runs", str(tmp_path)).output == f"no runs yet in {tmp_path}\n"
    (tmp_path / "20261126-101010").mkdir()
    (tmp_path / "20261126-101010" / "config.yaml").touch()
    listed = call("runs", "--runs", str(tmp_path)).output
    assert "20261126-101010  2026-11-26 10:10" in listed
    assert "unfinished" in listed


def test_a_token_comes_from_the_environment(kfp, monkeypatch):
    kfp.token = "secret-token"
    refused = call("runs", "--host", kfp.url)
    assert refused.exit_code == 2
    assert "refuses us (401" in refused.output
    assert "Set KFP_TOKEN" in refused.output
    monkeypatch.setenv("KFP_TOKEN", "secret-token")
    assert call("runs", "--host", kfp.url).exit_code == 0


def test_an_old_server_is_refused_before_anything_is_sent(kfp):
    kfp.health["apiServerTagName"] = "2.15.2"
    done = call("submit", "--host", kfp.url)
    assert done.exit_code == 2
    assert "runs KFP 2.15.2, which refuses these pipelines. Upgrade it to 2.16 or newer." in done.output
    assert kfp.versions == {}


def test_a_server_with_several_users_asks_for_a_namespace(kfp):
    kfp.health["multi_user"] = True
    assert "is a KFP with several users. Name yours with --namespace." in call("submit", "--host", kfp.url).output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["submit", "--host", "http://127.0.0.1:9"], 1, "cannot be reached"),
        (["submit", "--host", "URL", "--data", "/some/where"], 2, "is a path on this machine"),
        (["submit", "--host", "URL", "-p", "swep"], 2, "did you mean sweep?"),
        (["submit", "--host", "URL", "-p", "from-teacher"], 2, "dataset_uri is missing"),
        (["logs", "00000000-0000-0000-0000-000000000000", "--host", "URL"], 2, "0000 not found). See: sarslim runs"),
        (["runs", "--host", "URL/elsewhere"], 2, "Cannot GET /elsewhere/apis/v2beta1/healthz"),
    ],
)
def test_a_mistake_gets_one_line(kfp, arguments, code, words):
    done = call(*[argument.replace("URL", kfp.url) for argument in arguments])
    assert done.exit_code == code
    assert words in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert kfp.runs == []


ENTRIES = [
    JournalEntry(
        stage="prune", state="succeeded",
        inputs={"dataset": "s3://sarslim/old/dataset", "teacher": "s3://a/1/train-teacher/2/teacher"},
        outputs={"pruned": "s3://a/1/prune-student/3/pruned"},
    ),
    JournalEntry(stage="distill", state="running", inputs={}, outputs={"student": "s3://a/1/distill-student/4/student"}),
]  # fmt: skip


@pytest.fixture
def past(kfp):
    """A run that has pruned, of which the journal is not known yet."""
    run = kfp.play("run_over_time_4")
    kfp.looks[0]["runtime_config"]["parameters"] |= {"recovery_epochs": 7, "teacher_options": '{"mixup": 0.5}'}
    return run


def expect_a_rerun(kfp, run: str):
    done = call("rerun", run, "--from", "distill", "--set", "distill.temperature=3", "--host", kfp.url)
    assert done.exit_code == 0, done.output
    (sent,) = kfp.runs
    parameters = sent["runtime_config"]["parameters"]
    assert parameters["dataset_uri"] == "s3://sarslim/old/dataset"
    assert parameters["teacher_uri"] == "s3://a/1/train-teacher/2/teacher"
    assert parameters["pruned_uri"] == "s3://a/1/prune-student/3/pruned"
    assert (parameters["recovery_epochs"], parameters["temperature"]) == (7, 3)
    assert ("", "sarslim-from-pruned") in kfp.pipelines


def test_a_rerun_takes_the_journal_from_the_server_of_the_ui(kfp, past):
    """No keys and no address of the store on this machine."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for number, entry in enumerate(ENTRIES):
            content = entry.model_dump_json().encode()
            member = tarfile.TarInfo(f"{number}.json")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    kfp.files[f"s3://sarslim/pipelines/compress/{past}/journal"] = packed.getvalue()
    expect_a_rerun(kfp, past)


def test_a_rerun_takes_what_stages_printed_where_the_server_of_the_ui_knows_no_folders(kfp, past):
    lines = [f"given {name}  {uri}" for name, uri in ENTRIES[0].inputs.items()]
    made = [f"made {name}  {uri}" for name, uri in ENTRIES[0].outputs.items()]
    kfp.print("run_over_time_6", "prune-student", with_noise(*lines, *made))
    expect_a_rerun(kfp, past)


def test_a_rerun_takes_the_journal_from_the_store_where_it_can_be_reached(kfp, past, store):
    for entry in ENTRIES:
        own = {name: uri.replace("s3://a/1/", f"s3://sarslim/pipelines/compress/{past}/") for name, uri in
               entry.outputs.items()}  # fmt: skip
        journal.write(entry.model_copy(update={"outputs": own}))
    done = call("rerun", past, "--from", "distill", "--host", kfp.url)
    assert done.exit_code == 0, done.output
    pruned = kfp.runs[0]["runtime_config"]["parameters"]["pruned_uri"]
    assert pruned == f"s3://sarslim/pipelines/compress/{past}/prune-student/3/pruned"


def test_a_rerun_from_the_first_stage_needs_no_artifact(kfp, past):
    done = call("rerun", past, "--from", "prepare", "--host", kfp.url, "--dry-run")
    assert done.exit_code == 0, done.output
    run, *_ = yaml.safe_load_all(done.stdout)
    assert run["pipeline"] == "sarslim-compress"
    assert json.loads(run["runtime_config"]["parameters"]["teacher_options"]) == {"mixup": 0.5}


def test_a_rerun_that_lacks_an_artifact_says_where_to_start_and_how_to_reach_the_store(kfp, past):
    unknown = call("rerun", past, "--from", "evaluate", "--host", kfp.url)
    assert (
        "neither its logs nor the UI's server tell what it made. Reach the store from here: kubectl" in unknown.output
    )
    kfp.print("run_over_time_6", "prune-student", with_noise("given dataset  s3://a/d", "made pruned  s3://a/p"))
    done = call("rerun", past, "--from", "evaluate", "--host", kfp.url)
    assert done.exit_code == 2
    assert "has no teacher. Start --from teacher, or name a run that made it." in done.output


def test_a_run_that_was_refused_cannot_be_run_again(kfp):
    run = kfp.play("run_refused_by_check")
    assert "ended before its parameters were checked" in call("rerun", run, "--from", "prune", "--host", kfp.url).output


def test_a_folder_can_be_uploaded_with_the_run(kfp, store, tmp_path):
    (tmp_path / "chips").mkdir()
    (tmp_path / "chips" / "a.png").write_bytes(b"a")
    done = call("submit", "--host", kfp.url, "--data", str(tmp_path / "chips"), "--upload")
    assert done.exit_code == 0, done.output
    assert "data    s3://sarslim/raw/chips (1 files, 0.0 MB sent, 0 files were there)" in done.output
    assert kfp.runs[0]["runtime_config"]["parameters"]["source"] == "s3://sarslim/raw/chips"
    assert "Name the folder to copy with --data" in call("submit", "--host", kfp.url, "--upload").output
