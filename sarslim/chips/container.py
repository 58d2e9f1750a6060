"""What lies in a folder or a zip file, found by one walk that readers, digests and predictions share."""

import os
import re
import stat
import zipfile
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path, PurePosixPath, PureWindowsPath

from sarslim.errors import InputError, cut
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
LOOP, TWICE = "a link back to a folder that it lies in", "a folder that is read under another name"
NOTHING, SPECIAL = "a link to nothing", "neither a file nor a folder"
SHOWN = 3
LONGEST = 200  # characters of what a decoder says


def no_data(name: str) -> str:
    """Why a file or a folder of this name, without a path, is no data; "" if it may be."""
    if name.startswith("."):
        return HIDDEN
    return LEFT if name.lower() in TOOLS or TOOL_NAME.fullmatch(name) else ""


@dataclass
class Directory:
    """A folder that a walk has come to: its name below the source, and what lies in it, in the order of names.

    The walk goes on into what is left in ``folders``. ``strange`` has the names on the disk of what has another one
    here, because its own is not UTF-8; ``renamed`` tells that the folder itself or one above it is such.
    """

    name: str
    real: str
    renamed: bool
    files: list[str]
    folders: list[str]
    strange: dict[str, str]

    def path(self, name: str) -> str:
        """Where a file or a folder in it is."""
        return f"{self.real.rstrip('/')}/{self.strange.get(name, name)}"


