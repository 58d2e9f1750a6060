"""S3 in and out: one client, typed errors, retries and checksums."""

import hashlib
import re
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path, PurePosixPath

from minio import Minio
from minio.error import InvalidResponseError, S3Error

from sarslim.errors import InputError, SarslimError
from sarslim.progress import Progress
from sarslim.store import client, faults, whole
from sarslim.store.address import S3Uri, is_s3

__all__ = ["SUMS", "S3Uri", "Storage", "StoredBytes", "is_s3", "local_copy", "sha256", "verify_sums", "write_sums"]

SUMS = "SHA256SUMS"
SUM = re.compile(r"[0-9a-f]{64}  [^/\s][^\x00-\x1f\x7f]{0,254}")  # of a file below the folder of the list
PARALLEL_TRANSFERS = 8


class Storage:
    """An object store behind the S3 protocol."""

    def __init__(self, client: Minio, endpoint: str, region: str, attempts: int = 4) -> None:
        self._client, self.endpoint, self._region = client, endpoint, region
        self._attempts = attempts  # at one object whose bytes break off or differ from their checksum

    @classmethod
    def from_environment(cls, *, retries: int = 3, timeout_seconds: float = 30) -> "Storage":
        """The store that the variables and files name which AWS users have; see :func:`sarslim.store.client.connect`.

        Raises:
            InputError: no credentials, or a variable or a file that cannot be used.
        """
        connected = client.connect(retries=retries, timeout_seconds=timeout_seconds, connections=PARALLEL_TRANSFERS)
        return cls(*connected, attempts=retries + 1)

    def list(self, uri: S3Uri) -> list[tuple[str, int, str]]:
        """Objects below ``uri`` as (key relative to it, bytes, etag), sorted; the object itself if ``uri`` is one."""
        with self._errors(uri):
            prefix = f"{uri.key}/" if uri.key else ""
            objects = list(self._client.list_objects(uri.bucket, prefix=prefix, recursive=True))
            if objects:
                rows = [(item.object_name.removeprefix(prefix), item.size or 0, item.etag or "") for item in objects]
                return sorted(row for row in rows if row[0] and not row[0].endswith("/"))
            if uri.key and self._exists(uri):
                item = self._client.stat_object(uri.bucket, uri.key)
                return [("", item.size or 0, item.etag or "")]
            return []

    def has_bucket(self, uri: S3Uri) -> bool:
        """Whether the bucket of this address is there."""
        with self._errors(uri):
            return self._client.bucket_exists(uri.bucket)

    def exists(self, uri: S3Uri) -> bool:
        """Whether there is an object at exactly this address."""
        with self._errors(uri):
            return self._exists(uri)

    def read(self, uri: S3Uri) -> bytes:
        """The content of one object, as it was stored."""
        with self._errors(uri):
            return whole.read(self._client, uri, attempts=self._attempts)

    def write(self, uri: S3Uri, content: bytes) -> None:
        """Writes one object; the bucket is made if it is missing."""
        self.make_bucket(uri)
        self.send(content, uri)

    def send(self, source: Path | bytes, uri: S3Uri) -> None:
        """Writes one object into a bucket that is there.

        Raises:
            InputError: the store refuses it, or what answers is none.
            ServiceError: the store cannot be reached, or keeps other bytes than were sent.
        """
        with self._errors(uri):
            whole.put(self._client, uri, source, attempts=self._attempts, endpoint=self.endpoint)

    def make_bucket(self, uri: S3Uri) -> None:
        """Makes the bucket of this address, if it is missing."""
        with self._errors(uri):
            if self._client.bucket_exists(uri.bucket):
                return
            try:
                self._client.make_bucket(uri.bucket)
            except (S3Error, InvalidResponseError) as error:
                if faults.code(error) not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):  # somebody was faster
                    raise

    def delete(self, uri: S3Uri) -> None:
        """Deletes one object, if it is there."""
        if self.exists(uri):
            with self._errors(uri):
                self._client.remove_object(uri.bucket, uri.key)

    def modified(self, uri: S3Uri) -> datetime:
        """When one object was written, in UTC.

        Raises:
            InputError: there is no such object.
        """
        with self._errors(uri):
            found = self._client.stat_object(uri.bucket, uri.key).last_modified
        assert found is not None
        return found

    def probe(self, uri: S3Uri) -> None:
        """Writes a small object below ``uri``, reads it and deletes it: what can be kept there.

        Raises:
            InputError: the credentials do not allow it, or what answers is no object store.
            ServiceError: the store cannot be reached.
        """
        place, content = uri / f".sarslim-{secrets.token_hex(8)}", secrets.token_bytes(32)
        try:
            self.write(place, content)
            if self.read(place) != content:
                raise InputError(str(uri), f"{self.endpoint} does not keep what is written there", faults.NOT_S3)
        finally:
            with self._errors(place):
                self._client.remove_object(place.bucket, place.key)

    def download(self, uri: S3Uri, directory: Path) -> Path:
        """Copies the object or all objects below ``uri`` into ``directory``.

        Returns:
            The path of the copy: the file for one object, ``directory`` for many.

        Raises:
            InputError: nothing there, or a key that would leave ``directory``.
        """
        objects = self.objects(uri)
        progress = Progress("download", len(objects))
        with ThreadPoolExecutor(PARALLEL_TRANSFERS) as pool:
            for _ in pool.map(lambda row: self._fetch(uri, row[0], directory), objects):
                progress.step()
        return directory / PurePosixPath(uri.key).name if objects[0][0] == "" else directory

    def objects(self, uri: S3Uri) -> Sequence[tuple[str, int, str]]:
        """As :meth:`list`.

        Raises:
            InputError: nothing there.
        """
        objects = self.list(uri)
        if not objects:
            raise InputError(str(uri), "nothing is stored there", "Check the address, or upload the data first")
        return objects

    def _fetch(self, uri: S3Uri, key: str, directory: Path) -> None:
        relative = PurePosixPath(key or PurePosixPath(uri.key).name)
        if relative.is_absolute() or ".." in relative.parts:
            raise InputError(str(uri), f"the key {key!r} leads out of the folder", "Rename the object")
        source = uri / key if key else uri
        with self._errors(source):
            whole.get(self._client, source, directory / relative, attempts=self._attempts)

    def upload(self, source: Path, uri: S3Uri) -> None:
        """Copies a file, or all files of a folder, to ``uri``."""
        files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
        self.make_bucket(uri)
        for path in files:
            self.send(path, uri / path.relative_to(source).as_posix() if source.is_dir() else uri)

    def publish(self, bundle: Path, uri: S3Uri) -> None:
        """Uploads a bundle so that a reader sees all of it or none: ``SHA256SUMS`` goes last, and readers need it.

        Publishing the same bundle again changes nothing.

        Raises:
            InputError: another bundle is already published under ``uri``.
        """
        sums = (bundle / SUMS).read_bytes()
        if self.exists(uri / SUMS):
            if self.read(uri / SUMS) == sums:
                return
            raise InputError(str(uri), "another bundle has this version", "Choose another publish.version")
        names = sorted(verify_sums(bundle))
        written: list[S3Uri] = []
        try:
            for name in names:
                self.upload(bundle / name, uri / name)
                written.append(uri / name)
            self.write(uri / SUMS, sums)
        except BaseException:
            with suppress(SarslimError):  # nobody sees them, and why it failed is what counts
                for target in written:
                    self.delete(target)
            raise

    def fetch_bundle(self, uri: S3Uri, directory: Path) -> dict[str, str]:
        """Downloads a published bundle and checks every file.

        Returns:
            The SHA-256 of every file by name.

        Raises:
            InputError: no complete bundle there, or a file that differs from its checksum.
        """
        if not self.exists(uri / SUMS):
            raise InputError(str(uri), f"no complete bundle: {SUMS} is missing", "Check the name and the version")
        self.download(uri, directory)
        return verify_sums(directory)

    def _exists(self, uri: S3Uri) -> bool:
        try:
            self._client.stat_object(uri.bucket, uri.key)
        except (S3Error, InvalidResponseError) as error:
            if faults.code(error) in faults.MISSING | {"NoSuchBucket"}:
                return False
            raise
        return True

    @contextmanager
    def _errors(self, uri: S3Uri) -> Iterator[None]:
        try:
            yield
        except SarslimError:
            raise
        except faults.CAUGHT as error:
            # Without its cause: minio and http.client quote headers, and in them keys.
            raise faults.explained(self._in_full(error, uri), uri, self.endpoint, self._region) from None

    def _in_full(self, error: Exception, uri: S3Uri) -> Exception:
        """The answer to HEAD has no body that could say why; the same question by GET has."""
        if not isinstance(error, S3Error) or error.response.data:
            return error
        try:
            next(iter(self._client.list_objects(uri.bucket, prefix=uri.key)), None)
        except faults.CAUGHT as other:
            return other
        return error


