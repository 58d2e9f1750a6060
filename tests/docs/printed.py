"""Commands as they are printed in README.md and in docs/: found, parsed without running, and run.

A fenced block of ``bash`` or ``python`` is run, in the order of its page, unless a comment above it says why not:
``<!-- not run: needs a cluster -->``. What is not run is parsed all the same: its commands and options must exist. A
page that goes on where another one ended says so: ``<!-- after: tutorial.md -->``.
"""

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import yaml

from sarslim.cli.app import app

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "manifests" / "README.md", ROOT / "CONTRIBUTING.md"]

FENCE = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>[^>]+) -->\n)?^(?P<indent> *)```(?P<language>[a-z]*)[^\n]*\n(?P<text>.*?)^ *```",
    re.MULTILINE | re.DOTALL,
)
AFTER = re.compile(r"<!-- after: (?P<page>[\w./-]+) -->")
INLINE = re.compile(r"`(sarslim [^`\n]*)`")
COMMANDS, CODE = "bash", "python"
SEPARATORS = {"&&", "||", "|", ";", "&", "(", ")"}
SECONDS = 900

# What makes every run that is printed a matter of seconds: few small chips, few epochs, a gate that lets all pass.
TINY: dict[str, dict[str, Any]] = {
    "prepare": {"image_size": 32, "simulator": {"chips": 400, "classes": 2}},
    "teacher": {"epochs": 6},
    "prune": {"weak_teacher": "accept"},
    "distill": {"epochs": 6},
    "evaluate": {"latency_seconds": 0.02, "looks": [4], "rivals": [], "max_drop": 1.0},
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with why it is not run, if it is not."""

    page: Path
    line: int
    language: str
    text: str
    reason: str

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        lines = [line.removeprefix(match["indent"]) for line in match["text"].splitlines()]
        line = text.count("\n", 0, match.start("text")) + 1
        found.append(Block(page, line, match["language"], "\n".join(lines) + "\n", match["reason"] or ""))
    return found


def after(page: Path) -> Path | None:
    """The page that this one goes on from."""
    match = AFTER.search(page.read_text(encoding="utf-8"))
    return page.parent / match["page"] if match else None


def inline(page: Path) -> list[str]:
    """Commands within sentences."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [" ".join(match[1].replace("\\|", "|").split()) for match in INLINE.finditer(text)]


def problems(block: Block) -> list[str]:
    """What is wrong with a block, found without running it."""
    if block.language not in (COMMANDS, CODE):
        lines = [
            line for line in block.text.splitlines() if not line.endswith("[OPTIONS]")
        ]  # how to use, not a command
        hidden = [line for line in lines if re.match(r"(\$ )?(make|sarslim) \w", line)]
        return [f"{block.place}: a command in a block that is not marked {COMMANDS}: {line}" for line in hidden]
    if block.language == CODE:
        return [] if _compiles(block.text) else [f"{block.place}: is not Python"]
    checked = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    found = [f"{block.place}: {checked.stderr.strip()}"] if checked.returncode else []
    for words in simple_commands(block.text):
        wrong = wrong_with(words)
        found += [f"{block.place}: {shlex.join(words)}: {wrong}"] if wrong else []
    return found


def simple_commands(text: str) -> Iterator[list[str]]:
    """The words of every simple command of a script, without what redirects it."""
    for line in text.replace("\\\n", " ").splitlines():
        words: list[str] = []
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        try:
            tokens = list(lexer)
        except ValueError:  # a text over several lines, whose syntax bash -n has seen
            continue
        skip = False
        for token in [*tokens, ";"]:
            if skip:
                skip = False
            elif token in SEPARATORS:
                yield from [words] if words else []
                words = []
            elif set(token) <= set("<>&"):
                skip = True
            elif words or not re.fullmatch(r"[A-Z_]+=.*", token):
                words.append(token)


def wrong_with(words: Sequence[str], *, whole: bool = True) -> str:
    """What ``sarslim`` or ``make`` would refuse of a command; "" where it is fine, or somebody else's.

    Args:
        whole: nothing that is needed may be missing.
    """
    program, *arguments = words
    if program.rpartition("/")[2] == "make":
        targets = re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        unknown = [word for word in arguments if "=" not in word and word not in targets]
        return f"make has no target {', '.join(unknown)}" if unknown else ""
    return _parse(arguments, whole) if program.rpartition("/")[2] == "sarslim" else ""


def _parse(arguments: list[str], whole: bool) -> str:
    """As the command itself reads its words, up to where it would begin."""
    command: Any = typer.main.get_command(app)
    context: Any = None
    name: str | None = "sarslim"
    try:
        while True:
            group = hasattr(command, "list_commands")
            if group and not arguments and not command.invoke_without_command:
                return "" if not whole or context is None else "names no command"
            context = command.make_context(name, list(arguments), parent=context)
            if not group:
                return ""
            rest = [*getattr(context, "_protected_args", []), *context.args]
            if not rest:
                return ""
            name, command, arguments = command.resolve_command(context, rest)
    except Exception as error:  # Typer brings a Click of its own
        if type(error).__name__ == "Exit":  # --help, --version
            return ""
        if not hasattr(error, "format_message"):
            raise
        missing = type(error).__name__ == "MissingParameter"
        return "" if missing and not whole else str(error.format_message())


def _compiles(text: str) -> bool:
    try:
        compile(text, "block", "exec")
    except SyntaxError:
        return False
    return True


def clone(folder: Path) -> Path:
    """A clone in ``folder`` as the pages expect it, with its commands, and with small ready experiments."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / "configs").mkdir()
    for path in ROOT.iterdir():
        if path.name not in ("configs", "runs", "build", "CONTRIBUTING.md") and not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    for file in (ROOT / "configs").glob("*.yaml"):
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
        for stage, own in TINY.items():
            values[stage] = values.get(stage, {}) | own
        (folder / "configs" / file.name).write_text(yaml.safe_dump(values), encoding="utf-8")
    code = (
        "from pathlib import Path; from sarslim.cli import options; "
        f"options.CONFIGS = Path({str(folder / 'configs')!r}); "
        "from sarslim.cli.app import app; app(prog_name='sarslim')"
    )
    scripts = {
        "activate": f'PATH="{folder}/.venv/bin:$PATH"\n',
        "python": f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n',
        "sarslim": f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n',
    }
    for name, text in scripts.items():
        (folder / ".venv" / "bin" / name).write_text(text, encoding="utf-8")
        (folder / ".venv" / "bin" / name).chmod(0o755)
    return folder


def run(page: Path, folder: Path) -> None:
    """Runs what a page prints in a :func:`clone`, as one session of a shell.

    Raises:
        AssertionError: a block that fails, with what it said.
    """
    wanted = [block for block in blocks(page) if block.language in (COMMANDS, CODE) and not block.reason]
    pieces = ["set -euo pipefail\n"]
    for language, group in itertools.groupby(wanted, key=lambda block: block.language):
        same = list(group)
        if language == COMMANDS:
            pieces += [f"echo '@@ {block.place}' >&2\n{block.text}" for block in same]
            continue
        # Python that follows Python goes on with its names.
        script = folder / f".line-{same[0].line}.py"
        script.write_text("".join(block.text for block in same), encoding="utf-8")
        pieces.append(f"echo '@@ {same[0].place}' >&2\npython {script.name}\n")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SARSLIM_", "KFP_"))
    }
    environment |= {
        "PATH": f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder), "OMP_NUM_THREADS": "1", "COLUMNS": "80", "NO_COLOR": "1",
    }  # fmt: skip
    done = subprocess.run(
        [shutil.which("bash") or "bash"], input="".join(pieces), cwd=folder, env=environment, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
    )  # fmt: skip
    last = re.findall(r"^@@ (.+)$", done.stdout, re.MULTILINE)
    tail = "\n".join(done.stdout.splitlines()[-25:])
    assert done.returncode == 0, f"{last[-1] if last else page.name} ended with {done.returncode}:\n{tail}"
