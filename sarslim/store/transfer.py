"""A folder of chips into an object store: with progress, checked, and where it broke it goes on."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sarslim.errors import InputError
from sarslim.progress import Progress
from sarslim.store.storage import PARALLEL_TRANSFERS, S3Uri, Storage
from sarslim.store.whole import digests


@dataclass(frozen=True)
class Upload:
    """What an upload did: files and bytes sent, and files that were there already."""

    sent: int
    bytes: int
    there: int


def upload(storage: Storage, folder: Path, uri: S3Uri) -> Upload:
    """Copies all files of a folder, or one file, to ``uri``.

    A file that is there with the same checksum is not sent again, so that an upload that broke goes on where it did.

    Raises:
        InputError: nothing to copy.
        ServiceError: the store cannot be reached, or keeps other bytes than were sent.
    """
    files = dict(_files(folder))
    if not files:
        raise InputError(str(folder), "holds no files", "Name the folder of the chips")
    storage.make_bucket(uri)
    there = {name: (size, etag.strip('"')) for name, size, etag in storage.list(uri)}
    progress, lock = Progress("upload", len(files)), threading.Lock()
    sent = nbytes = 0

    def one(name: str) -> None:
        nonlocal sent, nbytes
        path = files[name]
        size = path.stat().st_size
        known, etag = there.get(name, (-1, ""))
        new = known != size or digests(path)[0] != etag  # what is new is read once
        if new:
            storage.send(path, uri / name if name else uri)
        with lock:
            sent, nbytes = sent + new, nbytes + new * size
            progress.step(f"{nbytes / 1e6:,.1f} MB sent")

    with ThreadPoolExecutor(PARALLEL_TRANSFERS) as pool:
        for _ in pool.map(one, files):
            pass
    return Upload(sent, nbytes, len(files) - sent)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    if folder.is_file():
        yield "", folder
    elif not folder.is_dir():
        raise InputError(str(folder), "there is nothing there", "Name a folder of chips")
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in parts):
            yield "/".join(parts), path
