"""Faults at random moments of everything that sarslim does with a store, and what is in the store afterwards.

After each: every object is whole, be it the one before or the one that was to be written, or there is none; what was
downloaded is whole or absent; and who was not told of a failure has what he asked for.
"""

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.proxy import KINDS, Fault, Proxy, Store, broken_store, variables

from sarslim.errors import InputError, SarslimError
from sarslim.store import transfer
from sarslim.store.local_store import in_environment
from sarslim.store.storage import SUMS, S3Uri, Storage, StoredBytes, verify_sums, write_sums

BUCKET = S3Uri.parse("s3://campaign")
TIMEOUT = 1.0
RETRIES = 3
MOST_SECONDS = 60.0  # of one operation, however often it is tried
SIZES = (0, 1, 1000, 200_000)


@dataclass
class Tally:
    """``injected`` faults by kind; of the operations ``survived`` had what they asked for, ``told`` were refused."""

    injected: Counter[str] = field(default_factory=Counter)
    survived: int = 0
    told: int = 0
    slowest: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.injected.items()))
        return (
            f"store: {self.injected.total()} faults injected ({kinds}); {self.survived} operations survived, "
            f"{self.told} told, slowest {self.slowest:.1f} s, {len(self.wrong)} wrong"
        )


class Campaign:
    """Operations through a proxy, each held against what a direct look into the store finds."""

    def __init__(self, proxy: Proxy, store: Store, folder: Path, seed: int) -> None:
        self.proxy, self.folder, self.tally = proxy, folder, Tally()
        self.rng = random.Random(seed)
        with in_environment(variables(store, proxy.address)):
            self.client = Storage.from_environment(retries=RETRIES, timeout_seconds=TIMEOUT)
        self._store = store
        self.direct.make_bucket(BUCKET)
        self.number = 0

    @property
    def direct(self) -> Storage:
        """A client past the proxy; the store may have come back at another address."""
        with in_environment(variables(self._store, "http://{}:{}".format(*self._store.address))):
            return Storage.from_environment()

    def step(self, operation: Callable[["Campaign"], None], faults: list[Fault]) -> None:
        """One operation with faults on its way."""
        self.number += 1
        self.proxy.faults[:] = faults
        before = Counter(self.proxy.injected)
        start = time.monotonic()
        try:
            operation(self)
        except AssertionError as error:
            kinds = ", ".join(f"{fault.kind} x{fault.times} after {fault.after}" for fault in faults)
            self.tally.wrong.append(f"{operation.__name__} with {kinds}: {error}")
        finally:
            self.proxy.faults.clear()
        seconds = time.monotonic() - start
        self.tally.slowest = max(self.tally.slowest, seconds)
        if seconds > MOST_SECONDS:
            self.tally.wrong.append(f"{operation.__name__} took {seconds:.0f} s")
        self.tally.injected += Counter(self.proxy.injected) - before

    def asked(self, ask: Callable[[], Any]) -> tuple[bool, Any]:
        """Whether what was asked for went well, and its answer; any other error than ours is wrong."""
        try:
            found = ask()
        except SarslimError:
            self.tally.told += 1
            return False, None
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}") from error
        finally:
            self.proxy.faults.clear()
        self.tally.survived += 1
        return True, found

    def content(self, size: int | None = None) -> bytes:
        """Bytes of no meaning."""
        return self.rng.randbytes(self.rng.choice(SIZES) if size is None else size)

    def kept(self, uri: S3Uri) -> bytes | None:
        """What the store has at an address."""
        direct = self.direct
        return direct.read(uri) if direct.exists(uri) else None

    def files(self, name: str) -> tuple[Path, dict[str, bytes]]:
        """A folder of files, and their content."""
        folder = self.folder / f"{name}-{self.number}"
        contents = {f"{part}/{number}.bin": self.content() for part in "ab" for number in range(3)}
        for file, content in contents.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        return folder, contents


def write(self: Campaign) -> None:
    """An object, in the place of another or of none."""
    uri, old, new = BUCKET / f"object-{self.number % 7}", None, self.content()
    faults, self.proxy.faults[:] = list(self.proxy.faults), []
    if self.rng.random() < 0.5:
        old = self.content()
        self.direct.write(uri, old)
    else:
        self.direct.delete(uri)
    self.proxy.faults[:] = faults
    well, _ = self.asked(lambda: self.client.write(uri, new))
    found = self.kept(uri)
    assert found == new or (not well and found == old), f"{_size(found)} kept, of {_size(old)} and {_size(new)}"


