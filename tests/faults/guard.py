"""What is held against a reader of a hostile file: it reads or it names the file, soon, in little memory, and nothing
else happens.
"""

import io
import logging
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from faults.readers import Reader

from sarslim.errors import SarslimError

SECONDS = 5.0  # of processor time, for one file
MEBIBYTES = 1024  # of memory, beyond what the process had before
LONGEST = 5000  # characters of an error
CHANGES = {
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.truncate", "os.utime",
}  # fmt: skip
NEVER = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pickle.find_class", "ftplib.connect"}
# What the interpreter itself reads while modules are imported late, and what a library asks the system for.
SYSTEM = (sys.prefix, sys.base_prefix, "/proc/self", "/dev/null", "/sys", "/proc", str(Path(__file__).parents[2]))


class Guard:
    """Judges one case after another in a folder of its own, which is all that a reader may touch."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sarslim-guard-")).resolve()
        self.slowest, self.first_peak = 0.0, 0
        self._watching, self._seen = False, ""
        self._readers: set[str] = set()
        self._temporary = (str(self.folder), tempfile.gettempdir() + "/sarslim-copy-", tempfile.gettempdir() + "/tmp")
        logging.disable(logging.CRITICAL)  # what libraries say of broken files
        sys.addaudithook(self._note)

    def close(self) -> None:
        """Removes the folder."""
        self._watching = False
        logging.disable(logging.NOTSET)
        shutil.rmtree(self.folder, ignore_errors=True)

    def judge(self, name: str, reader: Reader, data: bytes) -> tuple[bool, str]:
        """Whether a file was read rather than refused, and what is wrong about how that went ("": nothing)."""
        self._readers.add(name)
        own = self.folder / name
        own.mkdir(exist_ok=True)
        if not self.first_peak:
            self.first_peak = peak_mebibytes()
        refusal: SarslimError | None = None
        start = time.process_time()
        try:
            with self._watched(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                reader.read(data, own)
        except SarslimError as error:
            refusal = error
        except BaseException as error:
            return False, f"{type(error).__name__}: {error} at {_place(error)}"
        seconds = time.process_time() - start
        self.slowest = max(self.slowest, seconds)
        return refusal is None, self._wrong(refusal, seconds, own)

    def _wrong(self, refusal: SarslimError | None, seconds: float, own: Path) -> str:
        if self._seen:
            return self._seen
        if refusal is not None:
            line = refusal.line
            if not refusal.where.strip() or not refusal.remedy.strip():
                return f"an error that names nothing: {line!r}"
            if not line.isprintable():
                return f"an error that a terminal would obey: {line!r}"
            if len(line) > LONGEST:
                return f"an error that fills the screen: {len(line)} characters, {line[:200]!r}"
        if seconds > SECONDS:
            return f"it took {seconds:.1f} s"
        if peak_mebibytes() - self.first_peak > MEBIBYTES:
            return f"it took {peak_mebibytes() - self.first_peak} MiB"
        if set(os.listdir(self.folder)) != self._readers:
            return f"it left {os.listdir(self.folder)}"
        return ""

    @contextmanager
    def _watched(self) -> Iterator[None]:
        self._watching, self._seen = True, ""
        try:
            yield
        finally:
            self._watching = False

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._watching or self._seen:
            return
        if event == "open":
            path, mode, flags = arguments
            if not isinstance(path, str | bytes):
                return
            place = os.fsdecode(path)
            changes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if isinstance(flags, int) else False
            allowed = self._temporary if changes else (*self._temporary, *SYSTEM, tempfile.gettempdir())
            if place != "/dev/null" and not os.path.realpath(place).startswith(allowed):
                self._seen = f"it opened {place!r}{' to write' if changes else ''}"
        elif event in CHANGES and isinstance(arguments[0], str | bytes):
            if not os.path.realpath(os.fsdecode(arguments[0])).startswith(self._temporary):
                self._seen = f"{event} of {arguments[0]!r}"
        elif event == "socket.connect" and arguments[1][0] != "127.0.0.1":
            self._seen = f"it called {arguments[1]!r}"
        elif event in NEVER:
            self._seen = f"{event} {arguments!r:.200}"


def peak_mebibytes() -> int:
    """The largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _place(error: BaseException) -> str:
    """Where an error came up: the last line of ours, and the very last one."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/sarslim/" in frame.filename] or frames
    shown = dict.fromkeys(f"{Path(frame.filename).name}:{frame.lineno}" for frame in (ours[-1], frames[-1]))
    return " < ".join(shown)
