"""Objects whole or not at all: what is sent goes with its checksums, and what comes is held against them."""

import hashlib
import io
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from uuid import uuid4

import urllib3.exceptions as http
from minio import Minio
from minio.error import S3Error

from sarslim.errors import InputError, ServiceError
from sarslim.store import faults
from sarslim.store.address import S3Uri

SHA256 = "sarslim-sha256"  # an entry of the metadata of an object
PART_BYTES = 16 * 2**20  # what is larger goes in parts, and the store's checksum is one of the parts
PIECE_BYTES = 2**20
PAUSE_SECONDS = 0.4
# What breaks off a body. That a request gets no answer at all is tried again by urllib3 (store.retries).
CUT = (http.ProtocolError, http.ReadTimeoutError, http.DecodeError)

Result = TypeVar("Result")


class Damaged(Exception):
    """Other bytes than those that their checksum is of."""


def put(client: Minio, uri: S3Uri, source: Path | bytes, *, attempts: int, endpoint: str) -> None:
    """Writes one object, with its SHA-256 in its metadata; what it keeps is held against its MD5, where it tells it.

    Raises:
        InputError: what answers is no object store.
        ServiceError: the store keeps other bytes than were sent.
    """
    etag, sha256 = digests(source)

    def once() -> None:
        length = len(source) if isinstance(source, bytes) else source.stat().st_size
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
            kept = client.put_object(
                uri.bucket, uri.key, stream, length, metadata={SHA256: sha256}, part_size=PART_BYTES
            )
        if not kept.etag:  # every S3 store answers with one; a web server may say yes to anything
            raise InputError(str(uri), f"{endpoint} does not answer as an S3 store", faults.NOT_S3)
        if _tells_md5(kept.etag, kept.http_headers or {}) and kept.etag != etag:
            raise Damaged

    try:
        _again(once, attempts)
    except Damaged:
        problem = "the store keeps other bytes than were sent"
        raise ServiceError(str(uri), problem, "Run again; if this stays, look at the store and the way to it") from None


def get(client: Minio, uri: S3Uri, target: Path, *, attempts: int) -> None:
    """Copies one object to a file, which appears whole or not at all.

    Raises:
        ServiceError: other bytes came than were stored.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    building = target.with_name(f".{target.name[:100]}.{uuid4().hex[:8]}.part")

    def once() -> None:
        with building.open("wb") as file:
            _receive(client, uri, file)

    try:
        _checked(once, uri, attempts)
        building.replace(target)
    finally:
        with suppress(OSError):
            building.unlink(missing_ok=True)


def read(client: Minio, uri: S3Uri, *, attempts: int) -> bytes:
    """The content of one object.

    Raises:
        ServiceError: other bytes came than were stored.
    """

    def once() -> bytes:
        file = io.BytesIO()
        _receive(client, uri, file)
        return file.getvalue()

    return _checked(once, uri, attempts)


def digests(source: Path | bytes) -> tuple[str, str]:
    """The checksum that S3 gives to a file, its MD5 or that of those of its parts and their number, and its SHA-256."""
    parts, sha256 = [], hashlib.sha256()
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        while part := file.read(PART_BYTES):
            parts.append(hashlib.md5(part, usedforsecurity=False).digest())
            sha256.update(part)
    if len(parts) <= 1:
        return (parts[0] if parts else hashlib.md5(b"", usedforsecurity=False).digest()).hex(), sha256.hexdigest()
    whole = hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
    return f"{whole}-{len(parts)}", sha256.hexdigest()


def _receive(client: Minio, uri: S3Uri, file: BinaryIO) -> None:
    """Writes the body of an object.

    Raises:
        Damaged: it differs from its length, its SHA-256 or its MD5, as far as the store tells them.
    """
    md5, sha256, length = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    response = client.get_object(uri.bucket, uri.key)
    try:
        for piece in response.stream(PIECE_BYTES):
            md5.update(piece)
            sha256.update(piece)
            length += file.write(piece)
    finally:
        response.close()
        response.release_conn()
    headers = response.headers
    etag, wanted = headers.get("etag", "").strip('"'), headers.get(f"x-amz-meta-{SHA256}", sha256.hexdigest())
    if sha256.hexdigest() != wanted or (_tells_md5(etag, headers) and etag != md5.hexdigest()):
        raise Damaged


def _tells_md5(etag: str, headers: Mapping[str, Any]) -> bool:
    """Whether an etag is the MD5 of the object: not of one in parts, nor of one that is encrypted with a key."""
    lower = {str(name).lower(): str(value) for name, value in headers.items()}
    encrypted = "kms" in lower.get("x-amz-server-side-encryption", "")
    encrypted |= "x-amz-server-side-encryption-customer-algorithm" in lower
    return len(etag) == 32 and not encrypted


def _checked(once: Callable[[], Result], uri: S3Uri, attempts: int) -> Result:
    try:
        return _again(once, attempts)
    except Damaged:
        problem = "other bytes come than were stored"
        raise ServiceError(str(uri), problem, "Run again; if this stays, look at the store and the way to it") from None


def _again(once: Callable[[], Result], attempts: int) -> Result:
    for number in range(1, attempts):
        try:
            return once()
        except (*CUT, Damaged):
            time.sleep(PAUSE_SECONDS * number * random.uniform(0.5, 1.5))
        except S3Error as error:
            # The store found what came to differ from its checksum.
            if error.code not in ("BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch"):
                raise
            time.sleep(PAUSE_SECONDS * number * random.uniform(0.5, 1.5))
    return once()
