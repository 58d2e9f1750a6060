"""What mkdocs cannot do by itself: pages that live elsewhere in the repository, and links that lead there.

A page keeps the links that a reader of the repository follows, such as ``../manifests/README.md``. Here they are led to
the page of the site; a link to a file that the site does not hold becomes its text.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
GLOSSARY = ROOT / "docs" / "glossary.md"

# Files of the repository, and where they are in the site.
ELSEWHERE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "manifests/README.md": "manifests.md",
    "benchmarks/METHOD_RESULTS.md": "method-results.md",
    "benchmarks/SHIPS_RESULTS.md": "ships-results.md",
    **{f"benchmarks/results/{file.name}": f"pictures/{file.name}" for file in ROOT.glob("benchmarks/results/*.svg")},
}

UNIT = re.compile(r"(?<=\d) (?=(%( \*)?|[kMG]|ms|[kMG]i?B) ?[|(†*])|(?<=%) (?=\*)")
FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?P<text>!?\[(?:[^\[\]]|\[[^\]]*\])*\])\((?P<path>[^()\s#]*)(?P<anchor>#[^()\s]*)?\)")
TERM = re.compile(r"^### (?P<term>[A-Z][A-Za-z0-9]*[A-Z][A-Za-z0-9]*)$\n+(?P<meaning>.+?)(?=\n\n|\Z)", re.M | re.S)


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages and pictures that live elsewhere."""
    for source, place in ELSEWHERE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Leads links into the site, keeps figures in tables on one line, explains the glossary's short names in place."""
    own = page.file.src_uri
    markdown = "\n".join(UNIT.sub("\u00a0", row) if row.startswith("|") else row for row in markdown.split("\n"))
    markdown = led(markdown, next((source for source, place in ELSEWHERE.items() if place == own), f"docs/{own}"))
    if own == "glossary.md":
        return markdown
    return f"{markdown}\n\n{abbreviations(GLOSSARY.read_text(encoding='utf-8'))}\n"


def led(markdown: str, source: str) -> str:
    """The text of the file ``source`` with its relative links led to pages of the site."""
    here = _in_site(source)
    assert here is not None

    def lead(link: re.Match[str]) -> str:
        path, anchor = link["path"], link["anchor"] or ""
        mark, inner = ("!", link["text"][2:-1]) if link["text"].startswith("!") else ("", link["text"][1:-1])
        inner = LINK.sub(lead, inner)  # a picture that is a link
        if not path or "://" in path or path.startswith("mailto:"):
            return f"{mark}[{inner}]({path}{anchor})"
        place = _in_site(os.path.normpath(os.path.join(os.path.dirname(source), path)))
        if place is None:
            return inner
        return f"{mark}[{inner}]({os.path.relpath(place, os.path.dirname(here) or '.')}{anchor})"

    return "".join(text if is_code else LINK.sub(lead, text) for text, is_code in pieces(markdown))


def pieces(markdown: str) -> Iterator[tuple[str, bool]]:
    """The text in its order, each piece with whether it is a block of code."""
    end = 0
    for block in FENCE.finditer(markdown):
        yield markdown[end : block.start()], False
        yield block[0], True
        end = block.end()
    yield markdown[end:], False


def abbreviations(glossary: str) -> str:
    """Definitions for the ``abbr`` extension: of the terms that are written in capitals, their first sentence."""
    meanings = {
        found["term"]: " ".join(re.split(r"(?<=\.)\s", found["meaning"])[0].split())
        for found in TERM.finditer(glossary)
    }
    return "\n".join(f"*[{term}]: {re.sub(r'[*`]', '', meaning)}" for term, meaning in meanings.items())


def _in_site(source: str) -> str | None:
    """Where a file of the repository is in the site; None where it is not."""
    if source in ELSEWHERE:
        return ELSEWHERE[source]
    held = source.startswith("docs/") and (ROOT / source).is_file() and not source.endswith(".py")
    return source.removeprefix("docs/") if held else None
