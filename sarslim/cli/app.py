"""The command ``sarslim``: published networks at work, and which version is in use."""

import csv
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from sarslim.config import PublishConfig
from sarslim.delivery.registry import ONNX, Models
from sarslim.delivery.runtime import Bundle
from sarslim.errors import InputError
from sarslim.kubeflow import shell

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
models = typer.Typer(help="Versions and aliases in an object store.", no_args_is_help=True)
app.add_typer(models, name="models")


class Format(StrEnum):
    """How predictions are written."""

    csv = "csv"
    jsonl = "jsonl"


CHIPS_HELP = "Images, .npy stacks (N, H, W), folders of any depth, OpenSARShip zips; local, or s3:// addresses."
BUNDLE_HELP = "A folder, or s3://bucket/models/NAME/VERSION, NAME@ALIAS or NAME (the alias latest)."
At = Annotated[str, typer.Option("--at", help="Where models are kept: s3://bucket/path.")]
Address = Annotated[str, typer.Argument(help=BUNDLE_HELP)]
Data = Annotated[str, typer.Argument(help="A dataset artifact (its test part), or labelled raw chips; local or s3://.")]
Int8 = Annotated[bool, typer.Option("--int8", help="The network in INT8 in place of FP32.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads. 0: one per core.")]
Alias = Annotated[str, typer.Option(help="The alias to move.")]
AT = PublishConfig().destination


@app.command()
def predict(
    bundle: Address,
    chips: Annotated[list[str], typer.Argument(help=CHIPS_HELP)],
    int8: Int8 = False,
    threads: Threads = 0,
    form: Annotated[Format, typer.Option("--format", help="CSV, or a JSON object a line.")] = Format.csv,
    out: Annotated[Path | None, typer.Option(help="A file in place of the standard output.")] = None,
) -> None:
    """Name the class of every chip."""
    answers = sys.stdout
    with shown_errors(), redirect_stdout(sys.stderr):  # a download tells of its progress, which is no prediction
        loaded = Bundle.open(bundle, int8=int8, threads=threads)
        predictions = loaded.predict(chips)
        first = next(predictions)  # what is wrong with the chips is told before a line is written
        with _writer(out, answers) as file, _progress() as step:
            writer = csv.writer(file, lineterminator="\n")
            if form is Format.csv:
                writer.writerow(["chip", "class", "confidence", *loaded.classes])
            for found in itertools.chain([first], predictions):
                shares = [round(share, 6) for share in found.probabilities.tolist()]
                if form is Format.csv:
                    writer.writerow([found.chip, found.label, f"{found.confidence:.6f}", *shares])
                else:
                    row = {"chip": found.chip, "class": found.label, "confidence": round(found.confidence, 6)}
                    row["probabilities"] = dict(zip(loaded.classes, shares, strict=True))
                    print(json.dumps(row, ensure_ascii=False), file=file)
                step()


@app.command()
def evaluate(bundle: Address, data: Data, int8: Int8 = False, threads: Threads = 0) -> None:
    """Score a bundle on labelled chips."""
    with shown_errors():
        scores = Bundle.open(bundle, int8=int8, threads=threads).evaluate(data)
        print(f"{scores.chips} chips  accuracy {scores.accuracy:.2%}  macro-F1 {scores.macro_f1:.2%}")
        rows = [
            (each.name, str(each.chips), f"{each.precision:.2%}", f"{each.recall:.2%}", f"{each.f1:.2%}")
            for each in scores.classes
        ]
        _show(("class", "chips", "precision", "recall", "F1"), rows)


@app.command()
def compare(
    first: Address,
    second: Address,
    data: Data,
    first_int8: Annotated[bool, typer.Option("--first-int8", help="The first one in INT8.")] = False,
    second_int8: Annotated[bool, typer.Option("--second-int8", help="The second one in INT8.")] = False,
) -> None:
    """Compare two bundles chip by chip; the interval takes chips as drawn independently."""
    with shown_errors():
        left, right = Bundle.open(first, int8=first_int8), Bundle.open(second, int8=second_int8)
        found = left.compare(right, data)
        (a, b), (f_a, f_b) = found.accuracy, found.macro_f1
        print(f"{found.chips} chips  accuracy {a:.2%} and {b:.2%}  macro-F1 {f_a:.2%} and {f_b:.2%}")
        print(f"only the first is right {found.only_first} times, only the second {found.only_second} times")
        line = f"difference of accuracy {100 * found.difference:+.2f} points"
        if found.interval is not None:
            low, high = found.interval
            line += f", 95 % interval {100 * low:+.2f} to {100 * high:+.2f}"
            line += (
                ": no clear difference" if low <= 0 <= high else f": the {'first' if low > 0 else 'second'} is better"
            )
        print(line)


