"""A proxy between a client and the embedded object store that does what networks and stores do on bad days.

It stands in the place of the store: requests are signed for its address, and go on as they came. What it does to a
request is told by a fault, for the next so many requests of a method.
"""

import re
import secrets
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sarslim.store import local_store

REGION = "us-east-1"
PIECE = 1 << 16
SLOW_SECONDS = 0.3  # all in all, well below the patience of the client
STALL_SECONDS = 3.0  # well above it


@dataclass
class Fault:
    """``kind`` happens to ``times`` requests of ``methods``, after ``after`` of them went well."""

    kind: str
    times: int = 1
    methods: str = "GET PUT POST"
    after: int = 0
    at: float = 0.5  # after this share of a body
    done: int = field(default=0, init=False)


def _refusal(status: str, code: str) -> bytes:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>no</Message></Error>'.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


SAID = {
    "500": _refusal("500 Internal Server Error", "InternalError"),
    "503": _refusal("503 Slow Down", "SlowDown"),
    "expired": _refusal("403 Forbidden", "ExpiredToken"),
    "full": _refusal("507 Insufficient Storage", "XMinioStorageFull"),
}
ON_THE_WAY_THERE = ("cut-request", "flip-request", "kill-store")
ON_THE_WAY_BACK = ("reset", "truncate", "slow", "stall", "longer", "shorter", "flip", "lost-answer")
KINDS = ("refuse", *SAID, *ON_THE_WAY_THERE, *ON_THE_WAY_BACK)


class Store:
    """An embedded store that can be killed and come back, with the same keys and files."""

    def __init__(self, root: Path) -> None:
        self.root, self.keys, self.kills = root, (secrets.token_hex(8), secrets.token_hex(16)), 0
        self._up = threading.Lock()
        root.mkdir(parents=True, exist_ok=True)
        self._start()

    def _start(self) -> None:
        self._server: subprocess.Popen[str] = local_store.start(self.root, *self.keys)
        host, _, port = local_store.address(self._server).rpartition("//")[2].partition(":")
        self.address = (host, int(port))

    def kill(self) -> None:
        """Ends it outright, and starts it again a moment later."""
        with self._up:
            self.kills += 1
            self._server.kill()
            self._server.wait()
            time.sleep(0.2)
            self._start()

    def connect(self) -> socket.socket:
        """A connection, once it is up."""
        with self._up:
            return socket.create_connection(self.address, timeout=10)

    def close(self) -> None:
        """Ends it."""
        self._server.kill()
        self._server.wait()


class Proxy:
    """Listens at ``address``; ``faults`` are taken one after the other, ``injected`` counts what was done."""

    def __init__(self, store: Store) -> None:
        self.faults: list[Fault] = []
        self.injected: dict[str, int] = {}
        self._store, self._lock = store, threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Stops listening."""
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One request per connection: the next one comes with the next connection."""
        with client, suppress(OSError, ConnectionError, ValueError):
            client.settimeout(10)
            head, body = _message(client)
            if head:
                self._pass_on(client, _closing(head), body, self._next(head.split(b" ", 1)[0].decode()))

    def _next(self, method: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if method not in fault.methods.split():
                    continue
                fault.done += 1
                if fault.done <= fault.after:
                    return None
                if fault.done >= fault.after + fault.times:
                    self.faults.remove(fault)
                self.injected[fault.kind] = self.injected.get(fault.kind, 0) + 1
                return fault
        return None

    def _pass_on(self, client: socket.socket, head: bytes, body: bytes, fault: Fault | None) -> None:
        kind = fault.kind if fault else ""
        at = fault.at if fault else 0.0
        if kind == "refuse":
            _reset(client)
            return
        if kind in SAID:
            client.sendall(SAID[kind])
            return
        cut = int(len(body) * at)
        if kind == "flip-request" and body:
            body = _flipped(body, at)
        with self._store.connect() as store:
            if kind == "cut-request":
                store.sendall(head + body[:cut])
                _reset(store)
                _reset(client)
                return
            if kind == "kill-store":
                store.sendall(head + body[:cut])
                self._store.kill()
                _reset(client)
                return
            store.sendall(head + body)
            answer, content = _message(store)
        if not answer:
            _reset(client)
            return
        self._give_back(client, _closing(answer), content, kind, at)

    def _give_back(self, client: socket.socket, head: bytes, body: bytes, kind: str, at: float) -> None:
        if kind == "lost-answer":  # the store has done what was asked, and nobody is told
            _reset(client)
            return
        if kind == "stall":
            time.sleep(STALL_SECONDS)
            return
        length = {"longer": len(body) + 7, "shorter": max(0, len(body) - 7)}.get(kind)
        if length is not None:
            head = re.sub(rb"(?im)^content-length: *\d+", b"Content-Length: %d" % length, head)
        if kind == "flip" and body:
            body = _flipped(body, at)
        whole, cut = head + body, len(head) + int(len(body) * at)
        if kind in ("reset", "truncate"):
            client.sendall(whole[:cut])
            if kind == "reset":
                _reset(client)
            return
        if kind == "slow":
            for start in range(0, len(whole), max(1, len(whole) // 10)):
                client.sendall(whole[start : start + max(1, len(whole) // 10)])
                time.sleep(SLOW_SECONDS / 10)
            return
        client.sendall(whole)


@contextmanager
def broken_store(root: Path) -> Iterator[tuple[Proxy, Store, dict[str, str]]]:
    """A store behind a proxy, and the variables that lead a client to the proxy."""
    store = Store(root)
    proxy = Proxy(store)
    try:
        yield proxy, store, variables(store, proxy.address)
    finally:
        proxy.close()
        store.close()


def variables(store: Store, address: str) -> dict[str, str]:
    """What leads a client there."""
    return {
        "AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": store.keys[0], "AWS_SECRET_ACCESS_KEY": store.keys[1],
        "AWS_SESSION_TOKEN": "", "AWS_REGION": REGION,
    }  # fmt: skip


def _message(sock: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of one HTTP message; nothing where the other side hangs up."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(PIECE)
        if not piece:
            return b"", b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    head += b"\r\n\r\n"
    if b"\r\ntransfer-encoding: chunked" in head.lower():
        while not body.endswith(b"0\r\n\r\n"):
            if not (piece := sock.recv(PIECE)):
                break
            body += piece
        return head, body
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if re.match(rb"HTTP/1.[01] (?:204|304)", head) or not found:
        return head, body
    while len(body) < int(found[1]):
        # The answer to HEAD tells a length, and has no body.
        try:
            piece = sock.recv(PIECE)
        except TimeoutError:
            break
        if not piece:
            break
        body += piece
    return head, body


def _closing(head: bytes) -> bytes:
    """The same, for one message only."""
    head = re.sub(rb"(?im)^connection:.*\r\n", b"", head)
    return head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


def _flipped(body: bytes, at: float) -> bytes:
    place = min(int(len(body) * at), len(body) - 1)
    return body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


def _reset(sock: socket.socket) -> None:
    """Hangs up without a word, as a crash does."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
