"""The benchmark of speed: what its processes say, and what becomes of it."""

from PIL import Image

from benchmarks import speed


def test_a_figure_is_the_median_of_the_turns():
    found = speed.figure("ours / theirs", "1.2", [1.0, 3.0, 1.1])
    assert found == {"figure": "ours / theirs", "ratio": 1.1, "least": 1.0, "most": 3.0, "goal": "1.2"}
    page = speed.table({"figures": [found], "command": "c", "commit": "abc", "machine": "m", "load": "load 0.1"})
    assert "| ours / theirs | 1.10 | 1.00 to 3.00 | 1.2 |" in page


def test_every_process_does_its_work(tmp_path):
    chips = tmp_path / "chips"
    chips.mkdir()
    for number in range(9):
        Image.new("L", (70, 66), 20 * number).save(chips / f"{number}.jpg")
    speed.write_bundle(tmp_path / "bundle")
    for kind in ("ours", "decoding", "inference"):
        assert speed.seconds(speed.ANSWERING, kind, tmp_path / "bundle", chips) > 0
    assert speed.seconds(speed.TRAINING, "ours", 32, 32, 4) > 0
