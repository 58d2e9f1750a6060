"""Addresses in an object store."""

import re
from dataclasses import dataclass

from sarslim.errors import InputError

ADDRESS = re.compile(r"(?:s3|minio)://([^/]*)(?:/(.*))?", re.DOTALL)
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
UNSOUND = re.compile(r"\.\.|\.-|-\.|\d+(\.\d+){3}\Z")  # among names of buckets
LONGEST_KEY = 1024  # bytes


@dataclass(frozen=True)
class S3Uri:
    """An address in an object store: ``s3://bucket/key``. ``minio://``, which KFP writes by default, means the same."""

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, text: str, where: str = "S3 address") -> "S3Uri":
        """
        Args:
            where: what the address was given as, for errors.

        Raises:
            InputError: not of the form ``s3://bucket[/key]``, or no name that a bucket or an object can have.
        """
        match = ADDRESS.fullmatch(text)
        if match is None:
            raise InputError(where, f"{text!r} is no s3:// address", "Write s3://bucket/path")
        bucket, key = match[1], (match[2] or "").strip("/")
        if not BUCKET.fullmatch(bucket) or UNSOUND.match(bucket) or UNSOUND.search(bucket):
            remedy = "Write s3://bucket/path; a bucket has 3 to 63 small letters, digits, dots and hyphens in its name"
            raise InputError(where, f"{text!r} names no bucket", remedy)
        if {".", ".."} & set(key.split("/")):
            raise InputError(where, f"{text!r} has . or .. in its path", "Write the path that is meant, without them")
        if any(ord(sign) < 32 or ord(sign) == 127 or 0xD800 <= ord(sign) < 0xE000 for sign in key):
            raise InputError(where, f"{text!r} holds signs that no text has", "Write s3://bucket/path in plain text")
        if len(key.encode()) > LONGEST_KEY:
            raise InputError(where, f"{text[:60]!r}... is longer than {LONGEST_KEY} bytes", "Write a shorter path")
        return cls(bucket, key)

    def __truediv__(self, name: str) -> "S3Uri":
        return S3Uri(self.bucket, f"{self.key}/{name}".lstrip("/"))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}".rstrip("/")


def is_s3(text: str) -> bool:
    """Whether ``text`` is an address in an object store."""
    return text.startswith(("s3://", "minio://"))
