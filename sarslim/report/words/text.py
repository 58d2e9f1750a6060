"""Sentences and lists."""


def sentence(text: str) -> str:
    """Ends with exactly one full stop."""
    return f"{text.rstrip('. ')}."


def listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
