"""Configurations: defaults in one place, all problems at once, knobs and options that mean the same."""

import json
from pathlib import Path

import pytest
import yaml

from sarslim.config import STAGES, Budget, EvaluateConfig, PruneConfig, RunConfig, parse
from sarslim.config.cluster import ClusterConfig
from sarslim.config.parameters import KNOBS, field, from_parameters, to_parameters
from sarslim.config.settings import changed, load_cluster, load_config, require_remote_source
from sarslim.errors import InputError

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_ready_configurations_are_valid(file):
    config = load_config(file, "", [])
    assert config == parse(RunConfig, yaml.safe_load(file.read_text()))
    assert from_parameters(to_parameters(config)) == config


def test_the_four_ready_configurations_are_there():
    assert {"quick", "mstar", "opensarship", "fusar"} <= {file.stem for file in CONFIGS.glob("*.yaml")}


@pytest.mark.parametrize(
    ("text", "value", "relative"),
    [("5%", 0.05, True), ("250k", 250e3, False), ("20M", 20e6, False), ("1.5 ms", 1.5, False), ("12", 12, False)],
)
def test_budgets_are_read(text, value, relative):
    assert Budget.parse(text) == Budget(value=value, relative=relative)


def test_a_share_is_of_the_teacher_and_a_number_is_not():
    assert Budget.parse("5%").limit(1000) == 50
    assert Budget.parse("5k").limit(1000) == 5000


@pytest.mark.parametrize("text", ["0", "0%", "101%", "-5%", "five", "5 %%", "nan"])
def test_bad_budgets_are_refused_with_field_and_value(text):
    with pytest.raises(InputError, match=r"prune.macs") as caught:
        parse(RunConfig, {"prune": {"macs": text}})
    assert repr(text) in str(caught.value)
    assert caught.value.exit_code == 2


def test_some_budget_is_needed():
    with pytest.raises(InputError, match="needs a budget"):
        parse(PruneConfig, {"macs": "", "params": ""}, "prune")


def test_a_misspelt_field_names_the_nearest_one():
    with pytest.raises(InputError, match=r"distill.temprature: is not a field \(did you mean distill.temperature\?\)"):
        parse(RunConfig, {"distill": {"temprature": 3}})
    with pytest.raises(InputError, match=r"did you mean prepare.simulator.chips\?"):
        parse(RunConfig, {"prepare": {"simulator": {"chip": 100}}})


def test_all_problems_are_reported_together():
    with pytest.raises(InputError) as caught:
        parse(RunConfig, {"teacher": {"epochs": 0, "network": "resnet81"}, "publish": {"name": "A B"}})
    for name in ("teacher.epochs", "teacher.network", "publish.name", "did you mean resnet18?"):
        assert name in str(caught.value)


@pytest.mark.parametrize("text", ["", "cc-by-nc-4.0", "https://example.org/terms.txt"])
def test_a_licence_of_the_data_is_an_identifier_or_an_address(text):
    assert parse(EvaluateConfig, {"data_license": text}).data_license == text


def test_another_licence_of_the_data_is_refused_with_the_nearest_one():
    with pytest.raises(InputError, match=r"data_license: 'CC-BY-4.0' is not a licence known here \(did you mean cc-"):
        parse(EvaluateConfig, {"data_license": "CC-BY-4.0"})


def test_every_field_is_described():
    for stage in STAGES:
        section = RunConfig.model_fields[stage].annotation
        missing = [name for name, info in section.model_fields.items() if not info.description]
        assert missing in ([], ["simulator"]), stage


def test_parameters_carry_a_configuration_there_and_back():
    values = {
        "prepare": {"simulator": {"chips": 100}, "merge": {"Bulk Carrier": "Cargo"}, "percentiles": [1, 99]},
        "teacher": {"mixup": 0.4, "seed": 3},
        "prune": {"macs": "", "params": "100k", "stage_max_ratio": {"backbone.layer1": 0.5}},
        "publish": {"version": "1.0"},
    }
    config = parse(RunConfig, values)
    parameters = to_parameters(config)
    assert parameters["params_budget"] == "100k"
    assert json.loads(parameters["teacher_options"]) == {"mixup": 0.4, "seed": 3}
    assert from_parameters(parameters) == config


def test_the_defaults_need_no_options():
    parameters = to_parameters(RunConfig())
    assert all(parameters[f"{stage}_options"] == "{}" for stage in STAGES)
    assert all(parameters[knob] == field(paths[0]).default for knob, paths in KNOBS.items())


