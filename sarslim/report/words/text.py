"""Sentences, lists and dates."""

from datetime import UTC, datetime


def sentence(text: str) -> str:
    """Ends with exactly one full stop."""
    return f"{text.rstrip('. ')}."


def listed(names: tuple[str, ...]) -> str:
    """``a, b and c``."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def moment(time: str) -> str:
    """A time in ISO 8601 as people write it: ``28 January 2026, 12:34 UTC``."""
    at = datetime.fromisoformat(time).astimezone(UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"
