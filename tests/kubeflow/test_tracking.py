"""Runs in a real MLflow: what arrives there, once and whole, and what a user is told where it does not."""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import example_records
import pytest
import yaml
from mlflow_server import MISSING, Server

from sarslim import report
from sarslim.config import RunConfig
from sarslim.errors import InputError, ServiceError
from sarslim.kubeflow import tracking
from sarslim.kubeflow.run_folder import parameters, read_run
from sarslim.records import BundleRecord, JournalEntry
from sarslim.stages import results
from sarslim.store import journal

RUN, SWEEP = "20261126-125718", "20261127-080000"
BEGAN, ENDED = 1_795_000_000, 1_795_000_600  # seconds since 1970
needs_mlflow = pytest.mark.skipif("mlflow" in MISSING, reason="mlflow is not installed: pip install '.[mlflow]'")


def finished(folder: Path, record: str) -> Path:
    """The files that every run leaves, with the times at which a run writes them."""
    settings = folder / "config.yaml"
    settings.write_text(yaml.safe_dump(example_records.config().model_dump(mode="json"), sort_keys=False))
    os.utime(settings, (BEGAN, BEGAN))
    os.utime(folder / record, (ENDED, ENDED))
    return folder


@pytest.fixture
def run(tmp_path) -> Path:
    """A run folder beside the store that holds its artifacts, as `launch.run` leaves them."""
    records = example_records.run()
    root = tmp_path / "runs" / "store" / "sarslim" / "pipelines" / "compress-2026-11-26-12-57-18-819831"
    made = {"dataset": root / "prepare-data" / "dataset", "pruned": root / "prune-student" / "pruned"}
    made |= {"teacher": root / "train-teacher" / "teacher", "student": root / "distill-student" / "student"}
    results.write_json(made["dataset"] / "dataset.json", records["dataset"])
    results.write_json(made["teacher"] / results.TRAINING, records["teacher"])
    results.write_json(made["student"] / results.TRAINING, records["distill"])
    evaluation = root / "evaluate-student" / "evaluation"
    results.write_json(evaluation / results.EVALUATION, records["evaluation"])
    inputs = {name: str(path) for name, path in made.items()}
    outputs = {"evaluation": str(evaluation), "report": str(root / "evaluate-student" / "report")}
    journal.write(JournalEntry(stage="evaluate", state="succeeded", inputs=inputs, outputs=outputs))
    folder = tmp_path / "runs" / RUN
    summary = results.summary(
        records["evaluation"],
        config=records["config"],
        data_name="simulated ships",
        bundle=BundleRecord(
            sarslim_version="0.0.9",
            network="resnet18",
            data_digest=records["dataset"].digest,
            simulated=True,
            test_chips=600,
            gate_passed=True,
            files={},
        ),
        bundle_uri="s3://sarslim/models/sar-ships/sha-1",
        versions={"python": "3.11.9", "sarslim": "0.0.9"},
        seconds={"teacher": 300.0, "distill": 240.5},
        cached=[],
    )
    results.write_json(folder / "summary.json", summary)
    (folder / "report.html").write_text("<title>report</title>")
    return finished(folder, "summary.json")


@pytest.fixture
def sweep(tmp_path) -> Path:
    record = example_records.comparison(seeds=1)
    folder = tmp_path / "runs" / SWEEP
    results.write_json(folder / "comparison.json", record)
    (folder / "report.html").write_text("<title>sweep</title>")
    return finished(folder, "comparison.json")


@pytest.fixture(scope="module", autouse=True)
def starting(tmp_path_factory) -> Iterator[Server | None]:
    """The server starts while tests run that need none."""
    if MISSING:
        yield None
        return
    server = Server(tmp_path_factory.mktemp("mlflow"))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def server(starting) -> str:
    if starting is None:
        pytest.skip(f"no MLflow server can be had here, for want of {', '.join(MISSING)}: pip install '.[dev]'")
    return starting.url


@pytest.fixture
def client(server):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=server)


