"""A real MLflow tracking server on a free port of the loopback interface, with SQLite and its artifacts in a folder."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

PARTS = ("mlflow", "alembic", "flask", "flask_cors", "gunicorn", "sqlalchemy")
MISSING = [name for name in PARTS if find_spec(name) is None]
START_SECONDS = 300  # it takes about ten of a core, and a busy machine its time


class Server:
    """Starts at once, and answers a while later: wait for :attr:`url`."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._log = folder / "server.log"
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port)]
        command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
        command += ["--artifacts-destination", str(folder / "artifacts"), "--workers", "1"]
        # gunicorn serves the API alone, and needs neither aiohttp nor pandas.
        command += ["--gunicorn-opts", "--log-level warning --timeout 600 --graceful-timeout 1"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        environment |= {"HOME": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def url(self) -> str:
        """Its address, once it answers."""
        url, end = f"http://127.0.0.1:{self._port}", time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{url}/health", timeout=5):
                    return url
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"the MLflow server does not answer:\n{self._log.read_text()}")

    def stop(self) -> None:
        """Ends it with its workers."""
        for end in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, end)
                self._process.wait(10)
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue
