"""Records in, pages out: data card, report, model card and tables for people to read.

Importing this needs no more than pydantic: a page loads its own tools when it is written, because no two stage
images hold the same ones (prepare has no matplotlib, prune has no jinja2).
"""

from sarslim.report.cards import comparison_table, model_card, pruning_table
from sarslim.report.pages import comparison_page, data_card, run_report
from sarslim.report.words import delivered, gate_failures, headline, lead, measured_rows, summary_table, verdict

__all__ = [
    "comparison_page",
    "comparison_table",
    "data_card",
    "delivered",
    "drawing",
    "gate_failures",
    "headline",
    "last_screen",
    "lead",
    "measured_rows",
    "model_card",
    "pareto",
    "pruning_table",
    "run_report",
    "summary_table",
    "terminal",
    "units",
    "verdict",
]
