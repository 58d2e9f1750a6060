"""Pieces of Markdown: text from outside, tables, lists."""

from collections.abc import Sequence

from sarslim.report.words.text import sentence


def plain(text: str) -> str:
    """Text from outside, such that Markdown shows it instead of obeying it."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{mark}" if mark in "\\|`*[]" else mark for mark in text)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with the first column to the left and the others, which are numbers, to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def listing(items: Sequence[str]) -> str:
    """A list of sentences, which may come from outside."""
    return "\n".join(f"- {sentence(plain(item))}" for item in items)