@pytest.fixture(autouse=True)
def environment(monkeypatch, request) -> None:
    """No variable of this machine, and an experiment for every test."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)


def runs_of(client, name: str) -> list:
    return client.search_runs([client.get_experiment_by_name(name).experiment_id])


def contents(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_parameters_are_what_people_turn_and_what_differs_from_the_defaults():
    usual = parameters(RunConfig().model_dump(mode="json"))
    assert usual["teacher.network"] == "resnet18"
    assert usual["distill.temperature"] == "4.0"
    assert usual["prune.macs"] == "5%"
    assert "prepare.source" not in usual  # empty
    assert "distill.mixup" not in usual
    assert not [name for name in usual if name.endswith("rerun")]
    changed = RunConfig().model_dump(mode="json")
    changed["prepare"] |= {"source": "s3://raw/chips", "merge": {"Tug / pilot": "tug"}, "keep_unlabelled": False}
    changed["prepare"]["simulator"]["chips"] = 200
    changed["distill"] |= {"mixup": 0.0, "of_another_version": 1}
    more = {name: value for name, value in parameters(changed).items() if name not in usual}
    assert more == {
        "prepare.source": "s3://raw/chips",
        "prepare.merge": '{"Tug / pilot": "tug"}',
        "prepare.keep_unlabelled": "false",
        "prepare.simulator.chips": "200",
        "distill.mixup": "0.0",
        "distill.of_another_version": "1",
    }


def test_a_run_whose_artifacts_are_gone_keeps_its_figures(run, capsys):
    whole = read_run(run)
    (run.parent / "store").rename(run.parent / "elsewhere")
    left = read_run(run)
    assert "training curves" in capsys.readouterr().out
    gone = {point.name.split("/")[0] for point in whole.points} - {point.name.split("/")[0] for point in left.points}
    assert gone == {"teacher_training", "student_training"}
    assert whole.tags.keys() - left.tags.keys() == {
        "sarslim.data_digest",
        "sarslim.simulated",
        "mlflow.note.content",
    }


def test_the_curves_are_those_of_the_evaluation_that_the_summary_tells_of(run):
    root = run.parent / "store" / "sarslim" / "pipelines"
    other = example_records.evaluation()
    other = other.model_copy(update={"student": other.student.model_copy(update={"bytes": 1})})
    results.write_json(root / "compress-2" / "evaluate-student" / "evaluation" / results.EVALUATION, other)
    assert {"teacher_training/loss", "student_training/loss"} < {point.name for point in read_run(run).points}
    results.write_json(next(root.glob("compress-2026*/evaluate-student/evaluation")) / results.EVALUATION, other)
    assert "teacher_training/loss" not in {point.name for point in read_run(run).points}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("summary.json", None, "holds no finished run"),
        ("summary.json", "{", "summary.json: cannot be read"),
        ("summary.json", "{}", "summary.json: is not the summary of a run"),
        ("config.yaml", "- a\n- b", "config.yaml: cannot be read"),
    ],
)
def test_a_folder_that_holds_no_run_is_refused(name, text, words, run):
    (run / name).write_text(text) if text else (run / name).unlink()
    with pytest.raises(InputError, match=words):
        read_run(run)


def test_without_the_package_one_line_says_what_to_install(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    for ask in (tracking.wanted, lambda uri: tracking.log_run(run, uri)):
        with pytest.raises(InputError, match=r"mlflow is not installed. Install it: pip install 'sarslim\[mlflow\]'"):
            ask("http://127.0.0.1:5000")
    assert tracking.wanted(None) is None
    assert capsys.readouterr().out == ""
    # A variable that was set for other programs stops no run.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking.wanted(None) is None
    assert "this run will not be logged: --mlflow: the package mlflow is not installed" in capsys.readouterr().out


def test_with_no_server_named_nothing_is_logged(run):
    with pytest.raises(InputError, match="no MLflow server is named. Give its URI, or set MLFLOW_TRACKING_URI"):
        tracking.log_run(run)


@needs_mlflow
@pytest.mark.parametrize("uri", ["htp://127.0.0.1", "http://", "http://me:hun/ter2@127.0.0.1:5000"])
def test_an_unusable_address_is_refused_before_anything_is_trained(uri):
    with pytest.raises(InputError, match="is no address of an MLflow server") as caught:
        tracking.wanted(uri)
    assert "ter2" not in str(caught.value)


@needs_mlflow
def test_a_server_that_is_down_costs_a_run_nothing_but_the_entry(run, monkeypatch, capsys):
    before = contents(run.parent)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens
        uri = f"http://me:hunter2@127.0.0.1:{closed.getsockname()[1]}"
        assert tracking.wanted(uri) == uri
        assert tracking.log_ended(run, uri) is False
    told = capsys.readouterr()
    assert told.err.startswith("service error: http://127.0.0.1:")
    assert "does not answer (Connection refused)" in told.err
    assert f"then log the run, which is whole: sarslim runs mlflow {RUN}." in told.err
    assert told.err.count("\n") == 1
    assert "hunter2" not in told.out + told.err
    assert contents(run.parent) == before


@needs_mlflow
def test_a_server_that_is_silent_is_not_waited_for_for_ever(run, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(ServiceError, match=r"does not answer \(timed out\)"):
        tracking.log_run(run, f"http://127.0.0.1:{silent.getsockname()[1]}")


class Gate(BaseHTTPRequestHandler):
    """A proxy that lets nobody in."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()
        self.wfile.write(f"Not you: {self.headers['Authorization']}".encode())

    def log_message(self, *_: object) -> None:
        pass