@contextmanager
def local_copy(address: str, where: str = "source") -> Iterator[Path]:
    """A local path as it is, or a copy of what is at an ``s3://`` address, which goes when the context ends.

    Args:
        where: what the address was given as, for errors.

    Raises:
        InputError: nothing at this address.
    """
    if not address.strip():
        raise InputError(where, f"{address!r} names nothing", "Give an existing path or an s3:// address")
    if is_s3(address):
        with tempfile.TemporaryDirectory(prefix="sarslim-copy-") as folder:
            yield Storage.from_environment().download(S3Uri.parse(address, where), Path(folder))
    elif Path(address).exists():
        yield Path(address)
    else:
        raise InputError(where, f"there is nothing at {address!r}", "Give an existing path or an s3:// address")


class StoredBytes:
    """One object as a place to keep bytes in between, such as the checkpoint of a training run."""

    def __init__(self, storage: Storage, uri: S3Uri) -> None:
        self._storage, self._uri = storage, uri

    def load(self) -> bytes | None:
        """What was saved last, or None."""
        return self._storage.read(self._uri) if self._storage.exists(self._uri) else None

    def save(self, content: bytes) -> None:
        """Replaces what was saved."""
        self._storage.write(self._uri, content)

    def clear(self) -> None:
        """Forgets what was saved."""
        self._storage.delete(self._uri)


