"""A planted key, looked for wherever a command leaves something or says something.

A whole run is looked through in test_end_to_end.py, images in test_docker.py, what is submitted in tests/kubeflow.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from store.answers import answering, refusal

ROOT = Path(__file__).parents[1]
ACCESS, SECRET, TOKEN = "PLANTEDACCESS7f3a", "planted/secret+91c2d8", "planted-token-55e0"
STORED = "s3://tests/chips"


def said(*arguments: str, endpoint: str = "http://127.0.0.1:9", folder: Path = ROOT, **changes: str) -> str:
    """All that a command prints with the key in its environment."""
    environment = os.environ | {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN, "AWS_REGION": "us-east-1", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "sarslim.cli", *arguments],
        env=environment | changes, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def holds_a_key(text: str) -> bool:
    return any(key in text for key in (ACCESS, SECRET, TOKEN))


@pytest.mark.parametrize(
    "changes",
    [
        {"AWS_SECRET_ACCESS_KEY": f"{SECRET}\n"},
        {"AWS_ENDPOINT_URL": f"http://{ACCESS}:{SECRET}@127.0.0.1:9"},
        {"HTTP_PROXY": f"http://{ACCESS}:{TOKEN}@127.0.0.1:9", "NO_PROXY": ""},
        {"AWS_SHARED_CREDENTIALS_FILE": "broken", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
    ],
    ids=" ".join,
)
def test_errors_hold_no_key(changes, tmp_path):
    (tmp_path / "broken").write_text(f"[default]\naws_secret_access_key {SECRET}\n")
    printed = said("models", "list", folder=tmp_path, **changes)
    assert "error: " in printed
    assert not holds_a_key(printed), printed


def test_a_store_that_repeats_what_it_was_sent_is_not_quoted():
    body = refusal(
        "SignatureDoesNotMatch", f"you signed {ACCESS} with {SECRET}", f"<AWSAccessKeyId>{ACCESS}</AWSAccessKeyId>"
    )
    with answering(403, body) as (address, _):
        printed = said("predict", "s3://tests/models/ships", STORED, endpoint=address)
    assert "refuses the credentials (SignatureDoesNotMatch)" in printed
    assert not holds_a_key(printed), printed


def test_compiled_pipelines_hold_no_key(tmp_path):
    printed = said("compile", "--out", str(tmp_path / "build"))
    files = list((tmp_path / "build").glob("*.yaml"))
    assert len(files) >= 9
    assert not holds_a_key(printed)
    assert not [file.name for file in files if holds_a_key(file.read_text())]


def test_a_run_that_fails_leaves_no_key(tmp_path):
    printed = said("run", "--data", STORED, "--runs", str(tmp_path / "runs"), "--s3-endpoint", "http://127.0.0.1:9")
    assert "error: " in printed
    left = [path for path in tmp_path.rglob("*") if path.is_file() and holds_a_key(path.read_text(errors="replace"))]
    assert left == []
    assert not holds_a_key(printed), printed
