"""The page of networks side by side."""

from typing import Any

import sarslim.report.words.comparison as words
import sarslim.report.words.shift as shift
from sarslim import __version__
from sarslim.records import UNKNOWN, Comparison, Origin
from sarslim.report.pages.rendering import render
from sarslim.report.words.data import SIMULATED
from sarslim.report.words.text import moment

SECTIONS = {
    "networks": "Accuracy and costs",
    "shift": "Under shift",
    "figure": "Accuracy over costs",
    "bundles": "From a row to its bundle",
    "reproduce": "Reproduce",
}


def comparison_page(record: Comparison, origin: Origin = UNKNOWN) -> str:
    """Networks side by side, a row and a mark for all seeds of one: the table, and accuracy over costs.

    Args:
        origin: of which run this is; run and the command that goes on from it can be told later by
            :func:`sarslim.report.filled`.
    """
    # The stages that write tables only have no matplotlib.
    import sarslim.report.pareto as pareto

    chosen = words.best_tradeoff(record)
    points = []
    for runs in words.grouped(record):
        low, high = words.spread([run.accuracy for run in runs])
        means: dict[str, Any] = {name: words.mean(runs, name) for name in ("accuracy", *pareto.COSTS)}
        points.append(
            pareto.Point(
                name=words.group_name(runs),
                # What has a budget was recovered by a method; the teacher and the rivals stand alone.
                series=runs[0].method if runs[0].budget else "",
                low=low,
                high=high,
                chosen=runs == chosen,
                **means,
            )
        )
    makings = words.makings(record, remote=bool(origin.address))
    seeds = dict.fromkeys(network.seed for network in record.networks if network.budget)
    return render(
        "comparison.html",
        title="Comparison of networks",
        sections={key: text for key, text in SECTIONS.items() if key != "shift" or record.networks[0].shifted},
        about=[
            ("Run", origin.run or "not told", "run"),
            ("Compared", moment(origin.time) if origin.time else "not told", ""),
        ],
        lead=words.lead(record),
        choice=words.tradeoff(record),
        chosen=words.group_name(chosen) if chosen else "",
        simulated=SIMULATED if record.networks[0].simulated else "",
        header=words.MEASURED,
        rows=words.measured(record),
        notes=words.measured_notes(record),
        shift_header=shift.compared_header(record),
        shift_rows=words.shifted(record),
        rerun=f"sarslim rerun {origin.run or 'RUN'}{' --host URL' if origin.address else ''}",
        makings=makings,
        anchors={name: f"bundle-{number}" for number, (name, _) in enumerate(makings, 1)},
        seeds=", ".join(map(str, seeds)),
        data_digest=record.networks[0].data_digest,
        version=__version__,
        pareto=pareto.figure(points),
        pareto_stacked=pareto.figure(points, stacked=True),
    )
