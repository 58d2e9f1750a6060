"""What stages leave for each other and for people: JSON files with fixed names."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sarslim.config import RunConfig
from sarslim.errors import InputError
from sarslim.records import EvaluateRecord

CONFIG, TRAINING, PRUNING, EVALUATION = "config.json", "training.json", "pruning.json", "evaluation.json"

Model = TypeVar("Model", bound=BaseModel)


def write_json(file: Path, values: BaseModel | Mapping[str, Any]) -> None:
    """Writes a record or a mapping, whole or not at all."""
    text = values.model_dump_json(indent=2) if isinstance(values, BaseModel) else json.dumps(values, indent=2)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.part")
    unfinished.write_text(text + "\n", encoding="utf-8")
    os.replace(unfinished, file)


def read_json(model: type[Model], file: Path) -> Model:
    """Reads a record.

    Raises:
        InputError: the file is missing or holds something else.
    """
    try:
        return model.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise InputError(str(file), "is missing", "Use the artifact of a finished stage") from None
    except ValidationError as error:
        raise InputError(
            str(file),
            f"is not a {model.__name__} ({error.error_count()} problems)",
            "Use the artifact of a finished stage of this version",
        ) from None


def read_evaluation(folder: Path) -> EvaluateRecord:
    """The record of the evaluate stage."""
    return read_json(EvaluateRecord, folder / EVALUATION)


def summary(
    evaluation: EvaluateRecord,
    *,
    config: RunConfig,
    bundle_uri: str | None,
    versions: Mapping[str, str],
    seconds: Mapping[str, float],
    cached: list[str],
) -> dict[str, Any]:
    """The content of ``summary.json``."""
    return {
        "teacher": evaluation.teacher.summary(),
        "pruned": evaluation.pruned.summary(),
        "student": evaluation.student.summary(),
        "majority_accuracy": evaluation.majority_accuracy,
        "gate_passed": evaluation.passed,
        "bundle_uri": bundle_uri,
        "config": config.model_dump(mode="json"),
        "versions": dict(versions),
        "seconds": dict(seconds),
        "cached": cached,
    }
