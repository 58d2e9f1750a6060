"""``sarslim.run``: what it takes, what it refuses as exceptions, and what it gives back. A whole run: the tutorial."""

import json
import subprocess
import sys
from pathlib import Path

import example_records
import pytest

import sarslim
from sarslim import report
from sarslim.cli import options
from sarslim.cli.notebook import FinishedRun, as_told, configured
from sarslim.cli.output import INSTALL
from sarslim.config import RunConfig, TeacherConfig
from sarslim.errors import InputError, ServiceError
from sarslim.kubeflow.local.launch import RunFailed
from sarslim.records import BundleRecord
from sarslim.stages import results

ROOT = Path(__file__).parents[2]
READY = options.CONFIGS


def test_a_configuration_is_a_file_a_name_a_mapping_or_itself(tmp_path, monkeypatch):
    quick = configured(READY / "quick.yaml", "", {})
    assert quick.teacher.epochs == 8
    assert configured("quick", "", {}) == configured(str(READY / "quick.yaml"), "", {}) == quick
    assert configured(quick, "", {}) == quick
    assert configured(None, "", {}) == RunConfig()
    given = {"prepare": {"image_size": 48, "simulator": {"chips": 2400}}, "teacher.epochs": 8, "teacher.mixup": 0}
    given |= {"distill": {"epochs": 12}, "evaluate": {"latency_seconds": 0.5}, "publish": {"name": "simulated-ships"}}
    assert configured(given, "", {}) == quick
    assert set(given) == {"prepare", "teacher.epochs", "teacher.mixup", "distill", "evaluate", "publish"}  # left alone
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick").write_text("teacher: {epochs: 3}")  # a file that is there comes before a name
    assert configured("quick", "", {}).teacher.epochs == 3


def test_data_and_fields_go_over_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fields = {"prepare": {"simulator": {"classes": 3}}, "distill.epochs": 5, "prune": {"macs": "2%"}}
    fields["prepare.merge"] = {"sloop": "yacht"}
    found = configured("quick", Path("chips"), fields)
    assert found.prepare.source == str(tmp_path / "chips")
    assert (found.prepare.image_size, found.prepare.simulator.chips, found.prepare.simulator.classes) == (48, 2400, 3)
    assert found.prepare.merge == {"sloop": "yacht"}
    assert (found.distill.epochs, found.prune.macs, found.teacher.epochs) == (5, "2%", 8)
    assert configured(found, "", {"prepare.merge": {}}).prepare.merge == {}  # replaced, not merged
    assert configured("quick", "s3://raw/chips", {}).prepare.source == "s3://raw/chips"
    assert configured("quick", "", {"teacher": TeacherConfig(epochs=2)}).teacher.epochs == 2


@pytest.mark.parametrize(
    ("arguments", "fields", "words"),
    [
        (["quik"], {}, r"config: 'quik' is not known \(did you mean quick\?\). Choose from fusar, "),
        (["no/such.yaml"], {}, "there is no file no/such.yaml"),
        (["quick"], {"distil": {"epochs": 3}}, r"distil: is not a section \(did you mean distill\?\)"),
        (["quick"], {"distill": {"epoch": 3}}, r"distill.epoch: is not a field \(did you mean distill.epochs\?\)"),
        (["quick"], {"distill.epochs": 0, "teacher.network": "resnet19"}, "(?s)did you mean resnet18.*distill.epochs"),
        (["quick"], {"epochs": 3}, "epochs: is not a section"),
        (["quick"], {"budgets": "5%"}, "budgets: is not a section"),
        (["quick"], {"pipeline": "swep"}, r"pipeline: 'swep' is not known \(did you mean sweep\?\)"),
        (["quick"], {"pipeline": "from-teacher"}, "dataset_uri is missing"),
    ],
)
def test_a_mistake_is_an_exception_before_anything_is_written(arguments, fields, words, tmp_path):
    with pytest.raises(InputError, match=words):
        sarslim.run(*arguments, runs=tmp_path / "runs", **fields)
    assert not (tmp_path / "runs").exists()


