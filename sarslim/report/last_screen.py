"""What ends a run in the terminal: what was achieved, where it is, and what to do next."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

import sarslim.report.words.comparison as comparison_words
import sarslim.report.words.run as words
from sarslim.config import RunConfig
from sarslim.progress import duration
from sarslim.records import Comparison, DatasetRecord, EvaluateRecord

LINE = 110  # of a table that goes into a file or a pipe


def show_run(
    config: RunConfig,
    dataset: DatasetRecord,
    evaluation: EvaluateRecord,
    folder: Path,
    uri: str | None,
    seconds: float,
    *,
    embedded: bool,
) -> None:
    """Prints the end of a run in ``folder``.

    Args:
        uri: the address of the bundle, if it was published.
        embedded: in the store that is up during runs only.
    """
    _show(words.verdict(dataset, evaluation), words.summary_table(evaluation))
    _show_facts(
        {
            "gate": words.gate_failures(evaluation) or ["passed"],
            "warning": dataset.warnings,
            "in use": words.delivered(evaluation),
            "report": [_readable(folder / "report.html")],
            "bundle": [uri or "not published, because the gate did not pass"],
            "took": [duration(seconds)],
            "next": _next_steps(config, folder.parent, uri, embedded=embedded, simulated=dataset.simulated),
        }
    )


def show_comparison(record: Comparison, folder: Path, seconds: float) -> None:
    """Prints the end of a sweep or a comparison in ``folder``."""
    _show(comparison_words.lead(record), comparison_words.measured_rows(record))
    _show_facts({"report": [_readable(folder / "report.html")], "took": [duration(seconds)]})


def _show(sentence: str, rows: Sequence[Sequence[str]]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=LINE)
    table = Table()
    for number, name in enumerate(rows[0]):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows[1:]:
        table.add_row(*row)
    console.print()
    console.print(Text(sentence, style="bold"))
    console.print()
    console.print(table)


def _show_facts(facts: Mapping[str, Sequence[str]]) -> None:
    """The lines of each fact below each other. A terminal may wrap them but nobody cuts them: they are copied."""
    for name, lines in facts.items():
        for number, line in enumerate(lines):
            print(f"{'' if number else name:<8}{line}")


def _readable(path: Path) -> str:
    """A path as one would type it here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _next_steps(config: RunConfig, runs: Path, uri: str | None, *, embedded: bool, simulated: bool) -> list[str]:
    """Commands that go on from here, each with what it is good for."""
    option = "" if runs == Path("runs").resolve() else f" --runs {_readable(runs)}"
    again = f"python pipeline.py rerun latest{option} --from"
    if uri:
        settings = _readable(runs / "latest" / "config.yaml")
        store = f"python pipeline.py store{option} " if embedded else ""
        steps = [f"{store}sarslim predict {uri} CHIPS  # the student at work"]
        steps += [f"python pipeline.py run{option} -p sweep -c {settings} -i budgets=10%,5%,2%  # several budgets"]
    else:
        steps = [f"{again} distill --set distill.epochs={2 * config.distill.epochs}  # more recovery"]
        shares = {name: budget.value for name, budget in config.prune.budgets.items() if budget.relative}
        if shares:
            larger = " ".join(f"--set prune.{name}={min(200 * share, 100):g}%" for name, share in shares.items())
            steps.append(f"{again} prune {larger}  # a larger budget")
    if simulated:
        steps.append("make run CONFIG=configs/opensarship.yaml DATA=PATH_OR_S3_URI  # real ships")
    return steps
