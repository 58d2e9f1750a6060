"""The list of all runs on a machine."""

from collections.abc import Sequence

import sarslim.report.words.runs as words
from sarslim.records import RunSummary
from sarslim.report.pages.rendering import render


def runs_index(runs: Sequence[RunSummary]) -> str:
    """Every run in a row, with a link to its report beside the page, in ``ID/report.html``."""
    rows = [
        {
            "run": run,
            "when": words.when(run),
            "data": words.data(run),
            "student": words.student(run),
            "accuracy": words.accuracy(run),
            "verdict": words.verdict(run),
            "size": words.size(run),
        }
        for run in runs
    ]
    return render("runs.html", title="Runs", sections={}, lead=words.lead(runs), rows=rows)
