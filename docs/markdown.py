"""Small pieces of Markdown for generated pages."""

from collections.abc import Sequence

GENERATED = "<!-- Made by `python -m docs.generate`; a test fails where it is stale. -->"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells are Markdown already."""
    lines = [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
    return "\n".join(lines)


def cell(text: str) -> str:
    """Text that stays in its cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def first_sentence(doc: str | None) -> str:
    """The first paragraph of a docstring in one line."""
    return " ".join((doc or "").strip().partition("\n\n")[0].split()).replace("``", "`")
