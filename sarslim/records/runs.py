"""What ran, and where it got to."""

from typing import Literal

from sarslim.records.base import Record


class JournalEntry(Record):
    """What one task was given, what it makes, and how it ended. Artifacts by name and address.

    ``running`` is what remains of a task that was killed; ``refused`` means that the user has to change something.
    """

    stage: str
    state: Literal["running", "succeeded", "refused", "failed"]
    message: str = ""
    inputs: dict[str, str]
    outputs: dict[str, str]


class RunEntry(Record):
    """The content of ``run.json``: a run on this machine, from its start on.

    ``started`` is ISO 8601 with the offset to UTC. ``running`` is also what remains of a run that was killed.
    """

    pipeline: str
    started: str
    state: Literal["running", "finished", "failed", "interrupted"] = "running"
    message: str = ""


class RunSummary(Record):
    """What a run on this machine achieved, for lists of runs; None where it did not come that far.

    Of a sweep or a comparison, the student is the best trade-off, and ``networks`` says among how many. ``macs_share``
    is that of the student in what the teacher needs; ``bytes`` are those of its weights.
    """

    id: str
    started: str
    pipeline: str
    state: Literal["finished", "failed", "unfinished"]
    message: str = ""
    data: str
    simulated: bool
    network: str
    student: str = ""
    networks: int = 0
    teacher_accuracy: float | None = None
    student_accuracy: float | None = None
    macs_share: float | None = None
    params: int | None = None
    bytes: int | None = None
    gate_passed: bool | None = None
    bundle_uri: str | None = None
    report: bool = False
