"""The list of runs as a page."""

import example_records
from page import Page

from sarslim import report


def test_every_run_has_a_row_with_what_it_achieved():
    page = Page(report.runs_index(example_records.runs()))
    text = page.text.replace("\u00a0", " ")
    assert "5 runs: 3 finished, 1 failed, 1 unfinished." in text
    for row in (
        "20260128-110000 compress, 2026-01-28 11:00 MSTAR <10> MSTAR <10> resnet18 4.8 % of the MACs 96.7 % 95.3 % "
        "−1.3 points 2.21 MB ✓ passed",
        "20260128-120000 compress, 2026-01-28 12:00 my chips, simulated my chips, simulated resnet18 4.8 % of the MACs "
        "96.7 % 95.3 % −1.3 points 2.21 MB ✗ not passed",
        "20260128-130000 sweep, 2026-01-28 13:00 MSTAR <10> MSTAR <10> 10% distill 4.8 % of the MACs, the best "
        "trade-off of 9 96.7 % 95.3 % −1.3 points 2.21 MB no gate",
    ):
        assert row in text, row
    assert "long'. Give an existing path. failed" in text
    assert "MSTAR <10> resnet18 unfinished" in text
    assert [link["href"] for link in page.all("a")] == [
        f"20260128-1{hour}0000/report.html" for hour in (3, 2, 1)
    ]  # what failed has no report


def test_the_list_needs_nothing_but_itself():
    text = report.runs_index(example_records.runs())
    page = Page(text)
    assert "http" not in text
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.elements}
    assert "<10>" not in text


def test_a_folder_without_runs_says_so():
    assert "No run yet." in Page(report.runs_index([])).text


def test_a_terminal_gets_a_row_per_run():
    header, *rows = report.runs_table(example_records.runs())
    assert header == ("Run", "When", "Data", "Student", "Accuracy", "Gate", "Size")
    assert rows[0] == ("20260128-150000", "2026-01-28 15:00", "MSTAR <10>", "resnet18", "", "unfinished", "")
    assert rows[2][3:] == ("10% distill", "95.3 %", "no gate", "2.21 MB")
    assert rows[3] == (
        "20260128-120000", "2026-01-28 12:00", "my chips, simulated", "resnet18", "95.3 %", "not passed", "2.21 MB",
    )  # fmt: skip
