"""The runs on this machine: what each leaves about itself, and what each achieved.

Lists of runs are to be quick: nothing here needs KFP or PyTorch.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sarslim import report
from sarslim.records import Comparison, RunEntry, RunSummary
from sarslim.stages.results import write_json

ENTRY, SETTINGS, SUMMARY, COMPARISON, PAGE = "run.json", "config.yaml", "summary.json", "comparison.json", "report.html"
STAMP = "%Y%m%d-%H%M%S"  # how the name of a run begins
SILENT = "goes on, or was killed"
INTERRUPTED = 130  # exit code


@contextmanager
def noted(folder: Path, pipeline: str) -> Iterator[None]:
    """Keeps ``run.json`` in the folder of a run, from its start to its end, however it ends."""
    entry = RunEntry(pipeline=pipeline, started=datetime.now().astimezone().isoformat(timespec="seconds"))
    write_json(folder / ENTRY, entry)
    end: dict[str, str] = {"state": "failed"}
    try:
        yield
        end = {"state": "finished"}
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) or getattr(error, "exit_code", 0) == INTERRUPTED:
            end = {"state": "interrupted"}
            raise
        first, *_ = str(error).splitlines() or [type(error).__name__]
        end["message"] = first
        raise
    finally:
        if folder.is_dir():
            write_json(folder / ENTRY, entry.model_copy(update=end))


def runs_in(folder: Path) -> list[RunSummary]:
    """Every run in a folder of runs, the latest first; what a run did not come to, or what is damaged, is left out."""
    there = [path for path in folder.glob("*/") if not path.is_symlink() and (path / SETTINGS).is_file()]
    return sorted(map(_summary, there), key=lambda run: (_when(run.started), run.id), reverse=True)


def _when(started: str) -> float:
    return datetime.fromisoformat(started).timestamp()


def _summary(folder: Path) -> RunSummary:
    config = _settings(folder / SETTINGS)
    prepare, evaluate, teacher = (config.get(stage) or {} for stage in ("prepare", "evaluate", "teacher"))
    form = prepare.get("format", "auto") if prepare.get("source") else "simulator"
    known: dict[str, Any] = {
        "data": report.data_name(form, prepare.get("source") or "", evaluate.get("data_name") or ""),
        "simulated": form == "simulator",
        "network": teacher.get("network") or "",
    }
    found, kind = _achieved(folder)
    entry = _entry(folder / ENTRY) or RunEntry(
        pipeline=kind, started=_begun(folder), state="finished" if found else "running"
    )
    if entry.pipeline.startswith("from-"):
        # What such a run starts with was made by another configuration.
        known = {"data": "data of an earlier run", "simulated": False, "network": ""}
    ended = {"finished": "finished", "failed": "failed"}
    return RunSummary(
        id=folder.name,
        started=entry.started,
        pipeline=entry.pipeline,
        state=ended.get(entry.state, "unfinished"),
        message=entry.message or {"running": SILENT, "interrupted": "interrupted"}.get(entry.state, ""),
        report=(folder / PAGE).is_file(),
        **known | found,
    )


def _achieved(folder: Path) -> tuple[dict[str, Any], str]:
    """What the results say, and the kind of pipeline that leaves such; nothing where there are none yet."""
    try:
        if (folder / COMPARISON).is_file():
            record = Comparison.model_validate_json((folder / COMPARISON).read_bytes())
            return report.achieved(record), "comparison"
        return _compressed(json.loads((folder / SUMMARY).read_bytes())), "compress"
    except (OSError, ValueError, KeyError, TypeError):
        return {}, "compress"


def _compressed(summary: Mapping[str, Any]) -> dict[str, Any]:
    teacher, student = summary["teacher"], summary["student"]
    facts = {}
    if "data" in summary:
        facts = {
            "data": summary["data"]["name"],
            "simulated": summary["data"]["simulated"],
            "network": summary["network"],
        }
    return {
        "teacher_accuracy": teacher["accuracy"],
        "student_accuracy": student["accuracy"],
        "macs_share": student["macs"] / teacher["macs"],
        "params": student["params"],
        "bytes": student["bytes"],
        "gate_passed": summary["gate_passed"],
        "bundle_uri": summary["bundle_uri"],
    } | facts


def _settings(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _entry(file: Path) -> RunEntry | None:
    try:
        return RunEntry.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None


def _begun(folder: Path) -> str:
    """When a run without ``run.json`` began: its name says it, or the file that it wrote first."""
    try:
        begun = datetime.strptime(folder.name[:15], STAMP)
    except ValueError:
        begun = datetime.fromtimestamp((folder / SETTINGS).stat().st_mtime)
    return begun.astimezone().isoformat(timespec="seconds")
