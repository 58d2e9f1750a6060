"""Starting in the middle, sweeping and comparing: real runs, small ones."""

import json
from pathlib import Path

import pytest

import pipeline
from sarslim.chips.prepare import prepare
from sarslim.config import RunConfig, parse
from sarslim.errors import InputError
from sarslim.kubeflow.local import launch
from sarslim.networks import artifact
from sarslim.records import Comparison
from sarslim.store.storage import S3Uri

CONFIG = {
    "prepare": {"image_size": 32, "simulator": {"chips": 400, "classes": 2}},
    "teacher": {"epochs": 5},
    "prune": {"weak_teacher": "accept"},
    "ask": {"views": 2},
    "distill": {"epochs": 5},
    "evaluate": {"latency_seconds": 0.05, "looks": [4], "max_drop": 1.0},
    "publish": {"destination": "s3://entry/models"},
}
STAGE_OF = {
    "dataset": "prepare-data",
    "teacher": "train-teacher",
    "pruned": "prune-student",
    "student": "distill-student",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("entry")


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return parse(RunConfig, CONFIG)


@pytest.fixture(scope="module")
def full(config, runs, store) -> dict[str, Path]:
    """The artifacts of a whole run."""
    launch.run(pipeline.build("compress"), config, runs=runs, s3_endpoint=store.endpoint)
    root = next((runs / "store" / "sarslim" / "pipelines").glob("compress-*"))
    return {name: root / stage / name for name, stage in STAGE_OF.items()}


def go(name: str, config: RunConfig, runs: Path, store, *inputs: str) -> Path:
    return launch.run(pipeline.build(name), config, inputs=list(inputs), runs=runs, s3_endpoint=store.endpoint)


@pytest.mark.parametrize(
    ("start", "made"),
    [("dataset", ["teacher", "pruned", "student"]), ("pruned", ["student"])],
)
def test_a_run_from_given_artifacts_ends_with_the_weights_of_the_whole_run(start, made, full, config, tmp_path, store):
    given = pipeline.given_artifacts(start)
    folder = go(f"from-{start}", config, tmp_path, store, *(f"{name}_uri={full[name]}" for name in given))
    root = next((tmp_path / "store" / "sarslim" / "pipelines").glob(f"from-{start}-*"))
    for name in made:
        own = artifact.read_record(root / STAGE_OF[name] / name)
        assert own.weights_sha256 == artifact.read_record(full[name]).weights_sha256
    assert json.loads((folder / "summary.json").read_text())["cached"] == []


def test_a_run_from_a_student_evaluates_and_publishes(full, config, tmp_path, store):
    uris = [f"{name}_uri={path}" for name, path in full.items()]
    folder = go("from-distilled", config, tmp_path, store, *uris)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["bundle_uri"].startswith("s3://entry/models/simulated-ships/sha-")
    assert {"evaluate", "publish"} < set(summary["seconds"])
    assert not {"prepare", "teacher", "prune", "distill"} & set(summary["seconds"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"teacher": "pruned"}, "is a pruned, not a teacher. Paste the URI of a teacher artifact"),
        ({"dataset": "teacher"}, "there is no dataset.json at"),
    ],
)
def test_the_first_task_refuses_an_artifact_of_the_wrong_kind(given, words, full, config, tmp_path, store, runs):
    own = {"dataset": "dataset", "teacher": "teacher"} | given
    uris = [f"{name}_uri={full.get(path, path and runs / path)}" for name, path in own.items()]
    with pytest.raises(launch.RunFailed) as caught:
        go("from-teacher", config, tmp_path, store, *uris)
    assert caught.value.exit_code == 2
    assert words in str(caught.value)
    assert not list(tmp_path.glob("store/sarslim/pipelines/*/prune-student"))


def test_an_artifact_in_the_object_store_is_checked_there(full, store, monkeypatch):
    from sarslim.stages.given import check_given

    for name in ("dataset", "teacher"):
        store.upload(full[name], S3Uri.parse(f"s3://entry/given/{name}"))
    check_given({name: f"s3://entry/given/{name}" for name in ("dataset", "teacher")})
    check_given({name: f"minio://entry/given/{name}" for name in ("dataset", "teacher")})
    with pytest.raises(InputError, match="teacher_uri: is empty"):
        check_given({"dataset": "s3://entry/given/dataset", "teacher": ""})
    with pytest.raises(InputError, match="there is no model.json at 's3://entry/given/dataset', so it is no teacher"):
        check_given({"dataset": "s3://entry/given/dataset", "teacher": "s3://entry/given/dataset"})


