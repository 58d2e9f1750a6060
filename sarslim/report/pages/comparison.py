"""The page of networks side by side."""

from typing import Any

import sarslim.report.words.comparison as words
from sarslim import __version__
from sarslim.records import Comparison
from sarslim.report.pages.rendering import render
from sarslim.report.words.data import SIMULATED


def comparison_page(record: Comparison) -> str:
    """Networks side by side, a row and a mark for all seeds of one: the table, and accuracy over costs."""
    import sarslim.report.pareto as pareto

    points = []
    for runs in words.grouped(record):
        low, high = words.spread([run.accuracy for run in runs])
        means: dict[str, Any] = {name: words.mean(runs, name) for name in ("accuracy", *pareto.COSTS)}
        # What has a budget was recovered by a method; the teacher and the rivals stand alone.
        series = runs[0].method if runs[0].budget else ""
        points.append(pareto.Point(name=words.group_name(runs), series=series, low=low, high=high, **means))
    return render(
        "comparison.html",
        title="Comparison of networks",
        lead=words.lead(record),
        simulated=SIMULATED if record.networks[0].simulated else "",
        header=words.MEASURED,
        rows=words.measured(record),
        notes=words.measured_notes(record),
        data_digest=record.networks[0].data_digest,
        version=__version__,
        pareto=pareto.figure(points),
        pareto_stacked=pareto.figure(points, stacked=True),
    )
