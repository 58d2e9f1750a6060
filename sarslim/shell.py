"""What every component does around its stage: one clear line for a mistake, figures for the KFP UI."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sarslim.errors import InputError, SarslimError

INPUT_ERROR = "input error: "
SERVICE_ERROR = "service error: "


@contextmanager
def stage() -> Iterator[None]:
    """Turns a :class:`SarslimError` into one line and an exit code: 2 for a user's mistake, 1 for a failure."""
    try:
        yield
    except SarslimError as error:
        print(error_line(error), flush=True)
        sys.exit(error.exit_code)


def error_line(error: SarslimError) -> str:
    """The one line that a person sees."""
    return f"{INPUT_ERROR if isinstance(error, InputError) else SERVICE_ERROR}{error}"


def log(metrics: Any, figures: Mapping[str, float]) -> None:
    """Logs figures to a KFP ``Metrics`` artifact and writes them as JSON at its path.

    Without the file, KFP's local cache would take the entry for lost.
    """
    for name, value in figures.items():
        metrics.log_metric(name, value)
    path = Path(metrics.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(figures), indent=2), encoding="utf-8")


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
