"""The benchmark of speed: what its processes say, and what becomes of it."""

import pytest

from benchmarks.answers import made
from benchmarks.speed import __main__ as page
from benchmarks.speed import answering, copying, distilling, pruning, training


def test_a_figure_is_the_median_of_the_turns():
    found = page.figure("ours / theirs", "1.2", [1.0, 3.0, 1.1])
    assert found == {"figure": "ours / theirs", "ratio": 1.1, "least": 1.0, "most": 3.0, "goal": "1.2"}
    text = page.table({"figures": [found], "command": "c", "commit": "abc", "machine": "m", "load": "load 0.1"})
    assert "| ours / theirs | 1.10 | 1.00 to 3.00 | 1.2 |" in text


def test_every_row_is_ours_over_its_peers():
    kinds = {
        "training": ("ours", "unaveraged", "bare", "loader", "timm"), "waiting": ("ours", "spinning"),
        "distilling": ("ours", "once", "torchdistill"), "pruning": ("ours", "torch-pruning"),
        "answering": ("ours", "decoding", "inference"), "copying": ("ours", "rclone"), "starting": ("ours", "process"),
    }  # fmt: skip
    found = {work: [{"ours": 3.0} | dict.fromkeys(names[1:], 2.0)] for work, names in kinds.items()}
    found["distilling"][0]["once"] = 1.0
    ratios = [row["ratio"] for row in page.figures(found, 100)]
    assert ratios == [1.5, 1.0, 1.5, 1.5, 1.5, 0.5, 1.5, 1.5, 0.75, 1.5, 1.5, 1.5]


def test_so_is_every_row_of_a_gpu():
    kinds = dict.fromkeys(("stepwise", "bare", "compiled", "timm", "twin", "torchdistill"), 2.0)
    kinds |= {"ours": 3.0, "once": 1.0}
    rows = page.figures_of_gpu({"training": [kinds], "distilling": [kinds]})
    assert [row["ratio"] for row in rows] == [1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 0.333]


@pytest.mark.parametrize("kind", ["ours", "unaveraged", "bare", "loader"])
def test_trainings_do_their_work(kind):
    assert training.measure(kind, 32, 32, 4) > 0


@pytest.mark.parametrize("kind", ["ours", "decoding", "inference"])
def test_chips_are_recognised(kind, tmp_path):
    answering.write_bundle(tmp_path / "bundle")
    answering.write_chips(tmp_path / "chips", 9)
    assert answering.measure(kind, tmp_path / "bundle", tmp_path / "chips") > 0


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    folder = tmp_path_factory.mktemp("taught")
    made(folder, None, 96)
    return folder


@pytest.mark.parametrize("kind", ["ours", "once"])
def test_distillations_do_their_work(kind, taught):
    assert distilling.measure(kind, taught) > 0


def test_networks_are_pruned():
    assert pruning.measure("ours") > 0


@pytest.mark.parametrize("kind", ["ours", "rclone"])
def test_chips_are_copied(kind):
    assert copying.measure(kind, 20) > 0
