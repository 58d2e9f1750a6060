"""What pages say of shortcuts: what they get, and how far the networks are above the best of them."""

from collections.abc import Mapping

import sarslim.report.units as units
from sarslim.records import EvaluateRecord, PairedScores, Shortcut
from sarslim.report.words.text import listed

SEES = {
    "majority": "nothing: always the largest class of the training part",
    "background": "the border of the chip: mean, spread and quantiles",
    "brightness": "mean and spread of the whole chip",
    "size and shape": "area, length, width and elongation of the bright blob",
}
RULE = (
    "A shortcut looks at a few numbers of a chip and takes the vote of the 15 nearest training chips; nothing of it is "
    "tuned. A network that is not clearly above the best one has not shown that it knows more than that. The border is "
    "an eighth of the side wide, the bright blob the largest region above the threshold of Otsu. Intervals are 95 % "
    "bootstrap intervals, paired chip by chip"
)
# What leads to the class without any target.
LEAKS = {
    "background": "the surroundings differ by class, and a network can learn them in place of the targets",
    "brightness": "targets of one class are larger or brighter, or the gain differs by class, and a network can learn "
    "that in place of the targets",
}
NAMES = {"teacher": "the teacher is", "pruned": "the pruned network", "student": "the student"}
HEADER = ("Shortcut", "What it sees", "Accuracy", "Balanced accuracy", "Macro-F1", "Over the majority", "95 % interval")
LEADS = ("Network", "Over the best shortcut", "95 % interval", "Only the network right", "Only the shortcut right")


def table(evaluation: EvaluateRecord) -> list[tuple[str, ...]]:
    """One row per shortcut: what it sees and gets, and how far that is above always naming the largest class."""
    return [
        (
            each.name.capitalize(),
            SEES[each.name],
            units.percent(each.accuracy),
            units.percent(each.balanced_accuracy),
            units.percent(each.macro_f1),
            "–" if each.over_majority is None else units.points(each.over_majority.difference),
            between(each.over_majority) or "–",
        )
        for each in evaluation.shortcuts
    ]


def between(found: PairedScores | None) -> str:
    """The interval of a difference in points, without their name; empty where there is none."""
    bounds = found.interval if found and found.interval else ()
    return " to ".join(units.points(bound).removesuffix(" points") for bound in bounds)


def leads(evaluation: EvaluateRecord, names: Mapping[str, str]) -> list[tuple[str, ...]]:
    """One row per network: how far it is above the best shortcut, chip by chip."""
    return [
        (
            names[key],
            units.points(found.difference),
            between(found) or "–",
            f"{found.only_first:,}",
            f"{found.only_second:,}",
        )
        for key, found in evaluation.over_shortcut.items()
    ]


def best(evaluation: EvaluateRecord) -> str:
    """Which shortcut gets the most, and how far each network is above it, in a sentence; empty where none was tried."""
    most = evaluation.best_shortcut
    if most is None:
        return ""
    apart = tuple(f"{NAMES[key]} {_apart(found.difference)}" for key, found in evaluation.over_shortcut.items())
    return f"The best shortcut, {called(most)}, gets {units.percent(most.accuracy)}: {listed(apart)}."


def warnings(evaluation: EvaluateRecord) -> list[str]:
    """What is wrong with data whose class can be told from what is not the target."""
    return [
        f"{called(each)} alone gets {units.percent(each.accuracy)} of the test chips right (the largest class "
        f"{units.percent(evaluation.majority_accuracy)}), with a balanced accuracy of "
        f"{units.percent(each.balanced_accuracy)} (knowing nothing {units.percent(each.chance)}): {LEAKS[each.name]}"
        for each in evaluation.shortcuts
        if each.name in LEAKS and each.tells
    ]


def reproach(evaluation: EvaluateRecord) -> str:
    """That the student knows more than a shortcut is not shown; empty where it is."""
    most, found = evaluation.best_shortcut, evaluation.over_shortcut.get("student")
    if most is None or found is None or found.clearly_better:
        return ""
    return f"That it knows more than {called(most)}, which alone gets {units.percent(most.accuracy)}, is not shown."


def called(shortcut: Shortcut) -> str:
    """The name of a shortcut in a sentence."""
    return {
        "majority": "always naming the largest class",
        "background": "the background",
        "brightness": "brightness",
        "size and shape": "size and shape of the bright blob",
    }[shortcut.name]


def _apart(difference: float) -> str:
    points = units.points(difference)
    return f"{points.lstrip('−+')} {'below' if points[0] == '−' else 'above'}"
