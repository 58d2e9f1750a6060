"""What stages leave for each other and for people: JSON files with fixed names."""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sarslim import __version__
from sarslim.config import RunConfig
from sarslim.errors import InputError
from sarslim.records import BundleRecord, EvaluateRecord

CONFIG, TRAINING, PRUNING, EVALUATION = "config.json", "training.json", "pruning.json", "evaluation.json"

PACKAGES = ("kfp", "torch", "torchvision", "torch-pruning", "numpy", "minio", "pydantic")

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


def versions() -> dict[str, str]:
    """Versions of Python, sarslim and, where they are installed, the packages that results depend on."""
    found = {"python": sys.version.split()[0], "sarslim": __version__}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def summary(
    evaluation: EvaluateRecord,
    *,
    config: RunConfig,
    data_name: str,
    bundle: BundleRecord,
    bundle_uri: str | None,
    versions: Mapping[str, str],
    seconds: Mapping[str, float],
    cached: list[str],
) -> dict[str, Any]:
    """The content of ``summary.json``.

    Args:
        bundle: what the bundle says of itself; its artifacts may come from runs with other configurations.
    """
    return {
        "data": {
            "name": data_name,
            "simulated": bundle.simulated,
            "digest": bundle.data_digest,
            "test_chips": bundle.test_chips,
        },
        "network": bundle.network,
        "teacher": evaluation.teacher.summary(),
        "pruned": evaluation.pruned.summary(),
        "student": evaluation.student.summary(),
        "delivered": [
            each.model_dump(include={"network", "runtime", "precision", "accuracy", "macro_f1", "bytes"})
            | {"latency_ms": each.latency[0].median_ms}
            for each in evaluation.deployments
        ],
        "rivals": [
            rival.model_dump(include={"network", "params", "macs", "bytes"})
            | {"latency_ms": rival.latency[0].median_ms}
            for rival in evaluation.rivals
        ],
        "majority_accuracy": evaluation.majority_accuracy,
        "shortcuts": {each.name: each.accuracy for each in evaluation.shortcuts},
        "over_shortcut": {
            name: found.model_dump(include={"difference", "interval"})
            for name, found in evaluation.over_shortcut.items()
        },
        "gate_passed": evaluation.passed,
        "shifted": {
            each.name: {
                "chips": each.student.chips,
                "teacher": each.student.accuracy[1],
                "pruned": each.pruned.accuracy[0],
                "student": each.student.accuracy[0],
                "difference": each.student.difference,
                "interval": each.student.interval,
            }
            for each in evaluation.shifted
        },
        "bundle_uri": bundle_uri,
        "config": config.model_dump(mode="json"),
        "versions": dict(versions),
        "seconds": dict(seconds),
        "cached": cached,
    }
