"""What ends a run in the terminal: what was achieved, where it is, and what to do next."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import sarslim.report.words.comparison as comparison_words
import sarslim.report.words.run as words
from sarslim.config import RunConfig
from sarslim.progress import duration
from sarslim.records import AliasDecision, AskRecord, Comparison, DatasetRecord, EvaluateRecord
from sarslim.report.terminal import command, readable, say, show_facts, show_steps, show_table

LEAST_NEEDED = ("Balanced accuracy", "Macro-F1", "File", "Latency", "MACs")


def show_run(
    config: RunConfig,
    dataset: DatasetRecord,
    evaluation: EvaluateRecord,
    folder: Path,
    uri: str | None,
    seconds: float,
    alias: AliasDecision | None = None,
    answers: AskRecord | None = None,
) -> None:
    """Prints the end of a run in ``folder``.

    Args:
        uri: the address of the bundle, if it was published.
        alias: what became of it then.
        answers: what the teacher said before the distillation, if that took it.
    """
    _show(words.verdict(dataset, evaluation), words.summary_table(evaluation))
    show_facts(
        {
            "gate": words.gate_failures(evaluation) or ["passed"],
            "warning": words.data_warnings(dataset, evaluation),
            "in use": words.delivered(evaluation),
            "answers": [words.answers(answers)] if answers else [],
            "report": readable(folder / "report.html"),
            "bundle": uri or "not published, because the gate did not pass",
            "alias": [words.alias_fate(alias)] if alias else [],
            "took": duration(seconds),
        }
    )
    print()
    show_steps(_next_steps(config, folder.parent, uri, simulated=dataset.simulated))


def show_comparison(record: Comparison, folder: Path, seconds: float) -> None:
    """Prints the end of a sweep or a comparison in ``folder``."""
    _show(comparison_words.lead(record), comparison_words.measured_rows(record))
    show_facts({"report": readable(folder / "report.html"), "took": duration(seconds)})


def _show(sentence: str, rows: Sequence[Sequence[str]]) -> None:
    print()
    say(sentence)
    print()
    show_table(rows[0], rows[1:], optional=LEAST_NEEDED)
    print()


def _next_steps(config: RunConfig, runs: Path, uri: str | None, *, simulated: bool) -> dict[str, str]:
    """Commands that go on from here, by what each is good for."""
    sarslim = command()
    option = "" if runs == Path("runs").resolve() else f" --runs {shlex.quote(readable(runs))}"
    steps = {}
    if uri:
        settings = shlex.quote(readable(runs / "latest" / "config.yaml"))
        chips = "ships" if simulated else shlex.quote(config.prepare.source)
        simulate = f"{sarslim} data simulate ships && " if simulated else ""
        steps["the student at work"] = f"{simulate}{sarslim} predict {uri} {chips}{option} --out found.csv"
        steps["other budgets"] = f"{sarslim} sweep -c {settings}{option} --budgets 10%,5%,2%"
    else:
        again = f"{sarslim} rerun latest{option} --from"
        steps["more recovery"] = f"{again} distill --set distill.epochs={2 * config.distill.epochs}"
        shares = {name: budget.value for name, budget in config.prune.budgets.items() if budget.relative}
        if shares:
            larger = " ".join(f"--set prune.{name}={min(200 * share, 100):g}%" for name, share in shares.items())
            steps["a larger budget"] = f"{again} prune {larger}"
    if simulated:
        steps["your own chips"] = f"{sarslim} data inspect --help"
    return steps
