"""What commands print: tables that fit the terminal, the same rows as JSON, errors in one line."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from typer.core import TyperGroup

from sarslim.errors import told

INTERRUPTED = 130
NO_GATE = 3
EXIT_CODES = f"""\
Exit codes:
  0    done
  1    a service or a stage failed
  2    something given is wrong
  {NO_GATE}    the gate did not pass (--require-gate)
  {INTERRUPTED}  interrupted"""
INSTALL = "Install sarslim with it from a clone: make, then .venv/bin/sarslim; or pip install -e '.[local]'"

Row = Sequence[str]


@contextmanager
def shown_errors() -> Iterator[None]:
    """As :func:`sarslim.errors.told`, and for what a command may lack, for Ctrl-C, and for the end of ``| head``."""
    try:
        with told():
            yield
    except ModuleNotFoundError as error:
        # The small install of a bundle's user has neither KFP nor PyTorch.
        if error.name is None or error.name.partition(".")[0] == "sarslim":
            raise
        print(f"input error: this command needs {error.name}, which is not installed. {INSTALL}.", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


class Commands(TyperGroup):
    """A group whose commands end in one clear line, and whose mistyped ones are answered with the nearest right one."""

    def invoke(self, ctx: Any) -> Any:
        """Runs a command."""
        with shown_errors():
            return super().invoke(ctx)


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\n".join(["Examples:", *(f"  {line}" for line in lines)])


def show(header: Row, rows: Sequence[Row], *, as_json: bool = False, optional: Sequence[str] = ()) -> None:
    """Prints a table, or a list of objects as JSON; ``optional`` columns go first where the terminal is too narrow."""
    if as_json:
        print(json.dumps([dict(zip(header, row, strict=True)) for row in rows], indent=2, ensure_ascii=False))
        return
    from sarslim.report import terminal

    terminal.show_table(header, rows, optional=optional)


def facts(values: Mapping[str, str | Sequence[str]], *, as_json: bool = False) -> None:
    """Prints names with what is known of them, or an object as JSON."""
    if as_json:
        print(json.dumps(values, indent=2, ensure_ascii=False))
        return
    from sarslim.report import terminal

    terminal.show_facts(values)


def say(text: str) -> None:
    """Prints prose, wrapped at the width of the terminal."""
    from sarslim.report import terminal

    terminal.say(text)
