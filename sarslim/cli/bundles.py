"""Published networks at work: predictions, scores, comparisons."""

import csv
import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from sarslim.cli.options import BUNDLES, Json, Runs
from sarslim.cli.output import examples, facts, say, show

app = typer.Typer()


class Format(StrEnum):
    """How predictions are written."""

    csv = "csv"
    jsonl = "jsonl"


CHIPS_HELP = "Images, .npy stacks (N, H, W), folders of any depth, OpenSARShip zips; local, or s3:// addresses."
BUNDLE_HELP = "A folder, or s3://bucket/models/NAME/VERSION, NAME@ALIAS or NAME (the alias latest)."
Address = Annotated[str, typer.Argument(metavar="BUNDLE", help=BUNDLE_HELP)]
Labelled = Annotated[
    str,
    typer.Argument(metavar="DATA", help="A dataset artifact (its test part), or labelled raw chips; local or s3://."),
]
Int8 = Annotated[bool, typer.Option("--int8", help="The network in INT8 in place of FP32.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads. 0: one per core that may be used.")]
OURS = Path("runs")


@app.command(
    rich_help_panel=BUNDLES,
    epilog=examples(
        "sarslim predict s3://sarslim/models/sar-ships@latest chips/ > found.csv",
        "sarslim predict BUNDLE stack.npy product.zip --int8 --format jsonl --out found.jsonl",
    ),
)
def predict(
    bundle: Address,
    chips: Annotated[list[str], typer.Argument(metavar="CHIPS...", help=CHIPS_HELP)],
    int8: Int8 = False,
    threads: Threads = 0,
    form: Annotated[Format, typer.Option("--format", help="CSV, or a JSON object a line.")] = Format.csv,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A file in place of the standard output.")] = None,
    refuse_outside: Annotated[
        bool,
        typer.Option("--refuse-outside", help="Stop at a chip that is far outside of what the network was trained on."),
    ] = False,
    runs: Runs = OURS,
) -> None:
    """Name the class of every chip, and tell how far it lies outside of what the network was trained on."""
    answers = sys.stdout
    with redirect_stdout(sys.stderr):  # a download tells of its progress, which is no prediction
        from sarslim.delivery.runtime import Bundle
        from sarslim.store.local_store import reachable

        with reachable([bundle, *chips], runs):
            loaded = Bundle.open(bundle, int8=int8, threads=threads)
            predictions = loaded.predict(chips, refuse_outside=refuse_outside)
            first = next(predictions)  # what is wrong with the chips is told before a line is written
            with _writer(out, answers) as file, _progress() as step:
                writer = csv.writer(file, lineterminator="\n")
                if form is Format.csv:
                    writer.writerow(["chip", "class", "confidence", "outside", *loaded.classes])
                for found in itertools.chain([first], predictions):
                    shares = [round(share, 6) for share in found.probabilities.tolist()]
                    far = None if found.outside is None else round(found.outside.distance, 3)
                    if form is Format.csv:
                        writer.writerow([found.chip, found.label, f"{found.confidence:.6f}", far, *shares])
                    else:
                        row = {"chip": found.chip, "class": found.label, "confidence": round(found.confidence, 6)}
                        row["outside"] = far
                        row["probabilities"] = dict(zip(loaded.classes, shares, strict=True))
                        print(json.dumps(row, ensure_ascii=False), file=file)
                    step()


@app.command(rich_help_panel=BUNDLES, epilog=examples("sarslim evaluate s3://sarslim/models/sar-ships chips/"))
def evaluate(
    bundle: Address,
    data: Labelled,
    int8: Int8 = False,
    threads: Threads = 0,
    runs: Runs = OURS,
    as_json: Json = False,
) -> None:
    """Score a bundle on labelled chips."""
    from sarslim.delivery.runtime import Bundle
    from sarslim.store.local_store import reachable

    with reachable([bundle, data], runs):
        scores = Bundle.open(bundle, int8=int8, threads=threads).evaluate(data)
    if as_json:
        print(scores.model_dump_json(indent=2))
        return
    figures = {
        "accuracy": scores.accuracy, "balanced accuracy": scores.balanced_accuracy, "macro-F1": scores.macro_f1
    }  # fmt: skip
    shares = "  ".join(f"{name} {figure:.2%}" for name, figure in figures.items())
    say(f"{scores.chips} chips of {scores.of_classes}  {shares}")
    if any(not each.chips for each in scores.classes):
        say("balanced accuracy and macro-F1 are means over the classes that the data hold chips of")
    rows = [
        (each.name, str(each.chips), *(f"{share:.2%}" for share in (each.precision, each.recall, each.f1)))
        if each.chips
        else (each.name, "0", "", "", "")
        for each in scores.classes
    ]
    show(("class", "chips", "precision", "recall", "F1"), rows)


