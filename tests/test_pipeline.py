"""The compiled DAG: its tasks, its wiring, its parameters and what is cached."""

import inspect
import re

import pytest
import yaml

import pipeline
from components import images
from sarslim import launch, sources
from sarslim.config import RunConfig
from sarslim.parameters import KNOBS, to_parameters

WIRING = {
    "check-inputs": set(),
    "prepare-data": {"check-inputs"},
    "train-teacher": {"check-inputs", "prepare-data"},
    "prune-student": {"check-inputs", "prepare-data", "train-teacher"},
    "distill-student": {"check-inputs", "prepare-data", "train-teacher", "prune-student"},
    "evaluate-student": {"check-inputs", "prepare-data", "train-teacher", "prune-student", "distill-student"},
    "condition-1": {"check-inputs", "evaluate-student"},
}


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    out = tmp_path_factory.mktemp("yaml")
    launch.compile_all(pipeline.PIPELINES, out)
    return yaml.safe_load((out / "compress.yaml").read_text())


def test_tasks_are_wired_by_what_they_need(spec):
    tasks = spec["root"]["dag"]["tasks"]
    assert {name: set(task.get("dependentTasks", ())) for name, task in tasks.items()} == WIRING
    inside = spec["components"]["comp-condition-1"]["dag"]["tasks"]
    assert set(inside) == {"publish-bundle"}
    assert tasks["condition-1"]["triggerPolicy"]["condition"].endswith("== true")


def test_all_tasks_but_the_check_are_cached(spec):
    tasks = spec["root"]["dag"]["tasks"]
    cached = {name for name, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")}
    assert cached == set(WIRING) - {"check-inputs", "condition-1"}


def test_parameters_have_the_defaults_of_their_models_and_a_description(spec):
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    defaults = {name: parameter.get("defaultValue") for name, parameter in parameters.items()}
    assert defaults == to_parameters(RunConfig())
    assert all(parameter["description"] for parameter in parameters.values())
    assert set(KNOBS) < set(parameters)


def test_every_task_has_a_name_for_people(spec):
    tasks = spec["root"]["dag"]["tasks"]
    names = {task["taskInfo"]["name"] for name, task in tasks.items() if name != "condition-1"}
    assert names == {
        "Check inputs", "Prepare chips", "Train teacher", "Prune", "Distil with self-reflection", "Evaluate",
    }  # fmt: skip


def test_the_check_takes_every_parameter_of_the_pipeline():
    assert list(inspect.signature(pipeline.check_inputs.python_func).parameters) == list(
        inspect.signature(pipeline.compress.pipeline_func).parameters
    )


def test_images_are_tagged_by_the_sources_of_their_stage(monkeypatch):
    assert re.fullmatch(r"sarslim/python-prepare:[0-9a-f]{16}", images.image("prepare"))
    monkeypatch.setenv("SARSLIM_REGISTRY", "registry.example/team/")
    assert images.image("publish").startswith("registry.example/team/python-publish:")


def test_the_sources_of_a_stage_are_what_it_imports():
    def names(stage):
        return {path.relative_to(sources.PACKAGE).as_posix() for path in sources.closure(images.MODULES[stage])}

    assert {"stages/prepare.py", "chips/simulator.py", "report/templates/data_card.html"} <= names("prepare")
    assert not {"training/loop.py", "networks.py", "distillation.py"} & names("prepare")
    assert "distillation.py" in names("distill")
    assert "distillation.py" not in names("teacher")
    assert {"stages/publish.py", "storage.py"} <= names("publish")
    assert "networks.py" not in names("publish")


def test_an_edit_changes_the_digest_of_the_stages_it_reaches(tmp_path, monkeypatch):
    import shutil

    shutil.copytree(sources.PACKAGE, tmp_path / "sarslim")
    monkeypatch.setattr(sources, "PACKAGE", tmp_path / "sarslim")
    before = {stage: sources.digest(module) for stage, module in images.MODULES.items()}
    with (tmp_path / "sarslim" / "distillation.py").open("a") as file:
        file.write("# edited\n")
    after = {stage: sources.digest(module) for stage, module in images.MODULES.items()}
    assert {stage for stage in before if before[stage] != after[stage]} == {"distill"}
