"""Data before anything is trained: what a source holds, and simulated chips to try things with."""

from collections import Counter
from collections.abc import Mapping
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
    with local_copy(chosen.prepare.source) as here:
        found = inspect(here, chosen.prepare)
    least, median, most = found.sizes_px
    told = {
        "format": found.format,
        "chips": f"{found.chips}, {found.unlabelled} of them without a label",
        "polarisations": _counts(found.polarisations) or "not named",
        "size": f"{least} to {most} px, median {median:g}",
        "identities": f"{found.ships or 'no'} ships or vehicles named, {found.scenes or 'no'} scenes",
        "given splits": _counts(found.given_splits) or "none",
        "classes": _counts(found.classes),
        "would become": _counts(found.parts) or "nothing, see the problems",
        "split rule": found.split_rule,
    }
    skipped = [f"{count}: {reason}" for reason, count in Counter(row.reason for row in found.skipped).most_common()]
    facts(told | {"skipped": skipped, "warning": list(found.warnings)}, as_json=as_json)
    if found.problems:
        raise InputError(source, "cannot be prepared as it is", " ".join(found.problems))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
