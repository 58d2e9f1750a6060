"""What lies in a folder or a zip file, found by one walk that readers, digests and predictions share."""

import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from sarslim.errors import InputError
from sarslim.records import Skipped

# Names that operating systems, disk stations and tools of developers give to what no user put there, in lower case.
# What begins with a dot or a tilde is theirs, too.
TOOLS = {
    "__macosx", "lost+found", "lost.dir", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "network trash folder",
    "temporary items", "$recycle.bin", "recycler", "recycled", "system volume information", "@eadir", "@tmp",
    "@recycle", "@recently-snapshot", "@__thumb", "#recycle", "#snapshot", "__pycache__", "node_modules", "wandb",
    "mlruns", "lightning_logs",
}  # fmt: skip
TOOL_NAME = re.compile(r"~.*|.*~|#.*#|found\.\d{3}", re.DOTALL)
HIDDEN, LEFT = "hidden, as tools leave it", "left there by a tool"


def no_data(name: str) -> str:
    """Why a file or a folder of this name, without a path, is no data; "" if it may be."""
    if name.startswith("."):
        return HIDDEN
    return LEFT if name.lower() in TOOLS or TOOL_NAME.fullmatch(name) else ""


@dataclass
class Directory:
    """A folder that a walk has come to: its name below the source, and what lies in it, in the order of names.

    The walk goes on into what is left in ``folders``.
    """

    name: str
    files: list[str]
    folders: list[str]


class Walk:
    """Every folder below a source, what tools left behind being passed over; ``skipped`` grows on the way."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self.skipped: list[Skipped] = []

    def __iter__(self) -> Iterator[Directory]:
        waiting = [""]
        while waiting:
            directory = self._look(waiting.pop())
            yield directory
            waiting += [_join(directory.name, folder) for folder in reversed(directory.folders)]

    def _look(self, name: str) -> Directory:
        directory = Directory(name, [], [])
        try:
            with os.scandir(self._source / name) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    self._sort_in(entry, directory)
        except OSError as error:
            raise InputError(
                str(self._source / name), f"cannot be read ({error.strerror})", "Allow this user to read it"
            ) from error
        return directory

    def _sort_in(self, entry: os.DirEntry[str], directory: Directory) -> None:
        reason = no_data(entry.name)
        if reason:
            self.skipped.append(Skipped(name=_join(directory.name, entry.name), reason=reason))
        elif entry.is_dir(follow_symlinks=False):
            directory.folders.append(entry.name)
        elif entry.is_file():
            directory.files.append(entry.name)


class Folder:
    """The files below a folder: ``members`` in the order of the parts of their names, ``skipped`` what is no data."""

    def __init__(self, path: Path, name: str = "") -> None:
        self._path, self.name = path, name
        walk = Walk(path)
        members = (_join(directory.name, file) for directory in walk for file in directory.files)
        self.members: Sequence[str] = sorted(members, key=lambda member: member.split("/"))
        self.skipped: Sequence[Skipped] = walk.skipped

    @classmethod
    def at(cls, source: "Path | Folder") -> "Folder":
        """The folder at a path, or one that was walked already."""
        return source if isinstance(source, Folder) else cls(source, source.name)

    def path(self, member: str) -> Path:
        """Where a member is."""
        return self._path / member

    def read(self, member: str) -> bytes:
        """The bytes of one file."""
        return self.path(member).read_bytes()


class Zip:
    """The members of a zip file, read one at a time and never unpacked to disk.

    Raises:
        InputError: not a zip, cut short, or with an entry that would land outside the folder it is unpacked to.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(name, f"is not a whole zip file ({error})", "Download or copy it again") from error
        names = self._zip.namelist()
        for entry in names:
            # Backslashes and drive letters are paths for whoever unpacks the file on Windows.
            escapes = ".." in PureWindowsPath(entry).parts or PureWindowsPath(entry).anchor
            if escapes or PurePosixPath(entry).is_absolute():
                self._zip.close()
                raise InputError(
                    name, f"has the entry {entry!r}, which escapes the folder", "Do not use it; get a clean copy"
                )  # fmt: skip
        found = {entry: why_no_data(entry) for entry in names if not entry.endswith("/")}
        self.members: Sequence[str] = sorted(entry for entry, reason in found.items() if not reason)
        self.skipped: Sequence[Skipped] = [
            Skipped(name=f"{name}/{entry}", reason=reason) for entry, reason in sorted(found.items()) if reason
        ]

    def read(self, member: str) -> bytes:
        """The bytes of one member.

        Raises:
            InputError: the member is damaged or encrypted.
        """
        try:
            return self._zip.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
            raise InputError(
                f"{self.name}/{member}", f"cannot be unpacked ({error})", "Download or copy the zip again"
            ) from error


Container = Folder | Zip


def why_no_data(path: str) -> str:
    """Why what has this path in a zip or an object store is no data; "" if it may be."""
    return next(filter(None, map(no_data, path.split("/"))), "")


def is_data(path: str) -> bool:
    """Whether what has this path is not left behind by a tool."""
    return not why_no_data(path)


def told(reasons: Iterable[str]) -> str:
    """How often which reason: ``23 left there by a tool; 8 hidden, as tools leave it``."""
    return "; ".join(f"{count} {reason}" for reason, count in Counter(reasons).most_common())


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
