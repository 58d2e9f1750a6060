"""Artifacts of an earlier run that a pipeline starts from: are they what they are given for?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sarslim.chips.dataset import RECORD
from sarslim.config import PrepareConfig
from sarslim.errors import InputError
from sarslim.networks import artifact
from sarslim.records import DatasetRecord, ModelRecord
from sarslim.stages.results import CONFIG
from sarslim.store.storage import S3Uri, Storage, is_s3

Model = TypeVar("Model", bound=BaseModel)
PASTE = "Paste the URI of a {} artifact of an earlier run"


def check_given(given: Mapping[str, str]) -> dict[str, Any]:
    """Reads the record of every artifact, a few kilobytes, and holds the models against the data set.

    Args:
        given: address of each artifact by the part it plays: ``dataset``, ``teacher``, ``pruned``, ``student``.

    Returns:
        The records under the same names: a ``DatasetRecord`` and ``ModelRecord``s.

    Raises:
        InputError: the first artifact that is missing, of another kind, or made for other chips.
        ServiceError: the object store cannot be reached.
    """
    chips = _dataset(given["dataset"])
    records: dict[str, Any] = {"dataset": chips}
    for kind in [name for name in given if name != "dataset"]:
        model = records[kind] = _model(kind, given[kind])
        for field in ("classes", "channels", "image_size", "multilook"):
            if getattr(model, field) != getattr(chips, field):
                raise InputError(
                    f"{kind}_uri",
                    f"the {field} of {given[kind]!r} are {getattr(model, field)}, those of the data set "
                    f"{getattr(chips, field)}",
                    "Give artifacts of one run",
                )
    return records


def prepared(uri: str) -> PrepareConfig:
    """How the data set at an address was prepared.

    Raises:
        InputError: it does not tell.
        ServiceError: the object store cannot be reached.
    """
    return _parsed(PrepareConfig, "dataset", uri, CONFIG)


def _dataset(uri: str) -> DatasetRecord:
    return _parsed(DatasetRecord, "dataset", uri, RECORD)


def _model(kind: str, uri: str) -> ModelRecord:
    record = _parsed(ModelRecord, kind, uri, artifact.MODEL)
    if record.kind != kind:
        raise InputError(f"{kind}_uri", f"{uri!r} is a {record.kind}, not a {kind}", PASTE.format(kind))
    return record


def _parsed(model: type[Model], kind: str, uri: str, name: str) -> Model:
    try:
        return model.model_validate_json(_read(kind, uri, name))
    except ValidationError:
        raise InputError(f"{kind}_uri", f"{uri!r} is no {kind} of this version", PASTE.format(kind)) from None


def _read(kind: str, uri: str, name: str) -> bytes:
    if not uri:
        raise InputError(f"{kind}_uri", "is empty", PASTE.format(kind))
    if is_s3(uri):
        storage, address = Storage.from_environment(), S3Uri.parse(uri, f"{kind}_uri") / name
        if storage.exists(address):
            return storage.read(address)
    elif (file := Path(uri) / name).is_file():
        return file.read_bytes()
    raise InputError(f"{kind}_uri", f"there is no {name} at {uri!r}, so it is no {kind}", PASTE.format(kind))
