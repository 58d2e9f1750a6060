"""What lists of runs say of each."""

from collections.abc import Sequence
from datetime import datetime

import sarslim.report.units as units
from sarslim.records import RunSummary


def lead(runs: Sequence[RunSummary]) -> str:
    """How many runs there are, and how they stand."""
    if not runs:
        return "No run yet."
    counts = {state: sum(run.state == state for run in runs) for state in ("finished", "failed", "unfinished")}
    stand = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    return f"{len(runs)} run{'s'[: len(runs) != 1]}: {stand}."


def runs_table(runs: Sequence[RunSummary]) -> list[tuple[str, ...]]:
    """One row per run, header first, for a terminal."""
    rows = [(run.id, when(run), data(run), student(run)[0], accuracy(run)[1], verdict(run), size(run)) for run in runs]
    return [("Run", "When", "Data", "Student", "Accuracy", "Gate", "Size"), *rows]


def when(run: RunSummary) -> str:
    """When a run began, by the clock of its machine."""
    return f"{datetime.fromisoformat(run.started):%Y-%m-%d %H:%M}"


def data(run: RunSummary) -> str:
    """The data by name; that they are simulated is never left to the name."""
    return run.data if "simulated" in run.data or not run.simulated else f"{run.data}, simulated"


def student(run: RunSummary) -> tuple[str, str]:
    """The student, and how small it is beside the teacher."""
    if run.student_accuracy is None:
        return run.network, ""
    among = f", the best trade-off of {run.networks}" if run.networks else ""
    share = f"{units.percent(run.macs_share)} of the MACs" if run.macs_share is not None else ""
    return run.student or run.network, f"{share}{among}"


def accuracy(run: RunSummary) -> tuple[str, str, str]:
    """Accuracy of teacher and student, and the difference."""
    if run.teacher_accuracy is None or run.student_accuracy is None:
        return "", "", ""
    return (
        units.percent(run.teacher_accuracy),
        units.percent(run.student_accuracy),
        units.points(run.student_accuracy - run.teacher_accuracy),
    )


def verdict(run: RunSummary) -> str:
    """How the run ended, and whether its student passed the gate; a comparison has none."""
    if run.state != "finished":
        return run.state
    return {True: "passed", False: "not passed", None: "no gate"}[run.gate_passed]


def size(run: RunSummary) -> str:
    """Bytes of the weights of the student."""
    return "" if run.bytes is None else units.size(run.bytes)
