"""The whole DAG under KFP's local runners, from raw chips in a real object store to a published bundle.

Every case runs in processes; `make test-docker` runs all of them in containers too.
"""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pipeline
from sarslim.chips.dataset import Dataset
from sarslim.chips.prepare import prepare
from sarslim.config import PrepareConfig, RunConfig, parse
from sarslim.delivery.runtime import Bundle
from sarslim.kubeflow import run_folder
from sarslim.kubeflow.local import history, launch
from sarslim.networks import artifact
from sarslim.networks.inference import predict
from sarslim.store.storage import S3Uri

SCORES = {"accuracy", "macro_f1", "balanced_accuracy", "params", "macs", "bytes", "latency_ms"}
BUNDLE = {"weights.safetensors", "model.json", "labels.json", "MODEL_CARD.md", "report.html"} | {
    "model.onnx", "model.int8.onnx", "metrics.json"
}  # fmt: skip


@pytest.fixture(scope="module")
def raw(store, tmp_path_factory) -> str:
    """The s3:// address of real PNG files in a folder per class, with a given test part."""
    folder = tmp_path_factory.mktemp("raw")
    config = parse(PrepareConfig, {"image_size": 32, "simulator": {"chips": 320, "classes": 2}})
    prepare(config, None, folder / "dataset")
    dataset = Dataset.open(folder / "dataset")
    for part, name in (("train", "TRAIN"), ("val", "TRAIN"), ("test", "TEST")):
        chips = dataset.part(part)
        for number, (image, label) in enumerate(zip(chips.images, chips.labels, strict=True)):
            file = folder / "tree" / name / dataset.record.classes[label] / f"{part}{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0]).save(file)
    store.upload(folder / "tree", S3Uri.parse("s3://raw/tree"))
    return "s3://raw/tree"


@pytest.fixture(scope="module")
def config(raw) -> RunConfig:
    return parse(
        RunConfig,
        {
            "prepare": {"source": raw, "image_size": 32},
            "teacher": {"epochs": 10, "batch_size": 32},
            "distill": {"epochs": 8, "batch_size": 32},
            "evaluate": {"latency_seconds": 0.05, "looks": [4], "max_drop": 1.0},
            "publish": {"name": "test-ships", "destination": "s3://published/models"},
        },
    )


@pytest.fixture(scope="module", params=["processes", pytest.param("containers", marks=pytest.mark.docker)])
def runs(request, tmp_path_factory) -> Path:
    """The folder of runs, one for each runner and named after it."""
    return tmp_path_factory.mktemp("runs") / request.param


def go(config: RunConfig, runs: Path, store) -> dict:
    launch.run(
        pipeline.build("compress"), config, runs=runs, s3_endpoint=store.endpoint, docker="containers" in runs.parts
    )
    return json.loads((runs / "latest" / "summary.json").read_text())


@pytest.fixture(scope="module")
def first(config, runs, store) -> dict:
    return go(config, runs, store)


def test_the_summary_tells_what_was_kept_and_lost(first):
    for network in ("teacher", "pruned", "student"):
        assert set(first[network]) == SCORES
    assert first["student"]["macs"] <= 0.05 * first["teacher"]["macs"]
    assert first["student"]["params"] <= 0.05 * first["teacher"]["params"]
    assert first["student"]["bytes"] < 0.06 * first["teacher"]["bytes"]
    assert first["majority_accuracy"] == 0.5
    fp32, int8 = (
        each for each in first["delivered"] if (each["network"], each["runtime"]) == ("student", "ONNX Runtime")
    )
    assert (fp32["precision"], fp32["accuracy"]) == ("FP32", first["student"]["accuracy"])
    assert int8["precision"] == "INT8"
    assert int8["bytes"] < 0.5 * fp32["bytes"]
    assert [rival["network"] for rival in first["rivals"]] == ["mobilenet_v3_small", "shufflenet_v2_x0_5"]
    assert first["versions"]["kfp"] == "2.17.0"
    assert set(first["seconds"]) == {"check", "prepare", "teacher", "prune", "ask", "distill", "evaluate", "publish"}
    assert first["cached"] == []
    assert first["config"]["prepare"]["source"] == "s3://raw/tree"
    assert first["data"] == {"name": "tree", "simulated": False, "test_chips": 80, "digest": first["data"]["digest"]}
    assert first["network"] == "resnet18"