def test_what_a_stage_refuses_is_the_same_exception_in_one_line(tmp_path, capsys):
    with pytest.raises(InputError) as caught:
        sarslim.run("quick", data=tmp_path / "nowhere", runs=tmp_path / "runs", pipeline="sweep", budgets=["5%", "2%"])
    error = caught.value
    assert str(error) == f"{error.where}: {error.problem}. {error.remedy}."
    assert (error.where, error.problem) == ("prepare.source", f"there is nothing at '{tmp_path / 'nowhere'}'")
    assert "input error" not in str(error)
    assert error.__suppress_context__
    assert "[check] FAILED" in capsys.readouterr().out
    assert not list((tmp_path / "runs").glob("2*"))


def test_lines_of_stages_become_errors_again():
    mistake = InputError("s3://box/a: b", "is 3. No more", "Try. Again")
    told = as_told(RunFailed(f"input error: {mistake}", 2))
    assert (type(told), str(told)) == (InputError, str(mistake))
    outside = ServiceError("s3://box", "cannot be reached", "Check the store")
    told = as_told(RunFailed(f"service error: {outside}", 1))
    assert (type(told), told.where, told.remedy) == (ServiceError, outside.where, outside.remedy)
    broken = RunFailed("stage teacher failed: killed\nThe whole log: runs/1/logs/teacher.log", 1)
    assert as_told(broken) is broken


def test_without_kfp_it_says_what_to_install(tmp_path):
    code = "import sys\nsys.modules['kfp'] = None\nimport sarslim\ntry:\n    sarslim.run('quick')\n"
    code += "except sarslim.InputError as error:\n    print(error)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"sarslim.run: kfp is not installed. {INSTALL}.\n"


def test_a_run_that_failed_its_gate_says_so(tmp_path, monkeypatch):
    story = example_records.story(passed=False)
    folder = tmp_path / "runs" / "20260101-120000"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text(report.run_report(**story))
    found = results.summary(
        story["evaluation"],
        config=story["config"],
        data_name="simulated ships",
        bundle=BundleRecord(
            sarslim_version="0.1.0",
            network="resnet18",
            simulated=True,
            data_digest="d",
            test_chips=600,
            gate_passed=False,
            files={},
        ),
        bundle_uri=None,
        versions={},
        seconds={},
        cached=[],
    )
    verdict = report.verdict(story["dataset"], story["evaluation"])
    results.write_json(folder / "summary.json", {"verdict": verdict, **found})
    run = FinishedRun(folder)
    assert repr(run).startswith("Run(20260101-120000, student ")
    assert repr(run).endswith("quality gate NOT passed)")
    with pytest.raises(InputError, match="published no bundle: the student did not pass the gate"):
        _ = run.bundle
    monkeypatch.chdir(tmp_path)
    shown = run._repr_html_()
    assert run.verdict == verdict
    assert f"<strong>{verdict}</strong>" in shown
    assert 'href="runs/20260101-120000/report.html"' in shown
    assert "&lt;base href=&quot;about:srcdoc&quot;&gt;" in shown
    monkeypatch.chdir(folder / "..")
    assert 'href="20260101-120000/report.html"' in run._repr_html_()
    monkeypatch.setattr("sarslim.cli.notebook.INLINE", 1000)
    assert "iframe" not in run._repr_html_()


def test_a_comparison_has_its_leader_as_verdict(tmp_path):
    record = example_records.comparison()
    (tmp_path / "comparison.json").write_text(record.model_dump_json())
    run = FinishedRun(tmp_path)
    assert run.verdict == report.lead(record)
    assert repr(run) == f"Run({tmp_path.name}, {len(record.networks)} networks compared)"
    assert json.loads(record.model_dump_json()) == run.summary
    with pytest.raises(InputError, match="published no bundle: it compared networks"):
        run.open()
