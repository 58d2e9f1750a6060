"""The ways in which sarslim stops: a user's mistake, or a failure of something outside; and how a program ends then."""

import codecs
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

MOST = (500, 4000, 500)  # characters of a place, a problem and a remedy: more would hide what they say


class SarslimError(Exception):
    """Stops a run with one clear message: where, what was found, what to do about it."""

    exit_code = 1
    kind = "error"

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        """
        Args:
            where: the field, file or address at fault.
            problem: what was found there, with the offending value.
            remedy: what the user can do about it.
        """
        self.where, self.problem, self.remedy = where, problem, remedy
        told = [
            printable(cut(part.rstrip("."), most)) for part, most in zip((where, problem, remedy), MOST, strict=True)
        ]
        super().__init__("{}: {}. {}.".format(*told))

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the one line that a terminal gets, too."""
        return [f"{type(self).__name__}: {self}"]

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.where, self.problem, self.remedy)  # so that it can come from another process

    @property
    def line(self) -> str:
        """The one line that a person sees."""
        return f"{self.kind}: {self}"


def cut(text: str, most: int) -> str:
    """At most so many characters of a text, and how many more it has."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text) - most} more characters)"


def printable(text: str) -> str:
    """``text`` in one line and without what a terminal obeys: names of files come from whoever made them."""
    if text.isprintable():
        return text
    # Bytes of a name that are no text stay: what prints them writes them as bytes.
    return "".join(sign if sign.isprintable() or "\udc80" <= sign <= "\udcff" else ascii(sign)[1:-1] for sign in text)


class InputError(SarslimError):
    """A user's mistake: a wrong field, a broken file, data that cannot be used."""

    exit_code = 2
    kind = "input error"


class ServiceError(SarslimError):
    """Something outside failed: an unreachable endpoint, a full disk."""

    exit_code = 1
    kind = "service error"


def together(errors: Sequence[InputError]) -> InputError:
    """One error out of several, each problem with its own remedy behind it."""
    first, *others = errors
    if not others:
        return first
    told = [f"{error.problem} ({error.remedy[:1].lower()}{error.remedy[1:]})" for error in errors]
    rest = [f"{error.where}: {text}" for error, text in zip(others, told[1:], strict=True)]
    return InputError(first.where, "; ".join([told[0], *rest]), f"Mend these {len(errors)}, then run again")


SIGNS = {
    "×": "x", "−": "-", "–": "-", "—": "-", "─": "-", "━": "-", "╸": "-", "╺": "-", "│": "|", "·": ".", "…": "...",
    "✓": "+", "✗": "x", "→": "->", "►": ">", "≤": "<=", "≥": ">=", "±": "+-", "°": " degrees", "\u00a0": " ",
    "“": '"', "”": '"', "’": "'",
}  # fmt: skip


def _in_other_signs(error: UnicodeError) -> tuple[str, int]:
    """Stands in for signs that an output cannot show, and for bytes of a file name that are no text."""
    assert isinstance(error, UnicodeEncodeError)
    signs = error.object[error.start : error.end]
    shown = "".join(SIGNS.get(sign) or ascii(sign)[1:-1].replace("\\udc", "\\x") for sign in signs)
    return shown, error.end


codecs.register_error("sarslim", _in_other_signs)


def show_any_sign() -> None:
    """Lets a program print to terminals and files of any encoding: what they cannot show comes in other signs."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="sarslim")


@contextmanager
def told() -> Iterator[None]:
    """Ends a program with one clear line, and the exit code of the error, where the user or a service is at fault."""
    show_any_sign()
    try:
        yield
    except SarslimError as error:
        sys.stdout.flush()
        print(error.line, file=sys.stderr)
        sys.exit(error.exit_code)