class Walk:
    """Every folder below a source once, whatever links lead to it, and what tools left behind passed over.

    Folders come before those that links lead to, so that a folder has the name with the fewest links. ``skipped``,
    ``strange`` with the names that are not UTF-8, and ``outside`` with the links that lead out of the source and their
    targets, grow on the way.

    Raises:
        InputError: while it walks, at a folder that cannot be read.
    """

    def __init__(self, source: Path) -> None:
        self._source, self._real = source, os.path.realpath(source)
        self._links: deque[tuple[str, str, bool]] = deque()
        self._closed: list[str] = []
        self.skipped: list[Skipped] = []
        self.strange: list[str] = []
        self.outside: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[Directory]:
        seen: set[str] = set()
        waiting = [("", self._real, False)]
        while waiting or self._links:
            linked = not waiting
            name, real, renamed = self._links.popleft() if linked else waiting.pop()
            if real in seen or any(_within(real, closed) for closed in self._closed):
                self._skip(name, TWICE)
                continue
            seen.add(real)
            if linked:
                self._note_way_out(name, real)
            directory = self._look(name, real, renamed)
            inner = len(directory.folders)
            yield directory
            if inner and not directory.folders:
                self._closed.append(real)
            waiting += [
                (_join(name, folder), directory.path(folder), renamed or folder in directory.strange)
                for folder in reversed(directory.folders)
            ]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is strange about the source, but no reason to leave something out."""
        found = []
        if self.outside:
            count = "1 link leads" if len(self.outside) == 1 else f"{len(self.outside)} links lead"
            ways = [f"{name} -> {readable(target)}" for name, target in self.outside]
            found.append(f"{count} out of the source: {_first(ways)}")
        if self.strange:
            count = "1 name is" if len(self.strange) == 1 else f"{len(self.strange)} names are"
            found.append(f"{count} not UTF-8, their bytes are written as \\x..: {_first(self.strange)}")
        return tuple(found)

    def _look(self, name: str, real: str, renamed: bool) -> Directory:
        directory = Directory(name, real, renamed, [], [], {})
        try:
            with os.scandir(real) as entries:
                for entry in sorted(entries, key=attrgetter("name")):
                    shown = readable(entry.name)
                    reason = no_data(shown) or self._sort_in(entry, shown, directory)
                    if reason:
                        self._skip(_join(name, shown), reason)
                    elif shown != entry.name:
                        directory.strange[shown] = entry.name
                        self.strange.append(_join(name, shown))
        except OSError as error:
            raise InputError(
                str(self._source / name), f"cannot be read ({error.strerror})", "Allow this user to read it"
            ) from error
        return directory

    def _sort_in(self, entry: os.DirEntry[str], shown: str, directory: Directory) -> str:
        """Puts an entry where it belongs, or says why it is passed over."""
        if entry.is_symlink():
            return self._follow(entry, shown, directory)
        if entry.is_dir():
            directory.folders.append(shown)
        elif entry.is_file():
            directory.files.append(shown)
        else:
            return SPECIAL
        return ""

    def _follow(self, entry: os.DirEntry[str], shown: str, directory: Directory) -> str:
        try:
            kind = os.stat(entry.path).st_mode
        except OSError:
            return NOTHING
        name, target = _join(directory.name, shown), os.path.realpath(entry.path)
        if stat.S_ISREG(kind):
            directory.files.append(shown)
            self._note_way_out(name, target)
        elif not stat.S_ISDIR(kind):
            return SPECIAL
        elif _within(directory.real, target) or _within(self._real, target):
            return LOOP
        else:
            self._links.append((name, target, directory.renamed or shown != entry.name))
        return ""

    def _note_way_out(self, name: str, target: str) -> None:
        if not _within(target, self._real):
            self.outside.append((name, target))

    def _skip(self, name: str, reason: str) -> None:
        self.skipped.append(Skipped(name=name, reason=reason))


class Folder:
    """The files below a folder: ``members`` in the order of the parts of their names, ``skipped`` what is no data."""

    def __init__(self, path: Path, name: str = "") -> None:
        self._path, self.name = str(path), name  # pathlib would take longer to join than a chip to open
        self._strange: dict[str, str] = {}
        members: list[str] = []
        walk = Walk(path)
        for directory in walk:
            names = [_join(directory.name, file) for file in directory.files]
            members += names
            if directory.renamed or directory.strange:
                self._strange.update(zip(names, map(directory.path, directory.files), strict=True))
        self.members: Sequence[str] = sorted(members, key=lambda member: member.split("/"))
        self.skipped: Sequence[Skipped] = walk.skipped
        self.warnings: Sequence[str] = walk.warnings

    @classmethod
    def at(cls, source: "Path | Folder") -> "Folder":
        """The folder at a path, or one that was walked already."""
        return source if isinstance(source, Folder) else cls(source, readable(source.name))

    def path(self, member: str) -> str:
        """Where a member is."""
        return self._strange.get(member) or f"{self._path}/{member}"

    def read(self, member: str, most_bytes: int) -> bytes:
        """The bytes of one file.

        Raises:
            InputError: more than ``most_bytes``, or a file that cannot be read.
        """
        where = f"{self.name}/{member}"
        try:
            with open(self.path(member), "rb") as file:
                check_bytes(where, os.fstat(file.fileno()).st_size, most_bytes)
                return file.read()
        except OSError as error:
            raise InputError(where, f"cannot be read ({error.strerror})", "Allow this user to read it") from error


class Zip:
    """The members of a zip file, read one at a time and never unpacked to disk.

    Raises:
        InputError: not a zip, cut short, or with an entry that would land outside the folder it is unpacked to.
    """

    def __init__(self, path: str | Path, name: str) -> None:
        self.name = name
        try:
            self._zip = zipfile.ZipFile(path)
        except Exception as error:  # it raises whatever it comes across
            raise InputError(name, f"is not a whole zip file ({said(error)})", "Download or copy it again") from error
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
        self.warnings: Sequence[str] = ()
        self.skipped: Sequence[Skipped] = [
            Skipped(name=f"{name}/{entry}", reason=reason) for entry, reason in sorted(found.items()) if reason
        ]

    def read(self, member: str, most_bytes: int) -> bytes:
        """The bytes of one member.

        Raises:
            InputError: more than ``most_bytes``, or the member is damaged or encrypted.
        """
        where = f"{self.name}/{member}"
        check_bytes(where, self._zip.getinfo(member).file_size, most_bytes)
        try:
            return self._zip.read(member)
        except Exception as error:
            raise InputError(where, f"cannot be unpacked ({said(error)})", "Download or copy the zip again") from error


Container = Folder | Zip


def check_bytes(name: str, size: int, most: int) -> None:
    """
    Raises:
        InputError: a file of ``size`` bytes is larger than ``most``.
    """
    if size > most:
        raise InputError(
            name, f"has {size / 1e6:,.0f} MB, more than max_megabytes={most // 1_000_000}",
            "Cut chips from it, or raise images.max_megabytes of the prepare stage",
        )  # fmt: skip


def said(error: Exception) -> str:
    """What an exception says, in one line, or else its kind."""
    return cut(" ".join(str(error).split()), LONGEST) or type(error).__name__


def readable(name: str) -> str:
    """A file name as a text that can be stored and shown: bytes that are not UTF-8 are written as ``\\xb4``."""
    if name.isascii():
        return name
    return os.fsencode(name).decode("utf-8", errors="backslashreplace")


def why_no_data(path: str) -> str:
    """Why what has this path in a zip or an object store is no data; "" if it may be."""
    return next(filter(None, map(no_data, path.split("/"))), "")


def is_data(path: str) -> bool:
    """Whether what has this path is not left behind by a tool."""
    return not why_no_data(path)


def told(reasons: Iterable[str]) -> str:
    """How often which reason: ``left there by a tool (23), a link to nothing (8)``."""
    return ", ".join(f"{reason} ({count})" for reason, count in Counter(reasons).most_common())


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _within(path: str, folder: str) -> bool:
    """Whether a real path is a folder or lies below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
