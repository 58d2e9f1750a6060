"""What ends a run in the terminal."""

from pathlib import Path

import example_records
import pytest

from sarslim.report import last_screen

IN_USE = [
    "in use  Student in ONNX Runtime, one chip at a time: 0.260 ms; 23.5× faster than the teacher; "
    "2.7× faster than mobilenet_v3_small, untrained",
    "        Student in INT8: 0.180 ms, 25.0 % of the bytes, accuracy 95.5 %, in FP32 95.3 %",
]


def test_a_run_that_passed_says_what_it_achieved_and_what_comes_next(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    last_screen.show_run(
        example_records.config(),
        example_records.dataset(),
        example_records.evaluation(),
        tmp_path / "runs" / "1",
        "s3://models/ships/1",
        75.0,
        embedded=True,
    )
    text = capsys.readouterr().out
    assert "the student recognises 95.3 % of 600 simulated test chips" in " ".join(text.split())
    assert "│ Student" in text
    assert text.splitlines()[-10:] == [
        "gate    passed",
        "warning 2 chips of the test part are also in the training part",
        *IN_USE,
        f"report  {Path('runs/1/report.html')}",
        "bundle  s3://models/ships/1",
        "took    1m15s",
        "next    python pipeline.py store sarslim predict s3://models/ships/1 CHIPS  # the student at work",
        "        python pipeline.py run -p sweep -c runs/latest/config.yaml -i budgets=10%,5%,2%  # several budgets",
        "        make run CONFIG=configs/opensarship.yaml DATA=PATH_OR_S3_URI  # real ships",
    ]


def test_a_run_that_failed_says_by_what_and_what_may_help(capsys, tmp_path):
    last_screen.show_run(
        example_records.config(),
        example_records.dataset(simulated=False, warnings=()),
        example_records.evaluation(passed=False),
        tmp_path / "1",
        None,
        5.0,
        embedded=True,
    )
    assert capsys.readouterr().out.splitlines()[-8:] == [
        "gate    drop from the teacher at most 1.0 points, but it is 1.3 points",
        *IN_USE,
        f"report  {tmp_path / '1' / 'report.html'}",
        "bundle  not published, because the gate did not pass",
        "took    5s",
        f"next    python pipeline.py rerun latest --runs {tmp_path} --from distill --set distill.epochs=80"
        f"  # more recovery",
        f"        python pipeline.py rerun latest --runs {tmp_path} --from prune --set prune.macs=10% "
        f"--set prune.params=10%  # a larger budget",
    ]


@pytest.mark.parametrize(("asked", "offered"), [("60%", "100%"), ("250k", None)])
def test_a_larger_budget_is_offered_where_there_is_one(asked, offered, capsys, tmp_path):
    config = example_records.config()
    config = config.model_copy(update={"prune": config.prune.model_copy(update={"macs": asked, "params": ""})})
    last_screen.show_run(
        config, example_records.dataset(), example_records.evaluation(passed=False), tmp_path, None, 1.0, embedded=True
    )
    text = capsys.readouterr().out
    assert (f"--set prune.macs={offered}" in text) is (offered is not None)
    assert ("a larger budget" in text) is (offered is not None)


def test_a_comparison_names_the_most_accurate(capsys, tmp_path):
    last_screen.show_comparison(example_records.comparison(), tmp_path, 3.0)
    text = capsys.readouterr().out
    assert "9 networks on the same 600 simulated test chips; the most accurate is teacher with 96.7 %." in text
    assert "1% distill" in text
    assert text.splitlines()[-1] == "took    3s"