def write_sums(bundle: Path) -> str:
    """Writes ``SHA256SUMS`` (the format of ``sha256sum``) for all files of a folder and returns its digest."""
    names = sorted(path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file())
    lines = [f"{sha256(bundle / name)}  {name}\n" for name in names if name != SUMS]
    (bundle / SUMS).write_text("".join(lines), encoding="ascii")
    return sha256(bundle / SUMS)


def verify_sums(bundle: Path) -> dict[str, str]:
    """The SHA-256 of every file listed in ``SHA256SUMS``, each checked.

    Raises:
        InputError: no such list, or a listed file is missing or differs.
    """
    try:
        lines = (bundle / SUMS).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(bundle), f"is not a bundle: {SUMS} cannot be read", "Give a folder with one") from error
    rows = [(line[:64], line[66:]) for line in lines]
    for number, (line, (_, name)) in enumerate(zip(lines, rows, strict=True), 1):
        if not SUM.fullmatch(line) or ".." in name.split("/"):
            problem = f"{SUMS} has a line {number} that gives no file of the bundle a checksum"
            raise InputError(str(bundle), problem, "Get the bundle again; do not use this copy")
    for digest, name in rows:
        path = bundle / name
        if not path.is_file() or sha256(path) != digest:
            found = "is missing" if not path.is_file() else "differs from its checksum"
            raise InputError(str(path), f"{name} {found}", "Get the bundle again; do not use this copy")
    return {name: digest for digest, name in rows}


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
