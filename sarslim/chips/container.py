"""A zip file or a folder as a set of named members, so that readers need not care which."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from sarslim.errors import InputError


class Folder:
    """The files below a folder."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self.name = path, name
        self.members: Sequence[str] = sorted(
            file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()
        )

    def read(self, member: str) -> bytes:
        """The bytes of one file."""
        return (self._path / member).read_bytes()


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
        self.members: Sequence[str] = sorted(entry for entry in names if not entry.endswith("/"))

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
