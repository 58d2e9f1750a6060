"""Configurations: defaults in one place, all problems at once, knobs and options that mean the same."""

import json
from pathlib import Path

import pytest
import yaml

from sarslim.config import STAGES, Budget, PruneConfig, RunConfig, parse
from sarslim.config.parameters import KNOBS, field, from_parameters, to_parameters
from sarslim.errors import InputError

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_ready_configurations_are_valid(file):
    config = parse(RunConfig, yaml.safe_load(file.read_text()))
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
    with pytest.raises(InputError, match=r"distill.temprature is not a field \(did you mean temperature\?\)"):
        parse(RunConfig, {"distill": {"temprature": 3}})
    with pytest.raises(InputError, match=r"did you mean chips\?"):
        parse(RunConfig, {"prepare": {"simulator": {"chip": 100}}})


def test_all_problems_are_reported_together():
    with pytest.raises(InputError) as caught:
        parse(RunConfig, {"teacher": {"epochs": 0, "network": "resnet81"}, "publish": {"name": "A B"}})
    for name in ("teacher.epochs", "teacher.network", "publish.name", "did you mean resnet18?"):
        assert name in str(caught.value)


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
