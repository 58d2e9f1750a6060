"""The embedded object store between runs: a command that finds it, and how that ended."""

import sys

import pytest
from typer.testing import CliRunner

from sarslim.cli.app import app
from sarslim.cli.store import with_store
from sarslim.errors import InputError

WRITE = """
from sarslim.store.storage import S3Uri, Storage
Storage.from_environment().write(S3Uri.parse("s3://box/x"), b"1")
"""


def test_a_command_finds_the_store_of_earlier_runs(tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    (tmp_path / "store").mkdir()
    assert with_store([sys.executable, "-c", WRITE], tmp_path) == 0
    assert (tmp_path / "store" / "box" / "x").read_bytes() == b"1"
    call = ["store", "--runs", str(tmp_path), "sarslim", "models", "list", "--at", "s3://nowhere/models"]
    assert CliRunner().invoke(app, call).exit_code == 2  # that of the command


@pytest.mark.parametrize(
    ("folder", "command", "words"), [("none", "sarslim", "no object store"), ("", "no-such", "no program")]
)
def test_what_cannot_be_is_refused(folder, command, words, tmp_path):
    (tmp_path / "store").mkdir()
    with pytest.raises(InputError, match=words):
        with_store([command], tmp_path / folder)
