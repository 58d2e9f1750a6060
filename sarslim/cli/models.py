"""Versions and aliases in an object store."""

from pathlib import Path
from typing import Annotated

import typer

from sarslim.cli.bundles import shares
from sarslim.cli.options import Json, Runs
from sarslim.cli.output import examples, show
from sarslim.errors import InputError

app = typer.Typer(no_args_is_help=True)
At = Annotated[str, typer.Option("--at", metavar="ADDRESS", help="Where models are kept: s3://bucket/path.")]
Alias = Annotated[str, typer.Option(help="The alias to move.")]
AT = "s3://sarslim/models"
OURS = Path("runs")


@app.command("list", epilog=examples("sarslim models list", "sarslim models list --at s3://team/models"))
def list_models(at: At = AT, runs: Runs = OURS, as_json: Json = False) -> None:
    """List every version."""
    from sarslim.delivery.registry import ONNX, Models
    from sarslim.store.local_store import reachable

    with reachable([at], runs):
        rows = [
            (
                each.name,
                each.version,
                ", ".join(each.aliases),
                {True: "simulated", False: "real", None: ""}[each.simulated],
                each.data_digest[:12],
                f"{each.published:%Y-%m-%d %H:%M}",
                f"{each.bytes:,}",
                *shares(each.metrics and each.metrics.files[ONNX]),
            )
            for each in Models.at(at).list()
        ]
    header = ("name", "version", "aliases", "chips", "data", "published", "bytes", "accuracy", "macro-F1")
    show(header, rows, as_json=as_json, optional=("macro-F1", "bytes", "data", "published"))


@app.command(epilog=examples("sarslim models pull sar-ships@latest bundle/"))
def pull(
    model: Annotated[str, typer.Argument(help="NAME/VERSION, NAME@ALIAS or NAME (the alias latest).")],
    folder: Annotated[Path, typer.Argument(help="Where to; it must not exist or be empty.")],
    at: At = AT,
    runs: Runs = OURS,
) -> None:
    """Download a bundle and check every file."""
    from sarslim.delivery.registry import Models
    from sarslim.store.local_store import reachable

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(str(folder), "exists already", "Name a folder that does not exist or is empty")
    with reachable([at], runs):
        print(f"{len(Models.at(at).pull(model, folder))} files in {folder}, all as their checksums say")


@app.command(
    epilog=examples("sarslim models promote sar-ships/1.0", "sarslim models promote sar-ships/1.0 --alias sea")
)
def promote(
    model: Annotated[str, typer.Argument(help="NAME/VERSION or NAME@ALIAS.")],
    alias: Alias = "latest",
    at: At = AT,
    runs: Runs = OURS,
) -> None:
    """Move an alias to a version, whatever it scored."""
    from sarslim.delivery.registry import Models
    from sarslim.store.local_store import reachable

    with reachable([at], runs):
        name = model.partition("/")[0].partition("@")[0]
        print(f"{name}@{alias} is at {Models.at(at).promote(model, alias).version}")


@app.command(epilog=examples("sarslim models rollback sar-ships"))
def rollback(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    alias: Alias = "latest",
    at: At = AT,
    runs: Runs = OURS,
) -> None:
    """Move an alias back to where it was before."""
    from sarslim.delivery.registry import Models
    from sarslim.store.local_store import reachable

    with reachable([at], runs):
        move = Models.at(at).rollback(name, alias)
        print(f"{name}@{alias} is at {move.version}: {move.reason}")