def test_a_run_leaves_a_report_a_configuration_and_a_log_per_stage(first, runs):
    latest = runs / "latest"
    page = (latest / "report.html").read_text()
    assert "test chips" in page
    assert f'<span data-fill="run">{latest.resolve().name}</span>' in page
    assert page.count(f">{first['bundle_uri']}</span>") == 3
    assert re.search(r'title="TEST/\w+/test\d+.png">test\d+.png', page)
    (done,) = (run for run in history.runs_in(runs) if run.id == latest.resolve().name)
    assert (done.state, done.data, done.simulated, done.gate_passed) == ("finished", "tree", False, True)
    assert f'href="{done.id}/report.html"' in (runs / "index.html").read_text()
    published = next((runs / "store" / "sarslim" / "pipelines").glob("*/publish-bundle/report"))
    assert published.read_text().count(f">{first['bundle_uri']}</span>") == 3
    assert (latest / "config.yaml").is_file()
    assert {file.stem for file in (latest / "logs").glob("*.log")} >= set(first["seconds"])


def test_a_run_folder_leads_to_the_curves_of_its_networks(first, config, runs):
    entry = run_folder.read_run(runs / "latest")
    for name, epochs in (("teacher", config.teacher.epochs), ("student", config.distill.epochs)):
        steps = [point.step for point in entry.points if point.name == f"{name}_training/val_accuracy"]
        assert steps == list(range(1, epochs + 1))
        assert [point.value for point in entry.points if point.name == f"{name}/accuracy"] == [first[name]["accuracy"]]
    pipelines = runs / "store" / "sarslim" / "pipelines"
    data = json.loads(next(pipelines.glob("*/prepare-data/dataset/dataset.json")).read_text())
    assert data["digest"].startswith(entry.tags["sarslim.data_digest"])
    assert entry.tags["sarslim.simulated"] == "false"  # files in a folder, whoever made them


def test_the_published_bundle_gives_the_predictions_of_the_student(first, runs, store, tmp_path):
    names = store.fetch_bundle(S3Uri.parse(first["bundle_uri"]), tmp_path / "bundle")
    assert set(names) == BUNDLE
    published, record = artifact.load(tmp_path / "bundle", kind="student")
    pipelines = runs / "store" / "sarslim" / "pipelines"
    student, _ = artifact.load(next(pipelines.glob("*/distill-student/student")))
    chips = Dataset.open(next(pipelines.glob("*/prepare-data/dataset"))).part("test")
    np.testing.assert_array_equal(predict(published, chips.images), predict(student, chips.images))
    assert json.loads((tmp_path / "bundle" / "labels.json").read_text()) == list(record.classes)
    latest = Bundle.open("s3://published/models/test-ships@latest")
    assert f"s3://published/models/test-ships/{latest.version}" == first["bundle_uri"]
    scores = latest.evaluate(next(pipelines.glob("*/prepare-data/dataset")))
    assert scores.accuracy == pytest.approx(first["student"]["accuracy"])
    assert scores.macro_f1 == pytest.approx(first["student"]["macro_f1"])


def test_secrets_stay_out_of_logs_and_artifacts(first, runs):
    secret = os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    files = [path for path in runs.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if secret in path.read_bytes()]


def test_an_unchanged_run_comes_from_the_cache(first, config, runs, store):
    again = go(config, runs, store)
    assert set(again["cached"]) == {"prepare", "teacher", "prune", "ask", "distill", "evaluate", "publish"}
    assert again["bundle_uri"] == first["bundle_uri"]
    assert again["student"] == first["student"]


def test_a_distillation_parameter_reruns_only_what_depends_on_it(first, runs, store):
    changed = launch.rerun_config(runs / "latest", "distill", ["distill.temperature=2"])
    summary = go(changed, runs, store)
    assert set(summary["cached"]) == {"prepare", "teacher", "prune", "ask"}
    assert summary["teacher"]["accuracy"] == first["teacher"]["accuracy"]


def test_a_failed_gate_publishes_nothing(first, config, runs, store):
    strict = config.evaluate.model_copy(update={"min_accuracy": 1.0})
    summary = go(
        config.model_copy(
            update={"evaluate": strict, "publish": config.publish.model_copy(update={"name": "not-good-enough"})}
        ),
        runs,
        store,
    )
    assert summary["gate_passed"] is False
    assert summary["bundle_uri"] is None
    assert store.list(S3Uri.parse("s3://published/models/not-good-enough")) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prepare": {"source": "s3://nowhere/raw"}}, "there is no bucket 'nowhere'"),
        ({"prune": {"macs": "0.0001%"}}, "macs=0.0001% is out of reach, the smallest reachable is 0.51%"),
    ],
    ids=["bucket", "budget"],
)
def test_a_mistake_ends_the_run_before_anything_is_prepared(change, words, runs, store):
    with pytest.raises(launch.RunFailed) as caught:
        go(parse(RunConfig, change), runs / "bad", store)
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith("input error: ")
    assert words in str(caught.value)
    assert not list((runs / "bad").glob("store/sarslim/pipelines/*/prepare-data"))
    assert history.runs_in(runs / "bad") == []  # nothing ran, and nothing is left of it