def read(self: Campaign) -> None:
    """An object, also as the checkpoint of a training is read."""
    uri, content = BUCKET / "read", self.content(self.rng.choice((0, 1, 300_000)))
    self.direct.write(uri, content)
    ask = self.rng.choice((lambda: self.client.read(uri), StoredBytes(self.client, uri).load))
    well, found = self.asked(ask)
    assert not well or found == content, f"{_size(found)} read of {_size(content)}"


def upload(self: Campaign) -> None:
    """A folder, and again what did not get there."""
    folder, contents = self.files("upload")
    place = BUCKET / folder.name
    well, _ = self.asked(lambda: transfer.upload(self.client, folder, place))
    for name, content in contents.items():
        found = self.kept(place / name)
        assert found == content or (not well and found is None), f"{name}: {_size(found)} of {_size(content)}"
    transfer.upload(self.client, folder, place)
    assert all(self.kept(place / name) == content for name, content in contents.items()), "the second upload"
    shutil.rmtree(folder)


def download(self: Campaign) -> None:
    """A folder."""
    folder, contents = self.files("download")
    place, copy = BUCKET / folder.name, self.folder / f"copy-{self.number}"
    faults, self.proxy.faults[:] = list(self.proxy.faults), []
    self.direct.upload(folder, place)
    self.proxy.faults[:] = faults
    well, _ = self.asked(lambda: self.client.download(place, copy))
    there = {path.relative_to(copy).as_posix(): path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert not well or there.keys() == contents.keys(), f"{len(there)} of {len(contents)} files"
    assert all(contents.get(name) == content for name, content in there.items()), f"a file is broken: {sorted(there)}"
    shutil.rmtree(folder)
    shutil.rmtree(copy, ignore_errors=True)


def publish(self: Campaign) -> None:
    """A bundle, and again where it was not published."""
    folder, _ = self.files("bundle")
    write_sums(folder)
    place = BUCKET / "models" / folder.name
    well, _ = self.asked(lambda: self.client.publish(folder, place))
    _whole_or_none(self, folder, place, well)
    self.client.publish(folder, place)
    _whole_or_none(self, folder, place, True)
    shutil.rmtree(folder)


def _whole_or_none(self: Campaign, folder: Path, place: S3Uri, well: bool) -> None:
    copy, found, refusal = self.folder / f"whole-{self.number}", {}, ""
    try:
        found = self.direct.fetch_bundle(place, copy)
    except InputError as error:
        refusal = str(error)
    shutil.rmtree(copy, ignore_errors=True)
    if refusal:
        assert not well, f"a published bundle cannot be read: {refusal}"
        assert f"no complete bundle: {SUMS} is missing" in refusal, f"half a bundle: {refusal}"
    else:
        assert found == verify_sums(folder), "the bundle has other files"


def fetch(self: Campaign) -> None:
    """A published bundle."""
    folder, _ = self.files("fetched")
    write_sums(folder)
    place, copy = BUCKET / "models" / folder.name, self.folder / f"fetch-{self.number}"
    faults, self.proxy.faults[:] = list(self.proxy.faults), []
    self.direct.publish(folder, place)
    self.proxy.faults[:] = faults
    well, found = self.asked(lambda: self.client.fetch_bundle(place, copy))
    assert not well or (found == verify_sums(folder) == verify_sums(copy)), "another bundle came"
    shutil.rmtree(folder)
    shutil.rmtree(copy, ignore_errors=True)


OPERATIONS = (write, read, upload, download, publish, fetch)


def campaign(root: Path, faults: int, seed: int, tell: Callable[[str], None] = print) -> Tally:
    """As many faults as asked for, and some more of the last operation."""
    with broken_store(root / "store") as (proxy, store, environment), in_environment(environment):
        own = Campaign(proxy, store, root, seed)
        while own.tally.injected.total() < faults:
            operation = own.rng.choice(OPERATIONS)
            own.step(operation, [_drawn(own.rng) for _ in range(own.rng.choice((1, 1, 2)))])
            if own.number % 50 == 0:
                tell(f"after {own.number} operations: {own.tally}")
        return own.tally


def _drawn(rng: random.Random) -> Fault:
    kind = rng.choice(KINDS)
    times = 1 if kind == "kill-store" else rng.choice((1, 1, 1, 2, 3, RETRIES + 1, 20))
    methods = "GET HEAD" if kind == "stall" else rng.choice(("GET PUT POST", "PUT", "GET", "GET HEAD PUT POST DELETE"))
    return Fault(kind, min(times, 2) if kind == "stall" else times, methods, rng.randrange(4), rng.random())


def _size(content: bytes | None) -> str:
    return "nothing" if content is None else f"{len(content)} bytes"
