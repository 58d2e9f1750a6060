"""Records in, pages out: data card, report, model card and tables for people to read.

Importing this needs no more than pydantic: a page loads its own tools when it is written, because no two stage
images hold the same ones (prepare has no matplotlib, prune has no jinja2).
"""

from sarslim.report.model_card import model_card
from sarslim.report.pages.comparison import comparison_page
from sarslim.report.pages.data import data_card
from sarslim.report.pages.rendering import filled
from sarslim.report.pages.run import run_report
from sarslim.report.pages.runs import runs_index
from sarslim.report.tables import comparison_table, pruning_table
from sarslim.report.words.comparison import achieved, lead, measured_rows
from sarslim.report.words.data import name as data_name
from sarslim.report.words.run import alias_fate, delivered, gate_failures, headline, summary_table, verdict
from sarslim.report.words.runs import runs_table

__all__ = [
    "achieved",
    "alias_fate",
    "comparison_page",
    "comparison_table",
    "data_card",
    "data_name",
    "delivered",
    "drawing",
    "filled",
    "gate_failures",
    "headline",
    "last_screen",
    "lead",
    "measured_rows",
    "model_card",
    "pareto",
    "pruning_table",
    "run_report",
    "runs_index",
    "runs_table",
    "summary_table",
    "terminal",
    "units",
    "verdict",
    "words",
]