def test_a_model_for_other_chips_is_refused(full, config, runs, store, tmp_path):
    other = config.model_copy(update={"prepare": config.prepare.model_copy(update={"image_size": 48})})
    foreign = tmp_path / "foreign"
    prepare(other.prepare, None, foreign)
    with pytest.raises(launch.RunFailed, match="the image_size of .* are 32, those of the data set 48"):
        go("from-teacher", config, tmp_path, store, f"dataset_uri={foreign}", f"teacher_uri={full['teacher']}")


@pytest.mark.parametrize(
    ("name", "inputs", "words"),
    [
        ("from-teacher", ["dataset_uri=x"], "--input: teacher_uri is missing"),
        ("from-teacher", ["teachr_uri=x"], "'teachr_uri' is not known (did you mean teacher_uri?)"),
        ("compress", ["budgets=5%"], "compress takes no input"),
    ],
)
def test_a_wrong_input_is_refused_before_anything_runs(name, inputs, words, config, tmp_path, store):
    with pytest.raises(InputError) as caught:
        go(name, config, tmp_path, store, *inputs)
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_sweep_measures_every_budget_with_every_method_and_seed(full, config, runs, store):
    folder = go("sweep", config, runs, store, "budgets=5%", "methods=finetune, kd", "seeds=0, 1")
    record = Comparison.model_validate_json((folder / "comparison.json").read_bytes())
    assert [(network.name, network.budget, network.method, network.seed) for network in record.networks] == [
        ("teacher", "", "", 0),
        ("5% finetune seed 0", "5%", "finetune", 0),
        ("5% kd seed 0", "5%", "kd", 0),
        ("5% finetune seed 1", "5%", "finetune", 1),
        ("5% kd seed 1", "5%", "kd", 1),
    ]
    teacher, *students = record.networks
    # From the teacher of that run: the same cells without preparing and training again, with the same figures.
    again = go("sweep-from-teacher", config, runs, store, f"dataset_uri={full['dataset']}",
               f"teacher_uri={full['teacher']}", "budgets=5%", "methods=finetune", "seeds=0")  # fmt: skip
    given = Comparison.model_validate_json((again / "comparison.json").read_bytes())
    assert [network.name for network in given.networks] == ["teacher", "5% finetune"]
    assert [network.accuracy for network in given.networks] == [teacher.accuracy, students[0].accuracy]
    for student in students:
        assert student.macs <= 0.05 * teacher.macs
        assert student.params <= 0.05 * teacher.params
    # A hundred networks and more pass through one argument of at most 128 KiB, before they are timed.
    passed = [network.model_copy(update={"latency": None}) for network in record.networks]
    assert max(len(network.model_dump_json()) for network in passed) < 750
    page = (folder / "report.html").read_text()
    assert "5% finetune" in page
    assert "Means over 2 seeds" in page
    assert "<script" not in page
    # From a row to its bundle: the budget is that of the run.
    options = " ".join(f"--set {text}" for text in students[1].sets)
    assert f"sarslim rerun {folder.name} --runs {runs}</span> --from distill {options}</pre>" in page


def test_an_unreachable_budget_ends_a_sweep_before_any_training(config, tmp_path, store):
    with pytest.raises(launch.RunFailed) as caught:
        go("sweep", config, tmp_path, store, "budgets=20%, 0.0001%")
    assert caught.value.exit_code == 2
    assert "macs=0.0001% is out of reach" in str(caught.value)
    assert not list(tmp_path.glob("store/sarslim/pipelines/*/train-teacher"))
    assert not list(tmp_path.glob("*/config.yaml"))  # a refused run leaves no folder


def test_baselines_hold_the_student_against_its_twin_and_rivals(full, config, runs, store):
    inputs = ["methods=kd, finetune", "networks=squeezenet1_1", "seeds=0, 1"]
    folder = go("baselines", config, runs, store, *inputs)
    record = Comparison.model_validate_json((folder / "comparison.json").read_bytes())
    assert [network.name for network in record.networks] == [
        "teacher", "5% kd seed 0", "5% finetune seed 0", "5% kd seed 1", "5% finetune seed 1",
        "squeezenet1_1 seed 0", "squeezenet1_1 seed 1",
    ]  # fmt: skip
    costs = {network.method: network.params for network in record.networks}
    assert costs["kd"] == costs["finetune"] < costs["squeezenet1_1"] < costs[""]
