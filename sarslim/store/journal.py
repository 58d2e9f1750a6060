"""The journal of a run: one small entry per stage, beside the artifacts of the run.

On a cluster, KFP's API names artifacts by number only and its exit status gives no reason. So every stage writes down
what it was given, what it makes and how it ended, where the exit handler and a later rerun find it.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from sarslim.errors import InputError
from sarslim.records import JournalEntry
from sarslim.store.storage import S3Uri, Storage, is_s3

FOLDER = "journal"


def run_root(uri: str) -> str:
    """The folder of a run, from the address of any artifact that one of its tasks writes.

    KFP lays them out as ``<run>/<task>/<salt>/<artifact>`` in an object store and ``<run>/<task>/<artifact>`` locally.
    """
    return uri.rstrip("/").rsplit("/", 3 if is_s3(uri) else 2)[0]


def write(entry: JournalEntry) -> None:
    """Writes or replaces the entry of a task.

    Raises:
        SarslimError: the object store refuses it or cannot be reached.
    """
    own = sorted(entry.outputs.values())
    # Tasks of a loop share the name of their stage.
    name = f"{entry.stage}-{hashlib.sha256(' '.join(own).encode()).hexdigest()[:12]}.json"
    content = (entry.model_dump_json(indent=2) + "\n").encode()
    root = run_root(own[0])
    if is_s3(root):
        Storage.from_environment().write(S3Uri.parse(root) / FOLDER / name, content)
    else:
        file = Path(root) / FOLDER / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def read(root: str) -> list[JournalEntry]:
    """All entries of the run in the folder ``root``, in no order.

    Raises:
        InputError: an entry that none of ours wrote.
        SarslimError: the object store refuses it or cannot be reached.
    """
    if not is_s3(root):
        files = sorted((Path(root) / FOLDER).glob("*.json"))
        return [_entry(str(file), file.read_bytes()) for file in files]
    storage, folder = Storage.from_environment(), S3Uri.parse(root) / FOLDER
    return [_entry(str(folder / name), storage.read(folder / name)) for name, _, _ in storage.list(folder)]


def _entry(where: str, content: bytes) -> JournalEntry:
    try:
        return JournalEntry.model_validate_json(content)
    except ValidationError:
        raise InputError(where, "is no entry of a journal", "Remove it, or name the run of another version") from None


def artifacts(entries: Iterable[JournalEntry]) -> dict[str, str]:
    """The address of every artifact that is whole: the inputs of all stages and the outputs of those that succeeded.

    A name that stands for several artifacts, as in the loops of a sweep, is left out.
    """
    found: dict[str, set[str]] = {}
    for entry in entries:
        for name, uri in [*entry.inputs.items(), *(entry.outputs.items() if entry.state == "succeeded" else ())]:
            found.setdefault(name, set()).add(uri)
    return {name: uris.pop() for name, uris in found.items() if len(uris) == 1}
