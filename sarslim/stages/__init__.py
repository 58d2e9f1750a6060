"""One module per stage: the whole experiment, a page each. Only these rooms introduce the library's parts."""

__all__ = [
    "ask",
    "asking",
    "cell",
    "check",
    "compare",
    "deploy",
    "distill",
    "evaluate",
    "learn",
    "measure",
    "plan",
    "prepare",
    "prune",
    "publish",
    "results",
    "shifted",
    "sources",
    "teacher",
]
