"""Where raw chips come from: a local path, an object store, or nowhere (the simulator)."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sarslim.errors import InputError
from sarslim.storage import S3Uri, Storage, is_s3


@contextmanager
def local_copy(source: str) -> Iterator[Path | None]:
    """The source as a local path, or None for the simulator; a copy from an object store goes when the context ends.

    Raises:
        InputError: nothing at this address.
    """
    if not source:
        yield None
    elif is_s3(source):
        with tempfile.TemporaryDirectory(prefix="sarslim-source-") as folder:
            yield Storage.from_environment().download(S3Uri.parse(source), Path(folder))
    elif Path(source).exists():
        yield Path(source)
    else:
        raise InputError("source", f"there is nothing at {source!r}", "Give an existing path or an s3:// address")


def stored_fingerprint(source: str) -> str:
    """SHA-256 over names, sizes and etags of the objects at an ``s3://`` address.

    Raises:
        InputError: no objects there.
    """
    objects = Storage.from_environment().list(S3Uri.parse(source))
    if not objects:
        raise InputError("source", f"nothing is stored at {source!r}", "Check the address, or upload the data first")
    return hashlib.sha256(repr(objects).encode()).hexdigest()
