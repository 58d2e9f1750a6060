"""Numbers as people write them: 11.2 M, 44.7 MB, 1.93 ms, 97.1 %, 20.7x fewer."""

import math
import re

from sarslim.evaluation.statistics import wilson as wilson  # among the words of pages, too
from sarslim.records import Latency

NO_BREAK_SPACE = "\u00a0"
DISTURBED = "*"
UNIT = re.compile(r"(?<=\d) (?=(%|k|M|G|ms|B|kB|MB|GB|points?)\b|%)")


def significant(value: float) -> str:
    """Three significant digits, never an exponent: ``1.93``, ``20.7``, ``0.0500``, ``1234``."""
    if value == 0:
        return "0"
    # Rounded first: 9.999 has two decimals less than its logarithm says.
    rounded = float(f"{value:.3g}")
    decimals = 2 - math.floor(math.log10(abs(rounded)))
    return f"{rounded if decimals > 0 else value:.{max(decimals, 0)}f}"


def _scaled(value: float, units: tuple[str, ...]) -> str:
    step = 0
    while step < len(units) - 1 and float(f"{value:.3g}") >= 1000:
        value /= 1000
        step += 1
    text = f"{value:.0f}" if step == 0 else significant(value)
    return f"{text} {units[step]}".rstrip()


def count(value: float) -> str:
    """Parameters or MACs: ``11200000`` -> ``11.2 M``."""
    return _scaled(value, ("", "k", "M", "G", "T"))


def brief(value: float) -> str:
    """A round number for the ticks of an axis: ``3e6`` -> ``3 M``."""
    number, _, unit = count(value).partition(" ")
    return f"{float(number):g} {unit}".rstrip()


def size(value: float) -> str:
    """Bytes in decimal units: ``44700000`` -> ``44.7 MB``."""
    return _scaled(value, ("B", "kB", "MB", "GB", "TB"))


def milliseconds(value: float) -> str:
    """``1.934`` -> ``1.93 ms``."""
    return f"{significant(value)} ms"


def latency(timing: Latency, per_chip: bool = False) -> str:
    """The median of a forward pass, or of one of its chips; a star marks one that other work disturbed."""
    return milliseconds(timing.median_ms / (timing.batch if per_chip else 1)) + DISTURBED * timing.disturbed


def percent(value: float) -> str:
    """A fraction as per cent with one decimal: ``0.9712`` -> ``97.1 %``."""
    return f"{100 * value:.1f} %"


def points(difference: float) -> str:
    """A difference of two fractions, with its sign: ``-0.008`` -> ``−0.8 points``."""
    number = f"{abs(100 * difference):.1f}"
    sign = "" if float(number) == 0 else "−" if difference < 0 else "+"
    return f"{sign}{number} points"


def times(part: float, whole: float, fewer: str, more: str) -> str:
    """How much less ``part`` is than ``whole``: ``20.7× fewer``, or ``1.20× more``, or ``the same``."""
    if part == whole:
        return "the same"
    if part <= 0 or whole <= 0:
        return ""
    ratio = max(part, whole) / min(part, whole)
    decimals = 2 if ratio < 2 else 1 if ratio < 100 else 0
    return f"{ratio:.{decimals}f}× {fewer if part < whole else more}"


def gate_value(condition: str, value: float) -> str:
    """A figure of the quality gate in the unit its condition speaks of."""
    text = condition.lower()
    if "drop" in text or "lead" in text:  # first: the name of a source may hold any of the others
        return points(value).removeprefix("+")
    if "latency" in text:
        return milliseconds(value)
    if "mac" in text.replace("macro", "") or "param" in text:
        return count(value)
    return percent(value)


def no_break(text: str) -> str:
    """Keeps numbers and their units on one line."""
    return UNIT.sub(NO_BREAK_SPACE, text)
