"""What every component does around its stage: a journal entry, one clear line for a mistake, figures for the KFP UI."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sarslim.config.parameters import ARTIFACTS, start_with
from sarslim.errors import InputError, SarslimError, of_the_machine, show_any_sign
from sarslim.progress import note
from sarslim.records import JournalEntry, Origin
from sarslim.store import journal
from sarslim.store.storage import is_s3


@contextmanager
def stage(name: str, *, inputs: Mapping[str, Any] | None = None, outputs: Mapping[str, Any]) -> Iterator[None]:
    """Turns a :class:`SarslimError` into one line and an exit code, 2 for a user's mistake and 1 for a failure.

    Args:
        name: the stage.
        inputs, outputs: KFP artifacts by the name under which a later run may be given them.
    """
    entry = JournalEntry(
        stage=name,
        state="running",
        inputs={key: artifact.uri for key, artifact in (inputs or {}).items()},
        outputs={key: artifact.uri for key, artifact in outputs.items()},
    )
    show_any_sign()
    _refuse_again(entry)
    _write(entry)
    for key, uri in entry.inputs.items():
        print(f"given {key}  {uri}", flush=True)
    try:
        yield
    except SarslimError as error:
        state = "refused" if isinstance(error, InputError) else "failed"
        _write(entry.model_copy(update={"state": state, "message": error.line}))
        print(error.line, flush=True)  # last, where people look first
        sys.exit(error.exit_code)
    except BaseException as error:
        found = of_the_machine(error)
        said = found.line if found else f"{type(error).__name__}: {error}"
        _write(entry.model_copy(update={"state": "failed", "message": said}))
        if found:
            print(found.line, flush=True)
            sys.exit(found.exit_code)
        raise
    _write(entry.model_copy(update={"state": "succeeded"}))
    _tell(entry)


def _tell(entry: JournalEntry) -> None:
    """The end of the log: what the stage made, and how a later run starts from there."""
    for key, uri in entry.outputs.items():
        print(f"made {key}  {uri}", flush=True)
    made = [name for name in ARTIFACTS if name in entry.outputs]
    if made and (pipeline := start_with({**entry.inputs, **entry.outputs})):
        print(f"to start from this {made[-1]}: {pipeline}", flush=True)


def _write(entry: JournalEntry) -> None:
    try:
        journal.write(entry)
    except SarslimError as error:  # the stage itself may get on without the object store
        note(f"no journal: {error}")


def _refuse_again(entry: JournalEntry) -> None:
    """Ends a retry at once if the attempt before it ended by a user's mistake: Kubernetes retries those too."""
    if int(os.environ.get("KFP_RETRY_INDEX") or 0) == 0:
        return
    for past in journal.read(journal.run_root(next(iter(entry.outputs.values())))):
        if past.outputs == entry.outputs and past.state == "refused":
            print(past.message, flush=True)
            sys.exit(InputError.exit_code)


def origin(artifact: Any) -> Origin:
    """The run that writes a KFP artifact, the time, and the address of the artifact if others can reach it."""
    return Origin(
        run=journal.run_root(artifact.uri).rpartition("/")[2],
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        address=artifact.uri if is_s3(artifact.uri) else "",
    )


def log(metrics: Any, figures: Mapping[str, float]) -> None:
    """Logs figures to a KFP ``Metrics`` artifact, prints them for the launcher, and writes them at the artifact's path.

    Without the file, KFP's local cache would take the entry for lost.
    """
    for name, value in figures.items():
        metrics.log_metric(name, value)
    path = Path(metrics.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(figures), indent=2), encoding="utf-8")
    tell(figures)


def tell(figures: Mapping[str, float]) -> None:
    """Prints figures for the launcher."""
    print(f"figures: {json.dumps(dict(figures))}", flush=True)


def log_classification(metrics: Any, scores: Any) -> None:
    """Logs the confusion matrix, and for two classes the ROC curve, to a KFP ``ClassificationMetrics`` artifact."""
    names = [row.name for row in scores.classes]
    metrics.log_confusion_matrix(names, [list(row) for row in scores.confusion])
    if len(names) == 2 and scores.roc:
        curve = scores.roc[-1]
        metrics.log_roc_curve(list(curve.false_positive_rate), list(curve.true_positive_rate), list(curve.thresholds))
    path = Path(metrics.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"classes": names, "confusion": [list(row) for row in scores.confusion]}))
