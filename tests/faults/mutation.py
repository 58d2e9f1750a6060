"""Mutations that keep a file's outer form, so that what lies behind it is reached: checksums, lengths, JSON, names."""

import copy
import io
import json
import random
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

Bytes = Callable[[bytes], bytes]
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2, 255, 10**6, 2**31, 2**63, 10**30, -1e308, 1e-308, 0.5, float("nan"), float("inf"), "", "x",
    "../../x", "/etc/passwd", "\0", "\x1b[2J", "a\nb", "s3://x/y", "💥" * 40, "x" * 5000, [], {}, [[]], {"": ""},
    [0] * 300, {"x": {"x": {"x": 1}}},
)  # fmt: skip


def simple(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, cut out, doubled or put in; for when no fuzzer is there to do it better."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(len(found) + 1)
        kind = rng.randrange(4)
        if kind == 0 and found:
            found[min(place, len(found) - 1)] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif kind == 1:
            del found[place : place + rng.choice((1, 4, 50))]
        elif kind == 2:
            found[place:place] = found[place : place + rng.choice((1, 4, 50))]
        else:
            found[place:place] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 4))))
    return bytes(found)


def json_values(data: bytes, rng: random.Random, other: Bytes) -> bytes:
    """JSON with some of its values changed, doubled or gone."""
    try:
        tree = [json.loads(data)]
    except (ValueError, RecursionError):
        return other(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places: list[tuple[Any, Any]] = []
        _places(tree, places)
        inside, key = rng.choice(places)
        if rng.random() < 0.5:
            inside[key] = _near(inside[key], rng)
        elif rng.random() < 0.15 and inside is not tree:
            del inside[key]
        elif rng.random() < 0.15 and isinstance(inside, list) and len(inside) < 50:
            inside.insert(key, copy.deepcopy(inside[key]))
        elif rng.random() < 0.1 and isinstance(inside, dict):
            inside[rng.choice(("x", "", "__proto__", "\x1b[2J", "x" * 3000))] = copy.deepcopy(inside[key])
        else:
            inside[key] = copy.deepcopy(rng.choice((*VALUES, rng.choice(places)[1])))
    return json.dumps(tree[0] if tree else None).encode()


def _near(value: Any, rng: random.Random) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return rng.choice((value + 1, value - 1, -value, value * 2, value * 1000, 0))
    if isinstance(value, str):
        return rng.choice((value[1:], f"{value}x", value * 2, value.upper(), rng.choice("/.\0\n é") + value))
    if isinstance(value, list) and value:
        return rng.choice((value[1:], value + value[:1], value[::-1]))
    return value


def _places(tree: Any, found: list[tuple[Any, Any]]) -> None:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(inner):
        found.append((tree, key))
        if isinstance(value, dict | list):
            _places(value, found)


def safetensors(data: bytes, rng: random.Random, other: Bytes) -> bytes:
    """A header of JSON with the right length, before the same bytes."""
    if len(data) < 8:
        return other(data)
    (length,) = struct.unpack_from("<Q", data)
    header = json_values(data[8 : 8 + length], rng, other)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def npy(data: bytes, rng: random.Random, other: Bytes) -> bytes:
    """A header of the right length, before the same bytes."""
    if len(data) < 10:
        return other(data)
    (length,) = struct.unpack_from("<H", data, 8)
    header = other(data[10 : 10 + length])[:60_000]
    return data[:8] + struct.pack("<H", len(header)) + header + data[10 + length :]


def png(data: bytes, rng: random.Random, other: Bytes) -> bytes:
    """A PNG whose chunks have the right checksums again."""
    data = other(data)
    parts, place = [data[:8]], 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        if place + 12 + length > len(data):
            break
        body = data[place + 4 : place + 8 + length]
        parts.append(data[place : place + 8 + length] + struct.pack(">I", zlib.crc32(body)))
        place += 12 + length
    return b"".join([*parts, data[place:]])


def zipped(data: bytes, rng: random.Random, other: Bytes) -> bytes:
    """A zip file with one member changed, in its name or its bytes, and everything else in order."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()[:60]]
    except Exception:
        return other(data)
    if not members:
        return other(data)
    place = rng.randrange(len(members))
    name, content = members[place]
    if rng.random() < 0.3:
        name = other(name.encode("utf-8", "replace")).decode("latin-1").replace("\0", "") or "x"
    else:
        content = other(content)
    members[place] = name, content
    if rng.random() < 0.2:
        members.insert(rng.randrange(len(members)), rng.choice(members))
    file = io.BytesIO()
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(file, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive,
    ):
        warnings.simplefilter("ignore")  # of names that stand twice
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()
