"""The page of all commands, written from the tree that Typer and Click make of them.

Written against what both have in common: Typer brings a Click of its own, so nothing here asks for classes.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import typer

from docs import markdown

INTRODUCTION = """\
Everything is one command, `sarslim`. `sarslim run --help` and its like say the same as this page. After any target of
make, put it on the path once per terminal: `source .venv/bin/activate`.
"""
EXAMPLES = "<!-- not run: examples of the help; the parser reads them -->"
DIGITS = re.compile(r"\s*(\d+)\s+(.+)")
OWN_PANEL = "Options"


def page(app: typer.Typer, name: str = "sarslim") -> str:
    """The page as Markdown."""
    root = typer.main.get_command(app)
    blocks = [markdown.GENERATED, "# Commands", INTRODUCTION, *_overview(root, name)]
    context = root.make_context(name, [], resilient_parsing=True)
    blocks += [f"## {name}", *_options(root, context), *_epilog(root.epilog)]
    for path, command, inner in _walk(root, context, (name,)):
        blocks += [f"{'##' if len(path) == 2 else '###'} {' '.join(path)}", *_command(path, command, inner)]
    return "\n\n".join(block.strip("\n") for block in blocks) + "\n"


def _walk(group: Any, context: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Every command below a group that is shown, with its path and a context of its own."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = command.context_class(command, info_name=name, parent=context)
        yield (*path, name), command, inner
        if hasattr(command, "list_commands"):
            yield from _walk(command, inner, (*path, name))


def _overview(root: Any, name: str) -> Iterator[str]:
    """What there is, in the panels of the help."""
    context = root.make_context(name, [], resilient_parsing=True)
    panels: dict[str, list[tuple[str, str]]] = {}
    for path, command, _ in _walk(root, context, (name,)):
        if _runs(command):
            top = root.get_command(context, path[1])
            words = " ".join(path)
            link = f"[`{words}`](#{_slug(words)})"
            panels.setdefault(_panel(top, "Commands"), []).append((link, _summary(command)))
    for panel, rows in panels.items():
        yield f"**{panel}**"
        yield markdown.table(("Command", "Does"), rows)


def _command(path: Sequence[str], command: Any, context: Any) -> Iterator[str]:
    text = (command.help or "").replace("\b", "").strip()
    yield re.sub(r"\n(?=\S)", " ", text.replace("\n\n", "\0")).replace("\0", "\n\n")
    if not _runs(command):
        return
    arguments = [
        (f"`{_value(parameter, context)}`", markdown.cell(getattr(parameter, "help", None) or ""))
        for parameter in command.params
        if parameter.param_type_name == "argument"
    ]
    yield f"```text\n{' '.join([*path, *_usage(command, context)])}\n```"
    if arguments:
        yield markdown.table(("Argument", "Meaning"), arguments)
    yield from _options(command, context)
    yield from _epilog(command.epilog)


def _usage(command: Any, context: Any) -> Iterator[str]:
    """What has to be given, and what may be."""
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            value = _value(parameter, context)
            yield value if parameter.required else f"[{value}]"
        elif parameter.required:
            yield f"{parameter.opts[0]} {_value(parameter, context)}"
    yield "[OPTIONS]"


def _runs(command: Any) -> bool:
    """Whether a command does something by itself: it is no group, or one that may be called alone."""
    return not hasattr(command, "list_commands") or bool(command.invoke_without_command)


def _value(parameter: Any, context: Any) -> str:
    """What stands for the value of a parameter: as its author named it, or else its type; the name of an argument."""
    if parameter.metavar:
        return str(parameter.metavar)
    if parameter.param_type_name == "argument":
        return parameter.name.upper() + ("..." if parameter.nargs == -1 else "")
    if hasattr(parameter, "display_type"):  # Typer's own Click
        return str(parameter.display_type(context)).strip("<>")
    return str(parameter.make_metavar(context))


def _options(command: Any, context: Any) -> list[str]:
    """A table for each panel of options."""
    panels: dict[str, list[tuple[str, str, str]]] = {}
    for parameter in command.params:
        if parameter.param_type_name != "option" or parameter.hidden:
            continue
        names = ", ".join(f"`{name}`" for name in sorted([*parameter.opts, *parameter.secondary_opts], key=len))
        value = "" if parameter.is_flag else f" `{markdown.cell(_value(parameter, context))}`"
        row = (f"{names}{value}", _default(parameter), markdown.cell(parameter.help or ""))
        panels.setdefault(_panel(parameter, OWN_PANEL), []).append(row)
    blocks = []
    for panel, rows in panels.items():
        blocks += [f"*{panel}:*"] if panel != OWN_PANEL else []
        blocks.append(markdown.table(("Option", "Default", "Meaning"), rows))
    return blocks


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = getattr(parameter.default, "value", parameter.default)  # of an enumeration
    if parameter.is_flag:
        return "on" if value is True else "off"
    missing = value is None or value == "" or type(value).__name__ in ("Sentinel", "_Unset")
    return "" if missing or callable(value) or value in ((), []) else f"`{value}`"


def _epilog(text: str | None) -> Iterator[str]:
    """Blocks with a title and lines that are set in: codes with their meaning as a table, all else as commands."""
    for block in (text or "").replace("\b", "").strip().split("\n\n"):
        title, _, rest = block.strip("\n").partition("\n")
        lines = [line for line in rest.splitlines() if line.strip()]
        codes = [DIGITS.fullmatch(line) for line in lines]
        if lines and all(codes):
            yield f"### {title.rstrip(':')}"
            yield markdown.table(("Code", "Meaning"), [(f"`{c[1]}`", markdown.cell(c[2])) for c in codes if c])
        elif lines:
            commands = "\n".join(line.strip().removeprefix("$ ") for line in lines)
            yield f"{title}\n\n{EXAMPLES}\n```bash\n{commands}\n```"
        elif title:
            yield markdown.cell(title)


def _panel(thing: Any, otherwise: str) -> str:
    panel = getattr(thing, "rich_help_panel", None)
    return panel if isinstance(panel, str) and panel else otherwise


def _summary(command: Any) -> str:
    return markdown.cell(markdown.first_sentence(command.short_help or command.help).partition(". ")[0].rstrip("."))


def _slug(words: str) -> str:
    return re.sub(r"[^\w\s-]", "", words).lower().replace(" ", "-")
