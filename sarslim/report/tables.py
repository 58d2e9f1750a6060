"""Markdown tables that the KFP UI shows: networks side by side, and what pruning took away."""

from collections.abc import Callable, Sequence

import sarslim.report.units as units
import sarslim.report.words.comparison as words
import sarslim.report.words.shift as shift
from sarslim.records import Comparison, PruneRecord, Trial
from sarslim.report.markdown import listing, plain, table

SHIFT_RULE = (
    "Accuracy on chips that differ from those of training, mean over seeds; in square brackets the gain in points over "
    "the fine-tuned twin of the same budget, paired by seed."
)


def comparison_table(record: Comparison) -> str:
    """Networks side by side, as Markdown."""
    header, *rows = words.measured_rows(record)
    choice = plain(words.tradeoff(record))
    best = [f"**{choice}.**"] if choice else []
    blocks = ["# Comparison of networks", *best, table(header, rows), listing(words.measured_notes(record))]
    if shifted := words.shifted(record):
        told = [
            (name, *(f"{value} [{gain}]" if gain else value for value, gain in cells)) for name, cells in shifted
        ]  # fmt: skip
        blocks += ["## Under shift", table(shift.compared_header(record), told), SHIFT_RULE]
    return "\n\n".join(blocks) + "\n"


def pruning_table(record: PruneRecord) -> str:
    """What was cut from each layer, and what the network cost and could do before and after."""
    costs = [
        _cost("Parameters", record.params_before, record.params_after, units.count),
        _cost("MACs per chip", record.macs_before, record.macs_after, units.count),
    ]
    if record.latency_ms_before is not None and record.latency_ms_after is not None:
        costs.append(_cost("Latency", record.latency_ms_before, record.latency_ms_after, units.milliseconds))
    layers = [
        (
            f"`{plain(layer.layer)}`",
            str(layer.before),
            str(layer.after),
            units.percent(layer.after / layer.before) if layer.before else "",
        )
        for layer in record.layers
    ]
    return "\n\n".join(
        [
            "# Pruning",
            table(("Cost", "Before", "After", "Kept"), costs),
            f"Validation accuracy right after pruning, before any recovery: "
            f"{units.percent(record.val_accuracy_raw)} as cut, {units.percent(record.val_accuracy_recalibrated)} with "
            f"BatchNorm statistics measured again on training chips. Steps: {record.steps}.",
            *_search(record.search),
            "## Output channels per layer",
            table(("Layer", "Before", "After", "Kept"), layers),
            "",
        ]
    )


def _search(trials: Sequence[Trial]) -> list[str]:
    """What the candidates could do after a short recovery, and which of them was cut."""
    if not trials:
        return []
    best = min(trials, key=lambda trial: trial.val_loss)
    rows = [
        (
            f"{trial.growth:g}",
            units.count(trial.macs),
            units.count(trial.params),
            f"{trial.val_loss:.4f}",
            units.percent(trial.val_accuracy),
            "chosen" if trial is best else "",
        )
        for trial in trials
    ]
    header = ("Growth per stage", "MACs per chip", "Parameters", "Validation loss", "Validation accuracy", "")
    return ["## Candidates after a short recovery", table(header, rows)]


def _cost(name: str, before: float, after: float, show: Callable[[float], str]) -> tuple[str, str, str, str]:
    return name, show(before), show(after), units.percent(after / before)
