"""Data before anything is trained: what a source holds, and simulated chips to try things with."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from sarslim.cli import options
from sarslim.cli.options import Config, Json, Sets
from sarslim.cli.output import examples, facts
from sarslim.errors import InputError

app = typer.Typer(no_args_is_help=True)
Source = Annotated[str, typer.Argument(metavar="SOURCE", help="Local path or s3:// address.")]


@app.command("inspect", epilog=examples("sarslim data inspect ~/chips", "sarslim data inspect s3://raw/chips -c mstar"))
def inspect_source(source: Source, config: Config = "", sets: Sets = None, as_json: Json = False) -> None:
    """Say what a source holds: format, classes, counts, polarisations, sizes, ships, problems."""
    from sarslim.chips.inspect import inspect
    from sarslim.store.storage import local_copy

    chosen = options.configuration(config, source, sets)
    with ExitStack() as copies:
        addresses = chosen.prepare.sources.items()
        here = {field: copies.enter_context(local_copy(address)) for field, address in addresses if address}
        found = inspect(here["source"], chosen.prepare, here.get("unlabelled_source"))
    least, median, most = found.sizes_px
    told = {
        "format": found.format,
        "chips": f"{found.chips}, {found.unlabelled} of them without a label",
        **({"unlabelled source": f"{found.further} chips"} if chosen.prepare.unlabelled_source else {}),
        "polarisations": _counts(found.polarisations) or "not named",
        "size": f"{least} to {most} px, median {median:g}",
        "identities": f"{found.ships or 'no'} ships or vehicles named, {found.scenes or 'no'} scenes"
        + (f", {found.groups} groups" if found.groups else "")
        + (f", {found.numbered} chips numbered" if found.numbered else ""),
        "given splits": _counts(found.given_splits) or "none",
        "classes": _counts(found.classes),
        "would become": _counts(found.parts) or "nothing, see the problems",
        "split rule": found.split_rule,
    }
    skipped = [f"{count}: {reason}" for reason, count in Counter(row.reason for row in found.skipped).most_common()]
    facts(told | {"skipped": skipped, "warning": list(found.warnings)}, as_json=as_json)
    if found.problems:
        raise InputError(source, "cannot be prepared as it is", " ".join(found.problems))


@app.command(epilog=examples("sarslim data simulate ships", "sarslim data simulate ships --chips 2400 --classes 4"))
def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new folder.")],
    chips: Annotated[int, typer.Option(min=20, help="Chips with a label, spread evenly over the classes.")] = 600,
    classes: Annotated[int, typer.Option(min=2, max=8, help="Kinds of ship.")] = 6,
    unlabelled: Annotated[int, typer.Option(min=0, help="Chips without a label, in a folder of their own.")] = 60,
    size: Annotated[int, typer.Option(min=16, max=512, help="Side of a chip in pixels.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    as_json: Json = False,
) -> None:
    """Write simulated ship chips as PNG files, a folder per class, to try things with."""
    from sarslim.chips.simulated_folder import write

    counts = write(out, chips, classes, seed, unlabelled, image_size=size)
    facts({"folder": str(out), "chips": _counts(counts), "data": "simulated; no radar measured them"}, as_json=as_json)


@app.command(
    epilog=examples(
        "sarslim data upload ~/chips s3://sarslim/raw/chips", "sarslim submit --host URL -d ~/chips --upload"
    )
)
def upload(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of chips, or one file.")],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Where to: s3://bucket/path.")],
    as_json: Json = False,
) -> None:
    """Copy chips to an object store; what is there already, with the right checksum, is not sent again.

    The store is the one that AWS_ENDPOINT_URL and the keys beside it name. One in a cluster is reached through kubectl
    port-forward; see manifests/README.md.
    """
    told = send(folder, address)
    facts(told | {"next": f"sarslim submit --host URL --data {told['address']}"}, as_json=as_json)


def send(folder: Path, address: str) -> dict[str, str]:
    """Copies a folder to an ``s3://`` address and tells what was sent.

    Raises:
        InputError: nothing to copy, or no address in a store.
    """
    from sarslim.store import transfer
    from sarslim.store.storage import S3Uri, Storage

    uri = S3Uri.parse(address)
    if not uri.key:
        raise InputError(address, "names a bucket and no place in it", "Write s3://bucket/path")
    done = transfer.upload(Storage.from_environment(), folder.expanduser(), uri)
    sent = f"{done.sent} files, {done.bytes / 1e6:,.1f} MB"
    return {"address": str(uri), "sent": sent, "there already": f"{done.there} files"}


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