@app.command(
    rich_help_panel=BUNDLES,
    epilog=examples("sarslim compare s3://sarslim/models/sar-ships@latest s3://sarslim/models/sar-ships/1.0 chips/"),
)
def compare(
    first: Address,
    second: Address,
    data: Labelled,
    first_int8: Annotated[bool, typer.Option("--first-int8", help="The first one in INT8.")] = False,
    second_int8: Annotated[bool, typer.Option("--second-int8", help="The second one in INT8.")] = False,
    runs: Runs = OURS,
    as_json: Json = False,
) -> None:
    """Compare two bundles chip by chip; the interval takes chips as drawn independently."""
    from sarslim.delivery.runtime import Bundle
    from sarslim.store.local_store import reachable

    with reachable([first, second, data], runs):
        found = Bundle.open(first, int8=first_int8).compare(Bundle.open(second, int8=second_int8), data)
    if as_json:
        print(found.model_dump_json(indent=2))
        return
    figures = {
        "accuracy": found.accuracy, "balanced accuracy": found.balanced_accuracy, "macro-F1": found.macro_f1
    }  # fmt: skip
    shares = "  ".join(f"{name} {one:.2%} and {two:.2%}" for name, (one, two) in figures.items())
    say(f"{found.chips} chips  {shares}")
    say(f"only the first is right {found.only_first} times, only the second {found.only_second} times")
    line = f"difference of accuracy {100 * found.difference:+.2f} points"
    if found.interval is not None:
        low, high = found.interval
        line += f", 95 % interval {100 * low:+.2f} to {100 * high:+.2f}"
        line += ": no clear difference" if low <= 0 <= high else f": the {'first' if low > 0 else 'second'} is better"
    say(line)


@app.command(rich_help_panel=BUNDLES, epilog=examples("sarslim inspect s3://sarslim/models/sar-ships@latest"))
def inspect(bundle: Address, runs: Runs = OURS, as_json: Json = False) -> None:
    """Check a bundle and say what is in it: classes, input, figures, files."""
    from sarslim.delivery.runtime import Bundle
    from sarslim.store.local_store import reachable

    with reachable([bundle], runs):
        loaded = Bundle.open(bundle)
    metrics = loaded.metrics
    if as_json:
        files = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in sorted(loaded.files.items())}
        about = {"version": loaded.version, "classes": loaded.classes, "metrics": metrics.model_dump(mode="json")}
        print(json.dumps(about | {"files": files}, indent=2, ensure_ascii=False))
        return
    chips = "simulated chips" if metrics.simulated else "chips"
    facts(
        {
            "network": f"{metrics.network} student",
            "version": f"{loaded.version}, made by sarslim {metrics.sarslim_version}",
            "classes": ", ".join(loaded.classes),
            "measured on": f"{metrics.test_chips} test {chips} of the data set {metrics.data_digest[:12]}",
            "quality gate": "passed" if metrics.gate_passed else "not passed",
            "preprocessing": loaded.session.metadata["preprocessing"],
        }
    )
    print(f"\n{loaded.session.metadata['description']}\n")
    rows = [
        (name, f"{size:,}", digest[:12], *shares(metrics.files.get(name)))
        for name, (size, digest) in sorted(loaded.files.items())
    ]
    show(("file", "bytes", "SHA-256", "accuracy", "macro-F1"), rows, optional=("macro-F1", "bytes"))


def shares(scores: Any) -> tuple[str, str]:
    """Accuracy and macro-F1 of a file; empty where it has none."""
    return (f"{scores.accuracy:.2%}", f"{scores.macro_f1:.2%}") if scores else ("", "")


def _writer(out: Path | None, answers: Any) -> AbstractContextManager[Any]:
    """Where predictions go; a file appears whole or not at all."""
    from sarslim.chips.dataset import whole_file

    return nullcontext(answers) if out is None else whole_file(out)


@contextmanager
def _progress() -> Iterator[Any]:
    """A line on the standard error that counts chips; nothing where that is not a terminal."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn("chips"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("predict", total=None)
        yield lambda: progress.advance(task)
