"""How a run ended, read from its journal."""

from pathlib import Path

from sarslim.config import STAGES
from sarslim.config.parameters import ARTIFACTS
from sarslim.records import JournalEntry, OutcomeRecord, Rerun
from sarslim.stages.results import write_json
from sarslim.store import journal

WITHOUT_A_WORD = "ended without a word: out of memory, evicted, or out of time"
IN_ORDER = ("check", *STAGES)


def report_outcome(state: str, *, run: str, outcome: Path) -> str:
    """Writes the outcome of a run as JSON.

    Args:
        state: what KFP says: ``SUCCEEDED``, ``FAILED`` or ``CANCELLED``.
        run: address of any artifact of the run.
        outcome: the file to write.

    Returns:
        One line that says the same to people.
    """
    record = judge(state, journal.read(journal.run_root(run)))
    write_json(outcome, record)
    return sentence(record)


def judge(state: str, entries: list[JournalEntry]) -> OutcomeRecord:
    """What a run's journal says about its end; without a failed entry the run failed before any stage could write."""
    bad = sorted(
        (entry for entry in entries if entry.state != "succeeded"), key=lambda entry: IN_ORDER.index(entry.stage)
    )
    artifacts = journal.artifacts(entries)
    if state == "SUCCEEDED":
        return OutcomeRecord(state=state, failed_stage=None, message="", artifacts=artifacts, rerun=None)
    if not bad:
        message = "no stage could say why; look at the events of its pod (image, quota, volumes)"
        return OutcomeRecord(state=state, failed_stage=None, message=message, artifacts=artifacts, rerun=None)
    first = bad[0]
    message = first.message or WITHOUT_A_WORD
    return OutcomeRecord(
        state=state, failed_stage=first.stage, message=message, artifacts=artifacts, rerun=rerun(first.stage, artifacts)
    )


def rerun(stage: str, artifacts: dict[str, str]) -> Rerun | None:
    """The pipeline that starts with ``stage``, and what to paste into it; None where something is not there."""
    needed = [name for name, maker in ARTIFACTS.items() if IN_ORDER.index(maker) < IN_ORDER.index(stage)]
    if not needed or any(name not in artifacts for name in needed):
        return None
    start = "distilled" if needed[-1] == "student" else needed[-1]
    return Rerun(pipeline=f"from-{start}", parameters={f"{name}_uri": artifacts[name] for name in needed})


def sentence(record: OutcomeRecord) -> str:
    """The outcome in one line."""
    if record.state == "SUCCEEDED":
        return "outcome: the run succeeded"
    line = f"outcome: {record.failed_stage or 'the run'} failed: {record.message}"
    if record.rerun is None:
        return f"{line}. To go on: correct this and clone the run; stages that ended come from the cache"
    pasted = " ".join(f"{name}={uri}" for name, uri in record.rerun.parameters.items())
    return f"{line}. To go on: run {record.rerun.pipeline} with {pasted}"
