"""The stages as components of a pipeline that is not ours."""

import json

import pytest
import yaml
from kfp import compiler, components, dsl
from typer.testing import CliRunner

from components.alone import COMPONENTS
from sarslim.cli.app import app
from sarslim.kubeflow.local import launch


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("components")
    launch.compile_all(COMPONENTS, folder)
    return folder


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_can_be_loaded_and_says_what_goes_in_and_comes_out(name, files):
    text = (files / f"{name}.yaml").read_text()
    assert text.isascii()
    assert components.load_component_from_file(str(files / f"{name}.yaml")).name == name
    (component,) = yaml.safe_load(text)["components"].values()
    for side in ("inputDefinitions", "outputDefinitions"):
        for kind in ("parameters", "artifacts"):
            for what, defined in component.get(side, {}).get(kind, {}).items():
                assert defined.get("description"), f"{name}: {what} is not described"
    assert yaml.safe_load(text)["pipelineInfo"]["name"] == name
    assert component["inputDefinitions"]


def test_three_of_them_make_a_pipeline_that_is_not_ours(files, tmp_path):
    prepare, train, prune = (
        components.load_component_from_file(str(files / f"{name}.yaml"))
        for name in ("prepare-data", "train-teacher", "prune-student")
    )
    chips = {"image_size": 32, "simulator": {"chips": 200, "classes": 2}}

    @dsl.pipeline(name="someone-elses")
    def foreign(teacher: str = "{}") -> dsl.Model:
        made = prepare(config=json.dumps(chips))
        trained = train(config=teacher, dataset=made.outputs["dataset"])
        cut = prune(config="{}", dataset=made.outputs["dataset"], teacher=trained.outputs["teacher"])
        return cut.outputs["pruned"]

    compiler.Compiler().compile(foreign, str(tmp_path / "foreign.yaml"))
    tasks = yaml.safe_load((tmp_path / "foreign.yaml").read_text())["root"]["dag"]["tasks"]
    assert {name: set(task.get("dependentTasks", ())) for name, task in tasks.items()} == {
        "prepare-data": set(), "train-teacher": {"prepare-data"}, "prune-student": {"prepare-data", "train-teacher"},
    }  # fmt: skip


def test_compiling_writes_them_beside_the_pipelines(tmp_path):
    assert CliRunner().invoke(app, ["compile", "--out", str(tmp_path)]).exit_code == 0
    assert {file.stem for file in (tmp_path / "components").glob("*.yaml")} == set(COMPONENTS)
    assert (tmp_path / "compress.yaml").is_file()
