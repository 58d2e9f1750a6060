"""The console command ``sarslim``: compress a SAR recognition network, and prove what it lost."""

from typing import Annotated

import typer

from sarslim import __version__
from sarslim.cli import bundles, cluster, data, models, run, runs, store
from sarslim.cli.options import BUNDLES, LOOK
from sarslim.cli.output import EXIT_CODES, Commands, examples

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\n\n".join([examples("sarslim run", "sarslim data inspect ~/chips", "sarslim runs"), EXIT_CODES]),
)
app.add_typer(data.app, name="data", rich_help_panel=LOOK, help="Look at data before anything is trained.")
for group in (run, runs, store, cluster, bundles):
    app.registered_commands += group.app.registered_commands
    app.registered_groups += group.app.registered_groups
app.add_typer(models.app, name="models", rich_help_panel=BUNDLES, help="Versions and aliases in an object store.")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"sarslim {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Compress a SAR recognition network by pruning and distillation, and prove what it lost."""
