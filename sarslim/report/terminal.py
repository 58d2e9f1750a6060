"""Tables and facts for a terminal: wide tables lose their least needed columns, prose is wrapped, commands never."""

import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

WIDE = 1000  # of a file or a pipe, where nothing is left out
FIGURE = re.compile(r"[-+−]?[\d.,]*( ?[%×A-Za-z]{1,3})?")
SCRIPT = "sarslim"

Row = Sequence[str]


def width() -> int:
    """Columns of the terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE


def show_table(header: Row, rows: Sequence[Row], *, optional: Sequence[str] = ()) -> None:
    """Prints a table.

    Args:
        optional: columns that may be left out where the terminal is too narrow, the first one first.
    """
    left_out: list[str] = []
    console = Console(width=width(), markup=False, highlight=False, soft_wrap=True)
    unbounded = console.options.update(max_width=WIDE)
    while console.measure(table := _table(header, rows, left_out), options=unbounded).maximum > console.width:
        more = [name for name in optional if name in header and name not in left_out]
        if not more:
            break
        left_out.append(more[0])
    console.print(table)


def show_facts(facts: Mapping[str, str | Sequence[str]]) -> None:
    """Prints names with what is known of them, one or several texts; long ones are wrapped beside their name."""
    indent = max((len(name) for name, texts in facts.items() if texts), default=0) + 2
    room = max(width() - indent, 20)
    for name, texts in facts.items():
        lines = [line for text in _listed(texts) for line in textwrap.wrap(text, room, break_long_words=False)]
        for number, line in enumerate(lines):
            print(f"{'' if number else name:<{indent}}{line}")


def show_steps(steps: Mapping[str, str]) -> None:
    """Prints commands to copy, each below what it is good for, and never wrapped."""
    for purpose, step in steps.items():
        print(f"{purpose}:\n  {step}")


def say(text: str) -> None:
    """Prints prose, wrapped."""
    print(textwrap.fill(text, width(), break_long_words=False))


def command() -> str:
    """The command ``sarslim`` as it can be typed here: its name where that finds it, else the way to it."""
    beside = Path(sys.executable).with_name(SCRIPT)
    found = shutil.which(SCRIPT)
    if found and (not beside.exists() or Path(found).resolve() == beside.resolve()):
        return SCRIPT
    return shlex.quote(readable(beside))


def readable(path: Path) -> str:
    """A path as one would type it here, but for quotes."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _listed(texts: str | Sequence[str]) -> Sequence[str]:
    return [texts] if isinstance(texts, str) else texts


def _table(header: Row, rows: Sequence[Row], left_out: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    columns = [number for number, name in enumerate(header) if name not in left_out]
    for number in columns:
        figures = all(FIGURE.fullmatch(row[number]) for row in rows)
        table.add_column(header[number], justify="right" if figures and number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(row[number] for number in columns))
    return table
