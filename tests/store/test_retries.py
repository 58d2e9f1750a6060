"""How long a store that does not answer is asked again: by a server that comes up late."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3

from sarslim.store import retries


@pytest.fixture
def late():
    """A server that fails six times before it answers."""
    asked = []

    class Late(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(time.monotonic())
            self.send_response(503 if len(asked) <= 6 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Late) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def test_on_this_machine_a_moment_is_enough(monkeypatch, late):
    monkeypatch.delenv(retries.PATIENCE, raising=False)
    address, asked = late
    with pytest.raises(urllib3.exceptions.MaxRetryError):
        urllib3.PoolManager(retries=retries.policy(3)).request("GET", address)
    assert len(asked) == 4
    assert asked[-1] - asked[0] < 3


def test_a_pod_waits_for_a_store_that_comes_back_and_says_so(monkeypatch, late, capsys):
    monkeypatch.setenv(retries.PATIENCE, "120")
    monkeypatch.setattr(retries, "LONGEST_PAUSE", 0.01)
    address, asked = late
    # The pauses themselves are those of urllib3; here they are cut short.
    policy = retries.Patient(total=20, backoff_factor=0.001, backoff_jitter=0.001, status_forcelist=retries.STATUSES)
    assert urllib3.PoolManager(retries=policy).request("GET", address).status == 200
    assert len(asked) == 7
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "note: the object store answers 503; trying again, 17 more times"


@pytest.mark.parametrize(("patience", "least", "most"), [(20, 20, 40), (120, 120, 180)])
def test_patience_is_bounded_and_differs_from_pod_to_pod(patience, least, most, monkeypatch):
    monkeypatch.setenv(retries.PATIENCE, str(patience))
    policy = retries.policy(3)
    assert isinstance(policy, retries.Patient)
    assert policy.backoff_jitter == 1.0
    waited = sum(min(0.5 * 2**n, retries.LONGEST_PAUSE) for n in range(1, policy.total))
    assert least <= waited <= most
    assert retries.policy(0).total == 0  # who asks once wants one answer
