"""What of the runs on this machine can go: folders of old runs, and artifacts that no kept run names."""

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sarslim.errors import InputError
from sarslim.kubeflow.local import history

JOURNAL = "journal"  # beside the tasks of a run; goes with the last of them


@dataclass(frozen=True)
class Surplus:
    """Folders that can go, and the bytes of their files."""

    runs: tuple[Path, ...]
    artifacts: tuple[Path, ...]
    bytes: int


def surplus(runs: Path, keep: int) -> Surplus:
    """What goes if the latest ``keep`` runs stay, with all artifacts that they name.

    Published bundles stay, and so does what later runs of the same settings find in the cache of a kept run.

    Raises:
        InputError: a run goes on: what it makes is named nowhere yet.
    """
    found = history.runs_in(runs)
    if going := [run.id for run in found if run.message == history.SILENT]:
        raise InputError(
            "runs", f"{going[0]} {history.SILENT}", f"Wait for its end, or remove {runs / going[0]} if it was killed"
        )
    kept, old = found[:keep], [runs / run.id for run in found[keep:]]
    named = {task for run in kept for task in _tasks(runs, runs / run.id)}
    unnamed: list[Path] = []
    for root in sorted((runs / "store" / "sarslim" / "pipelines").glob("*/")):
        tasks = [task for task in root.glob("*/") if task.name != JOURNAL]
        gone = [task for task in tasks if task.resolve() not in named]
        unnamed += gone if len(gone) < len(tasks) else [root]
    return Surplus(tuple(old), tuple(unnamed), sum(map(_size, [*old, *unnamed])))


def remove(folders: Iterable[Path]) -> None:
    """Removes folders with all that is in them."""
    for folder in folders:
        shutil.rmtree(folder)


def _tasks(runs: Path, run: Path) -> Sequence[Path]:
    """The folders of the tasks whose artifacts a run names."""
    try:
        made = json.loads((run / history.SUMMARY).read_text(encoding="utf-8"))["artifacts"]
    except (OSError, ValueError, KeyError):
        return []
    return [(runs / path).parent.resolve() for path in made.values()]


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
