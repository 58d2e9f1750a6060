"""The console command: one help for all of it, what it ends with, and what it loads."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import pipeline
from sarslim import __version__
from sarslim.cli import options
from sarslim.cli.app import app
from sarslim.config import STAGES
from sarslim.delivery.runtime import Bundle, Prediction
from sarslim.errors import InputError
from sarslim.store.storage import S3Uri

HEAVY = ("torch", "torchvision", "kfp", "onnxruntime", "numpy", "minio")


def call(*arguments: str):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def commands(group=None, way=()):
    """Every command with the words that lead to it."""
    group = group or get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*way, name))
        else:
            yield (*way, name), command


WAYS = [way for way, _ in commands()]


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_every_command_has_a_sentence_options_that_say_what_they_do_and_an_example(way):
    command = dict(commands())[way]
    assert str(command.help).strip().splitlines()[0].endswith(".")
    assert all(parameter.help for parameter in command.params if hasattr(parameter, "help"))
    assert f"  sarslim {' '.join(way)}" in command.epilog
    assert call(*way, "-h").output == call(*way, "--help").output


@pytest.mark.parametrize("way", [(), *WAYS], ids=" ".join)
def test_help_loads_nothing_heavy(way):
    code = f"import sys\nfrom sarslim.cli.app import app\ntry: app({[*way, '-h']!r})\nexcept SystemExit: pass\n"
    code += f"sys.stderr.write(' '.join({{*{HEAVY!r}}} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "Usage: " in done.stdout


def test_names_in_options_are_those_of_the_pipelines_and_stages():
    assert tuple(pipeline.DAGS) == options.PIPELINES
    assert STAGES == options.STAGES


def test_the_version_is_told():
    assert call("--version").output == f"sarslim {__version__}\n"


def test_exit_codes_are_in_the_help():
    text = call("--help").output
    for words in (
        "0    done",
        "1    a service or a stage failed",
        "2    something",
        "3    the gate",
        "130  interrupted",
    ):
        assert words in text


def test_a_mistyped_command_is_answered_with_the_nearest():
    done = call("swep")
    assert done.exit_code == 2
    assert "Did you mean 'sweep'?" in done.output


def test_shell_completion_knows_pipelines_and_ready_configurations():
    completing = {"_SARSLIM_COMPLETE": "complete_bash", "COMP_CWORD": "3", "COMP_WORDS": "sarslim run -p from-t"}
    done = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "sarslim")],
        env={**os.environ, **completing}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["from-teacher"]


def test_without_the_packages_of_pipelines_a_command_says_what_to_install():
    code = "import sys\nsys.modules['kfp'] = None\nfrom sarslim.cli.app import app\napp(['compile'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("input error: this command needs kfp, which is not installed. Install")
    assert len(done.stderr.splitlines()) == 1


def test_a_comparison_has_no_gate(tmp_path):
    done = call("run", "-p", "sweep", "--require-gate", "--runs", tmp_path / "runs")
    assert done.exit_code == 2
    assert "sweep has no gate" in done.output
    assert not (tmp_path / "runs").exists()


def test_a_ready_configuration_goes_by_its_name(tmp_path):
    done = call("run", "-c", "quikc", "--runs", tmp_path)
    assert done.exit_code == 2
    assert "name a ready one: fusar, fusar3, mstar, mstar-scarce, opensarship, quick" in done.output
    done = call("run", "-c", "quick", "-s", "distill.epochz=3", "--runs", tmp_path)
    assert "did you mean distill.epochs?" in done.output


def test_a_table_is_json_where_that_is_asked_for(store):
    store.write(S3Uri.parse("s3://told/models/ships/1/SHA256SUMS"), b"")
    done = call("models", "list", "--at", "s3://told/models", "--json")
    assert json.loads(done.stdout)[0] | {"version": "1", "name": "ships"} == json.loads(done.stdout)[0]


def test_without_credentials_the_store_of_local_runs_is_asked_and_nobody_else(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    model = tmp_path / "store" / "sarslim" / "models" / "ships" / "1"
    model.mkdir(parents=True)
    (model / "SHA256SUMS").write_text("")
    done = call("models", "list", "--runs", tmp_path)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[1].split()[:2] == ["ships", "1"]
    assert not [name for name in os.environ if name.startswith("AWS_")]
    done = call("models", "list", "--runs", tmp_path / "elsewhere")
    assert done.exit_code == 2
    assert "no credentials for an object store, and no store of local runs" in done.output


def test_predictions_that_end_in_a_mistake_leave_no_file(tmp_path, monkeypatch):
    class Endless:
        classes = ("a", "b")

        def predict(self, chips, refuse_outside):
            yield Prediction("one", "a", 0.9, np.array([0.9, 0.1]))
            raise InputError("two", "is no chip", "Leave it out")

    monkeypatch.setattr(Bundle, "open", lambda *_, **__: Endless())
    done = call("predict", "bundle", "chips", "--out", tmp_path / "found.csv")
    assert done.exit_code == 2
    assert not list(tmp_path.iterdir())
