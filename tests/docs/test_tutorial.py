"""The tutorial is run as a reader runs it, and does what it says."""

import os
import re
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pytest
from PIL import Image

from sarslim.cli.notebook import FinishedRun

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.ipynb"


def test_it_is_stored_without_what_it_printed():
    notebook = nbformat.read(TUTORIAL, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tutorial")


@pytest.fixture(scope="module")
def said(folder) -> dict[str, list[dict]]:
    """What each cell of code gave, by its last line."""
    notebook = nbformat.read(TUTORIAL, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
            patch.setenv(name, str(folder / name.lower()))
        for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.delenv(name, raising=False)
        resources = {"metadata": {"path": str(folder)}}
        nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return {cell.source.splitlines()[-1]: cell.outputs for cell in code}


def text(outputs: list[dict]) -> str:
    return "".join(each.get("text") or each["data"]["text/plain"] for each in outputs)


def test_it_writes_chips_runs_and_shows_the_report(said, folder):
    assert len(list((folder / "chips").rglob("*.png"))) == 540
    assert "[publish] done" in text(said[")"])
    (shown,) = said["run"]
    run = FinishedRun((folder / "runs" / "latest").resolve())
    assert run.verdict in shown["data"]["text/html"]
    assert 'srcdoc="&lt;!doctype html&gt;' in shown["data"]["text/html"]
    assert f'href="runs/{run.folder.name}/report.html"' in shown["data"]["text/html"]
    assert shown["data"]["text/plain"] == repr(run)
    assert re.fullmatch(
        rf"Run\({run.folder.name}, student \d+\.\d %, teacher \d+\.\d %, \d\.\d+ % of the MACs, quality gate passed\)",
        repr(run),
    )
    assert "simulated test chips" in run.verdict
    assert run.summary["student"]["macs"] <= 0.1 * run.summary["teacher"]["macs"]
    assert run.summary["student"]["accuracy"] > 0.7  # a third by chance


def test_its_predictions_are_those_of_the_published_bundle(said, folder):
    run = FinishedRun((folder / "runs" / "latest").resolve())
    bundle = run.bundle
    assert text(said["bundle"]) == repr(bundle)
    files = sorted((folder / "chips" / "unlabelled").iterdir())[:5]
    stack = np.stack([np.asarray(Image.open(file)) for file in files])
    found = list(bundle.predict(stack))
    shares = [f"{each.label}, {100 * each.confidence:.1f} %" for each in found]
    printed = text(said["    print(found)"]).splitlines()
    assert printed == [
        f"Prediction({file.relative_to(folder)}: {share})" for file, share in zip(files, shares, strict=True)
    ]
    assert text(said["list(bundle.predict(stack))"]).endswith(repr(found).replace("), ", "),\n "))
    mixed = text(said["list(bundle.predict([Image.open(files[0]), stack[1], files[2]]))"])
    assert re.findall(r": (\w+, \d+\.\d %)", mixed) == shares[:3]
    assert bundle.session.preprocessing.image_size == 48


def test_its_scores_are_of_chips_that_no_network_has_seen(said, folder):
    run = FinishedRun((folder / "runs" / "latest").resolve())
    scores = run.bundle.evaluate(folder / "other-chips")
    assert scores.chips == 240
    assert scores.accuracy > 0.7
    assert text(said["bundle.evaluate(OTHERS)"]).endswith(repr(scores))
    paired = run.bundle.compare(run.open(int8=True), folder / "other-chips")
    assert text(said["bundle.compare(run.open(int8=True), OTHERS)"]) == repr(paired)
    assert paired.accuracy[0] == scores.accuracy
