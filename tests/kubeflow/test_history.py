"""What is known of the runs on this machine, from the files that they leave."""

import json
import subprocess
import sys
from pathlib import Path

import example_records
import pytest
import yaml

from sarslim.config import RunConfig
from sarslim.kubeflow.local import history
from sarslim.records import BundleRecord, RunEntry
from sarslim.stages.results import summary, write_json


def begin(folder: Path, **sections: dict) -> Path:
    """The folder of a run with its configuration."""
    folder.mkdir(parents=True)
    config = RunConfig.model_validate(sections)
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    return folder


def finish(folder: Path, *, simulated: bool, data_name: str) -> None:
    """The summary of a run as the launcher writes it."""
    bundle = BundleRecord(
        sarslim_version="0", network="resnet34", simulated=simulated, data_digest="c0ffee", test_chips=600,
        gate_passed=True, files={},
    )  # fmt: skip
    found = summary(
        example_records.evaluation(),
        config=RunConfig(),
        data_name=data_name,
        bundle=bundle,
        bundle_uri="s3://models/ships/1",
        versions={},
        seconds={},
        cached=[],
    )
    write_json(folder / "summary.json", found)


def test_a_run_that_finished_tells_what_it_achieved(tmp_path):
    folder = begin(tmp_path / "20260128-120000", prepare={"source": "s3://raw/chips"})
    with history.noted(folder, "from-dataset"):
        finish(folder, simulated=False, data_name="MSTAR")
        (folder / "report.html").write_text("a page")
    (run,) = history.runs_in(tmp_path)
    student, teacher = example_records.evaluation().student, example_records.evaluation().teacher
    assert (run.id, run.pipeline, run.state, run.message, run.report) == (
        "20260128-120000", "from-dataset", "finished", "", True,
    )  # fmt: skip
    # Of the results, not of the configuration: the data came from another run.
    assert (run.data, run.simulated, run.network) == ("MSTAR", False, "resnet34")
    assert (run.teacher_accuracy, run.student_accuracy) == (teacher.accuracy, student.accuracy)
    assert run.macs_share == pytest.approx(7.15 / 148)
    assert (run.params, run.bytes, run.gate_passed, run.bundle_uri) == (
        541_000, 2_210_000, True, "s3://models/ships/1",
    )  # fmt: skip


def test_a_comparison_tells_of_its_best_tradeoff(tmp_path):
    folder = begin(tmp_path / "20260128-120000", evaluate={"data_name": "my ships"})
    with history.noted(folder, "sweep"):
        write_json(folder / "comparison.json", example_records.comparison())
    (run,) = history.runs_in(tmp_path)
    assert (run.pipeline, run.state, run.data, run.simulated) == ("sweep", "finished", "my ships", True)
    assert (run.student, run.networks, run.gate_passed) == ("10% distill", 9, None)
    assert run.student_accuracy == pytest.approx(0.9504)
    assert run.macs_share == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (
            RuntimeError("stage teacher failed: no memory\nThe whole log: x"),
            "failed",
            "stage teacher failed: no memory",
        ),
        (ValueError(), "failed", "ValueError"),
        (KeyboardInterrupt(), "unfinished", "interrupted"),
    ],
)
def test_a_run_that_ended_early_is_shown_with_its_reason(tmp_path, error, state, message):
    folder = begin(tmp_path / "20260128-120000")

    def go() -> None:
        with history.noted(folder, "compress"):
            assert history.runs_in(tmp_path)[0].message == "goes on, or was killed"
            raise error

    with pytest.raises(type(error)):
        go()
    (run,) = history.runs_in(tmp_path)
    assert (run.state, run.message, run.student_accuracy, run.report) == (state, message, None, False)
    assert (run.data, run.simulated) == ("simulated SAR ship chips", True)


def test_what_an_unfinished_run_got_from_another_is_not_guessed(tmp_path):
    write_json(
        begin(tmp_path / "1") / "run.json", RunEntry(pipeline="from-teacher", started="2026-01-28T12:00:00+00:00")
    )
    (run,) = history.runs_in(tmp_path)
    assert (run.data, run.simulated) == ("data of an earlier run", False)


def test_a_run_whose_folder_went_leaves_no_trace(tmp_path):
    folder = begin(tmp_path / "1")
    with history.noted(folder, "compress"):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    assert list(tmp_path.iterdir()) == []


def test_the_latest_run_comes_first_and_other_folders_are_none(tmp_path):
    for name in ("20260128-120000", "20260127-090000", "20260128-120001"):
        begin(tmp_path / name)  # as before there was a run.json
    finish(tmp_path / "20260127-090000", simulated=True, data_name="x")
    (tmp_path / "cache").mkdir()
    (tmp_path / "store" / "sarslim").mkdir(parents=True)
    (tmp_path / "latest").symlink_to("20260128-120001")
    found = history.runs_in(tmp_path)
    assert [run.id for run in found] == ["20260128-120001", "20260128-120000", "20260127-090000"]
    assert [run.state for run in found] == ["unfinished", "unfinished", "finished"]
    assert [run.started[:16] for run in found] == ["2026-01-28T12:00", "2026-01-28T12:00", "2026-01-27T09:00"]
    assert history.runs_in(tmp_path / "nothing") == []


@pytest.mark.parametrize("file", ["summary.json", "run.json", "config.yaml", "comparison.json"])
@pytest.mark.parametrize("content", [b"", b"[1", b"[1]", b'{"teacher": {}}', b"\xff\xfe"])
def test_a_damaged_file_hides_no_run(tmp_path, file, content):
    folder = begin(tmp_path / "20260128-120000")
    (folder / file).write_bytes(content)
    (run,) = history.runs_in(tmp_path)
    assert (run.id, run.student_accuracy) == ("20260128-120000", None)


def test_summaries_of_older_versions_are_read(tmp_path):
    folder = begin(tmp_path / "20260128-120000")
    finish(folder, simulated=False, data_name="MSTAR")
    old = json.loads((folder / "summary.json").read_text())
    del old["data"], old["network"]
    (folder / "summary.json").write_text(json.dumps(old))
    (run,) = history.runs_in(tmp_path)
    assert (run.network, run.data, run.gate_passed) == ("resnet18", "simulated SAR ship chips", True)


def test_listing_runs_needs_neither_kfp_nor_torch():
    loaded = "str({'kfp', 'torch', 'scipy', 'jinja2'} & set(sys.modules))"
    code = f"import sys, sarslim.kubeflow.local.history; sys.exit({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "set()"