@needs_mlflow
def test_refused_credentials_are_told_without_them(run, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "s3cr3t")
    with HTTPServer(("127.0.0.1", 0), Gate) as gate:
        threading.Thread(target=gate.serve_forever, daemon=True).start()
        with pytest.raises(ServiceError, match="refuses the credentials. Set MLFLOW_TRACKING_USERNAME, ") as caught:
            tracking.log_run(run, f"http://127.0.0.1:{gate.server_address[1]}")
        gate.shutdown()
    assert "s3cr3t" not in str(caught.value)


def test_a_run_arrives_with_figures_curves_and_files(run, server, client, request, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")  # the address that is given counts
    before = dict(os.environ)
    address = tracking.log_run(run, server.replace("//", "//me:hunter2@"))
    assert dict(os.environ) == before
    assert tracking.log_ended(run, server) is True
    assert tracking.log_run(run, server) == address  # there already
    told = capsys.readouterr()
    assert told.out + told.err == f"mlflow  {address}\n"
    (found,) = runs_of(client, request.node.name)
    assert address == f"{server}/#/experiments/{found.info.experiment_id}/runs/{found.info.run_id}"
    assert (found.info.run_name, found.info.status) == (RUN, "FINISHED")
    assert (found.info.start_time, found.info.end_time) == (1000 * BEGAN, 1000 * ENDED)

    metrics = found.data.metrics
    assert (metrics["teacher/accuracy"], metrics["student/macs"]) == (pytest.approx(580 / 600), 7_150_000)
    assert (metrics["pruned/params"], metrics["student/latency_ms"]) == (541_000, 1.934)
    assert (metrics["student_onnx_int8/accuracy"], metrics["rival_mobilenet_v3_small/latency_ms"]) == (0.955, 5.2)
    assert (metrics["seconds/distill"], metrics["majority_accuracy"]) == (240.5, pytest.approx(1 / 6))
    record = example_records.training(student=True)
    assert metrics["student_training/kept_epoch"] == record.kept_epoch
    for name, values in {
        "student_training/loss": [epoch.losses["total"] for epoch in record.epochs],
        "student_training/loss_crd": [epoch.losses["crd"] for epoch in record.epochs],
        "student_training/val_accuracy": [epoch.val_accuracy for epoch in record.epochs],
    }.items():
        history = sorted(client.get_metric_history(found.info.run_id, name), key=lambda metric: metric.step)
        assert [metric.step for metric in history] == [epoch.epoch for epoch in record.epochs]
        assert [metric.value for metric in history] == values
        assert history[0].timestamp < history[-1].timestamp
    assert len(client.get_metric_history(found.info.run_id, "teacher_training/val_loss")) == len(record.epochs)

    assert found.data.params == parameters(example_records.config().model_dump(mode="json"))
    assert found.data.params["distill.scd_weight"] == "0.25"
    tags = {name.removeprefix("sarslim."): value for name, value in found.data.tags.items() if "sarslim." in name}
    assert tags.pop("logged_by").startswith("sarslim ")
    assert len(tags.pop("sha256")) == 64
    assert tags == {
        "run": RUN,
        "version": "0.0.9",
        "gate": "passed",
        "bundle_uri": "s3://sarslim/models/sar-ships/sha-1",
        "data_digest": "c0ffee000000",
        "simulated": "true",
    }
    story = example_records.run()
    assert found.data.tags["mlflow.note.content"] == report.verdict(story["dataset"], story["evaluation"])
    for name in ("report.html", "summary.json", "config.yaml"):
        file = Path(client.download_artifacts(found.info.run_id, name, str(tmp_path)))
        assert file.read_bytes() == (run / name).read_bytes()


def test_the_usual_variables_name_server_and_experiment(run, server, client, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert tracking.wanted(None) == server
    (run.parent / "latest").symlink_to(run.name)
    tracking.log_run(run.parent / "latest")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    tracking.log_run(run)
    assert [each.info.run_name for each in runs_of(client, "sarslim")] == [RUN]
    assert len(runs_of(client, "test_the_usual_variables_name_server_and_experiment")) == 1


def test_a_comparison_becomes_a_run_with_a_run_per_network(sweep, server, client, request):
    address = tracking.log_run(sweep, server)
    assert tracking.log_run(sweep, server) == address
    record = example_records.comparison(seeds=1)
    found = runs_of(client, request.node.name)
    (parent,) = [each for each in found if "mlflow.parentRunId" not in each.data.tags]
    # MLflow lists the youngest first: the rows stand there as in the report.
    children = [each for each in found if each.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert [each.info.run_name for each in children] == [network.name for network in record.networks]
    for child, network in zip(children, record.networks, strict=True):
        assert child.info.status == "FINISHED"
        assert child.data.metrics == network.figures()
        assert child.data.tags["sarslim.data_digest"] == network.data_digest[:12]
        assert child.data.tags["sarslim.run"] == SWEEP
    assert children[0].data.params == {"network": "teacher", "seed": "0"}
    assert children[1].data.params == {
        "network": "10% finetune seed 0",
        "budget": "10%",
        "method": "finetune",
        "seed": "0",
    }
    assert parent.info.run_name == SWEEP
    assert parent.data.metrics["teacher/macs"] == 148_000_000
    assert parent.data.tags["mlflow.note.content"] == report.lead(record)
    assert parent.data.params["distill.epochs"] == "40"
    assert not {"prune.macs", "distill.method", "distill.seed"} & parent.data.params.keys()  # the rows have their own
    assert {file.path for file in client.list_artifacts(parent.info.run_id)} == {
        "report.html",
        "comparison.json",
        "config.yaml",
    }


def test_what_an_interrupted_attempt_left_is_replaced(sweep, server, client, request):
    experiment = client.create_experiment(request.node.name)
    tags = read_run(sweep).tags
    half = client.create_run(experiment, tags=tags).info.run_id
    client.create_run(experiment, tags=tags | {"mlflow.parentRunId": half})
    other = client.create_run(experiment, tags=tags | {"sarslim.sha256": "of another run"}).info.run_id
    whole = tracking.log_run(sweep, server).rpartition("/")[2]
    found = runs_of(client, request.node.name)
    assert {each.info.run_id for each in found if "mlflow.parentRunId" not in each.data.tags} == {whole, other}
    assert len(found) == 2 + len(example_records.comparison(seeds=1).networks)


@pytest.mark.parametrize(
    ("place", "error", "words"),
    [
        ("/proc/nowhere", ServiceError, "could not keep the run"),
        (
            "s3://nowhere/x",
            InputError,
            "keeps artifacts where the package boto3 is needed. Install it, then log the run",
        ),
    ],
    ids=["path", "s3"],
)
def test_artifacts_that_cannot_be_kept_are_told_and_the_run_there_counts_as_failed(
    place, error, words, run, server, client, request, monkeypatch
):
    monkeypatch.setitem(sys.modules, "boto3", None)
    client.create_experiment(request.node.name, artifact_location=place)
    with pytest.raises(error, match=words):
        tracking.log_run(run, server)
    (found,) = runs_of(client, request.node.name)
    assert found.info.status == "FAILED"


def test_a_deleted_experiment_is_not_used(run, server, client, request):
    client.delete_experiment(client.create_experiment(request.node.name))
    with pytest.raises(InputError, match="was deleted on the server. Restore it there, or set MLFLOW_EXPERIMENT_NAME"):
        tracking.log_run(run, server)
