"""A folder of chips into an object store: with progress, checked, and where it broke it goes on."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sarslim.errors import InputError, ServiceError
from sarslim.progress import Progress
from sarslim.store.storage import PARALLEL_TRANSFERS, S3Uri, Storage

PART_BYTES = 16 * 2**20  # what is larger goes in parts, and the store's checksum is one of the parts


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
    with storage._errors(uri):
        storage._make_bucket(uri)
    there = {name: (size, etag.strip('"')) for name, size, etag in storage.list(uri)}
    progress, lock = Progress("upload", len(files)), threading.Lock()
    sent: list[int] = []

    def one(name: str) -> None:
        path = files[name]
        size, etag = path.stat().st_size, etag_of(path)
        new = there.get(name) != (size, etag)
        if new:
            _send(storage, path, uri / name if name else uri, etag)
        with lock:
            sent.extend([size] if new else [])
            progress.step(f"{sum(sent) / 1e6:,.1f} MB sent")

    with ThreadPoolExecutor(PARALLEL_TRANSFERS) as pool:
        for _ in pool.map(one, files):
            pass
    return Upload(len(sent), sum(sent), len(files) - len(sent))


def etag_of(path: Path) -> str:
    """The checksum that S3 gives to a file: its MD5, or the MD5 of those of its parts and their number."""
    parts = []
    with path.open("rb") as file:
        while part := file.read(PART_BYTES):
            parts.append(hashlib.md5(part, usedforsecurity=False).digest())
    if len(parts) <= 1:
        return (parts[0] if parts else hashlib.md5(b"", usedforsecurity=False).digest()).hex()
    return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    if folder.is_file():
        yield "", folder
    elif not folder.is_dir():
        raise InputError(str(folder), "there is nothing there", "Name a folder of chips")
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in parts):
            yield "/".join(parts), path


def _send(storage: Storage, path: Path, uri: S3Uri, etag: str) -> None:
    with storage._errors(uri):
        kept = storage._client.fput_object(uri.bucket, uri.key, str(path), part_size=PART_BYTES).etag or ""
    # A store that encrypts gives checksums of another kind, which tell nothing of the bytes.
    if len(kept) == len(etag) == 32 and kept != etag:
        raise ServiceError(str(uri), f"the store keeps other bytes than {path} has", "Upload it again")