def test_an_option_overrides_a_knob():
    parameters = to_parameters(RunConfig()) | {"temperature": 2.0, "distill_options": '{"temperature": 7}'}
    assert from_parameters(parameters).distill.temperature == 7


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_options_that_are_no_json_object_are_refused(text):
    with pytest.raises(InputError, match="teacher_options"):
        from_parameters(to_parameters(RunConfig()) | {"teacher_options": text})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"evaluate": {"looks": [-1]}}, "evaluate.looks.0: -1 is not above 0. Write a number above 0."),
        ({"evaluate": {"batch_sizes": [0, -5]}}, "evaluate.batch_sizes.1: -5 is below 1"),
        ({"evaluate": {"rivals": ["resnet9"]}}, "evaluate.rivals.0: 'resnet9' is not a network known here"),
        ({"teacher": {"seed": 99999999999999999999}}, "teacher.seed: 99999999999999999999 is not below 4294967296"),
        ({"prune": {"seed": -1}}, "prune.seed: -1 is below 0"),
        ({"teacher": {"epochs": 10**30}}, "is above 1000000. Write a number at least 1 and at most 1000000."),
        ({"teacher": {"checkpoints": "./ckpt"}}, "teacher.checkpoints: './ckpt' is no s3:// address. Write s3://bucket/path."),
        ({"distill": {"checkpoints": "s3://A/x"}}, "distill.checkpoints: 's3://A/x' names no bucket"),
        ({"publish": {"destination": "s3://My_Models"}}, "publish.destination: 's3://My_Models' names no bucket"),
        ({"publish": {"destination": "s3://sarslim/../x"}}, "'s3://sarslim/../x' has . or .. in its path"),
        ({"publish": {"destination": ""}}, "publish.destination: '' names no place. Write s3://bucket/path."),
        ({"publish": {"name": "Ships"}}, "publish.name: 'Ships' has capital letters. Write ships."),
        ({"publish": {"version": "v 1"}}, "publish.version: 'v 1' is no name here. Write letters, digits, dots"),
        ({"publish": {"version": "aliases"}}, "'aliases' is where aliases are kept. Choose another version."),
        ({"prune": {"latency": "5M"}}, "prune.latency: '5M' is not a time. Write a share such as 20% or milliseconds"),
        ({"prune": {"macs": "5ms"}}, "prune.macs: '5ms' is a time. Write a share such as 5% or a number such as 250k"),
        ({"prune": {"macs": "5"}}, None),
        ({"prune": {"criterion": "l3"}}, "prune.criterion: 'l3' is not known (did you mean l2?). Choose from l1, l2,"),
        ({"prune": {"macs": 250000}}, None),
        ({"prune": {"macs": True}}, "prune.macs: True is not a text"),
        ({"prune": {"macs": 1.1}}, 'prune.macs: 1.1 is not a text. Put it in quotes, as it is meant: "1.1".'),
        ({"teacher": {"epoch": 3}}, "teacher.epoch: is not a field (did you mean teacher.epochs?). Write teacher."),
        ({"prune": {"epochs": 3}}, "prune.epochs: is not a field (did you mean teacher.epochs or distill.epochs?)."),
        ({"techer": {"epochs": 3}}, "techer: is not a section (did you mean teacher?). Write teacher."),
        ({"epochs": 3}, "epochs: is not a section (did you mean teacher.epochs or distill.epochs?)."),
        ({"xyzzy": 3}, "xyzzy: is not a section. Known sections: prepare, teacher, prune, ask, distill, evaluate"),
        ({"teacher": 3}, "teacher: 3 is not a section. Write its fields below it, each with a value."),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_once_with_what_to_write(values, words):
    if words is None:
        parse(RunConfig, values)
        return
    with pytest.raises(InputError) as caught:
        parse(RunConfig, values)
    assert words in str(caught.value).replace(" (write", ". Write")
    assert "Correct the value" not in str(caught.value)


def test_every_problem_carries_its_own_remedy():
    with pytest.raises(InputError) as caught:
        parse(RunConfig, {"teacher": {"epochs": 0, "flip": "maybe"}})
    assert str(caught.value) == (
        "teacher.epochs: 0 is below 1 (write a number at least 1 and at most 1000000); "
        "teacher.flip: 'maybe' is neither true nor false (write true or false). Mend these 2, then run again."
    )


@pytest.mark.parametrize(
    ("text", "share"), [("5", "5%"), ("0.05", "5%"), ("100", "100%"), ("5%", ""), ("5k", ""), ("101", "")]
)
def test_a_bare_number_that_can_only_be_a_share(text, share):
    assert Budget.meant_as_share(text) == share


def test_quantities_of_a_cluster_are_told_with_an_example():
    with pytest.raises(InputError) as caught:
        parse(ClusterConfig, {"teacher": {"memory_limit": "16 GB"}})
    assert str(caught.value) == (
        "teacher.memory_limit: '16 GB' is no quantity of Kubernetes. Write one such as 500m, 2 or 4Gi."
    )


@pytest.mark.parametrize("stage", ["teacher", "prepare", "evaluate"])
def test_one_field_of_a_stage_changes_no_other(stage, tmp_path):
    usual = ClusterConfig().resources(stage)
    wanted = usual.model_copy(update={"cpu_request": "123m"})
    assert load_cluster(None, [f"{stage}.cpu_request=123m"]).resources(stage) == wanted
    file = tmp_path / "cluster.yaml"
    file.write_text(f"{stage}: {{cpu_request: 123m}}\n")
    assert load_cluster(file, []).resources(stage) == wanted
    both = load_cluster(file, [f"{stage}.retries=1"]).resources(stage)
    assert both == wanted.model_copy(update={"retries": 1})


def test_the_second_source_is_a_whole_path_here_and_an_address_on_a_cluster(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(None, "s3://raw/chips", ["prepare.unlabelled_source=more"])
    assert config.prepare.sources == {"source": "s3://raw/chips", "unlabelled_source": str(tmp_path / "more")}
    with pytest.raises(InputError, match=r"unlabelled_source: '.*more' is a path on this machine. Upload the chips"):
        require_remote_source(config)
    other = changed(config, "prepare", ["prepare.unlabelled_source=s3://raw/more"])
    require_remote_source(other)
    assert from_parameters(to_parameters(other)) == other
