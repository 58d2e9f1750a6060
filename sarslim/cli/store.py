"""The embedded object store of local runs, between runs."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from sarslim.cli.options import HERE, Runs
from sarslim.cli.output import examples
from sarslim.errors import InputError

app = typer.Typer()


@app.command(
    rich_help_panel=HERE,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=examples("sarslim store", "sarslim store aws s3 ls s3://sarslim/models/"),
)
def store(
    command: Annotated[list[str] | None, typer.Argument(help="A command to run. None: up until Ctrl-C.")] = None,
    runs: Runs = Path("runs"),
) -> None:
    """Serve the embedded object store of local runs, for a command or until Ctrl-C."""
    raise typer.Exit(with_store(command or [], runs))


def with_store(command: Sequence[str], runs: Path) -> int:
    """Runs a command with the embedded object store of ``runs`` at hand, and returns how it ended.

    With no command the store stays up until it is interrupted, and the variables that lead to it are printed.

    Raises:
        InputError: no store there, or no such command.
    """
    from sarslim.store import local_store

    if not (runs / "store").is_dir():
        raise InputError("--runs", f"there is no object store in {runs}", "Run a pipeline first, or name its --runs")
    # The commands that were installed with this Python come first.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    if command and shutil.which(command[0], path=path) is None:
        raise InputError("COMMAND", f"there is no program {command[0]!r}", "Give a command such as sarslim")
    with local_store.serve(runs.resolve() / "store") as served:
        if not command:
            print("\n".join(f"export {name}={value}" for name, value in served.items()), flush=True)
            print("The store answers until Ctrl-C.", file=sys.stderr)
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
            return 0
        return subprocess.run(command, env={**os.environ, **served, "PATH": path}, check=False).returncode
