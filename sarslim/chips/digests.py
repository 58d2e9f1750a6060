"""SHA-256 of what a source holds, independent of where it lies."""

import hashlib
from collections import defaultdict
from pathlib import Path

from sarslim.chips.container import Folder, readable


def fingerprint(source: Path) -> str:
    """SHA-256 over the sorted relative names, sizes and contents of all files of ``source``, a folder or one file.

    Raises:
        InputError: a folder that cannot be read.
    """
    total = hashlib.sha256()
    for name, path in _files(source):
        total.update(_entry(name, path))
    return total.hexdigest()


def source_digests(source: Path) -> dict[str, str]:
    """SHA-256 of every zip, and of every other folder of files as a whole, by name relative to ``source``."""
    folders: dict[str, list[bytes]] = defaultdict(list)
    digests: dict[str, str] = {}
    for name, path in _files(source):
        if path.suffix.lower() == ".zip":
            digests[name] = _content(path).hex()
        else:
            folder = name.rpartition("/")[0] or "."
            folders[folder].append(_entry(name, path))
    digests.update((folder, hashlib.sha256(b"".join(entries)).hexdigest()) for folder, entries in folders.items())
    return dict(sorted(digests.items()))


def _files(source: Path) -> list[tuple[str, Path]]:
    if source.is_file():
        return [(readable(source.name), source)]
    folder = Folder(source)
    return [(member, Path(folder.path(member))) for member in sorted(folder.members)]


def _entry(name: str, path: Path) -> bytes:
    return f"{name}\0{path.stat().st_size}\0".encode() + _content(path)


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