@app.command()
def inspect(bundle: Address) -> None:
    """Check a bundle and say what is in it: classes, input, figures, files."""
    with shown_errors():
        loaded = Bundle.open(bundle)
        metrics = loaded.metrics
        chips = "simulated chips" if metrics.simulated else "chips"
        print(f"{metrics.network} student, version {loaded.version}, sarslim {metrics.sarslim_version}")
        print(f"classes: {', '.join(loaded.classes)}")
        print(f"measured on {metrics.test_chips} test {chips} of the data set {metrics.data_digest[:12]}")
        print(f"quality gate: {'passed' if metrics.gate_passed else 'not passed'}\n")
        print(loaded.session.metadata["description"], "\n")
        print(f"preprocessing: {loaded.session.metadata['preprocessing']}\n")
        rows = [
            (name, f"{size:,}", digest[:12], *_shares(metrics.files.get(name)))
            for name, (size, digest) in sorted(loaded.files.items())
        ]
        _show(("file", "bytes", "SHA-256", "accuracy", "macro-F1"), rows)


@models.command("list")
def list_models(at: At = AT) -> None:
    """List every version."""
    with shown_errors():
        rows = [
            (
                each.name,
                each.version,
                ", ".join(each.aliases),
                f"{each.bytes:,}",
                *_shares(each.metrics and each.metrics.files[ONNX]),
            )
            for each in Models.at(at).list()
        ]
        _show(("name", "version", "aliases", "bytes", "accuracy", "macro-F1"), rows)


@models.command()
def pull(
    model: Annotated[str, typer.Argument(help="NAME/VERSION, NAME@ALIAS or NAME (the alias latest).")],
    folder: Annotated[Path, typer.Argument(help="Where to; it must not exist or be empty.")],
    at: At = AT,
) -> None:
    """Download a bundle and check every file."""
    with shown_errors():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(str(folder), "exists already", "Name a folder that does not exist or is empty")
        print(f"{len(Models.at(at).pull(model, folder))} files in {folder}, all as their checksums say")


@models.command()
def promote(
    model: Annotated[str, typer.Argument(help="NAME/VERSION or NAME@ALIAS.")], alias: Alias = "latest", at: At = AT
) -> None:
    """Move an alias to a version, whatever it scored."""
    with shown_errors():
        print(
            f"{model.partition('/')[0].partition('@')[0]}@{alias} is at {Models.at(at).promote(model, alias).version}"
        )


@models.command()
def rollback(
    name: Annotated[str, typer.Argument(help="Name of the model.")], alias: Alias = "latest", at: At = AT
) -> None:
    """Move an alias back to where it was before."""
    with shown_errors():
        move = Models.at(at).rollback(name, alias)
        print(f"{name}@{alias} is at {move.version}: {move.reason}")


@contextmanager
def shown_errors() -> Iterator[None]:
    """As those of ``shell``, and an end without a word where the reader of our output has seen enough."""
    try:
        with shell.shown_errors():
            yield
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def _writer(out: Path | None, answers: Any) -> Any:
    if out is None:
        return nullcontext(answers)
    try:
        return out.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise InputError(str(out), f"cannot be written ({error.strerror})", "Choose another --out") from error


@contextmanager
def _progress() -> Iterator[Any]:
    """A line on the standard error that counts chips; nothing where that is not a terminal."""
    columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn("chips"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("predict", total=None)
        yield lambda: progress.advance(task)


def _shares(scores: Any) -> tuple[str, str]:
    return (f"{scores.accuracy:.2%}", f"{scores.macro_f1:.2%}") if scores else ("", "")


def _show(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(header):
        table.add_column(name, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(soft_wrap=True, markup=False).print(table)


if __name__ == "__main__":
    app()
