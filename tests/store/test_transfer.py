"""Folders into an object store: all files, checked, and only what is not there yet."""

import pytest
from typer.testing import CliRunner

from sarslim.cli.app import app
from sarslim.errors import InputError
from sarslim.store import transfer, whole
from sarslim.store.storage import S3Uri


@pytest.fixture
def chips(tmp_path):
    folder = tmp_path / "chips"
    for name, content in {"a/1.png": b"one", "a/2.png": b"two", "b/3.png": b"", ".DS_Store": b"x"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_folder_is_copied_and_a_second_time_nothing_is(chips, store, capsys):
    place = S3Uri.parse("s3://transfer/raw/one")
    assert transfer.upload(store, chips, place) == transfer.Upload(3, 6, 0)
    assert capsys.readouterr().out.splitlines()[-1].startswith("upload 3/3  ")
    assert [name for name, _, _ in store.list(place)] == ["a/1.png", "a/2.png", "b/3.png"]
    assert store.read(place / "a/2.png") == b"two"
    assert transfer.upload(store, chips, place) == transfer.Upload(0, 0, 3)


def test_an_upload_that_broke_goes_on_and_what_changed_is_sent_again(chips, store):
    place = S3Uri.parse("s3://transfer/raw/two")
    store.write(place / "a/1.png", b"one")
    store.write(place / "a/2.png", b"2wo")  # the same size, other bytes
    assert transfer.upload(store, chips, place) == transfer.Upload(2, 3, 1)
    assert store.read(place / "a/2.png") == b"two"


def test_large_files_go_in_parts_and_are_known_again(chips, store, monkeypatch):
    monkeypatch.setattr(whole, "PART_BYTES", 5 * 2**20)
    big = chips / "big.bin"
    big.write_bytes(bytes(range(256)) * (6 * 2**12))
    assert whole.digests(big)[0].endswith("-2")
    place = S3Uri.parse("s3://transfer/raw/three")
    assert transfer.upload(store, chips, place).sent == 4
    assert store.read(place / "big.bin") == big.read_bytes()


def test_what_cannot_be_copied_is_named(tmp_path, store):
    with pytest.raises(InputError, match="holds no files"):
        transfer.upload(store, tmp_path, S3Uri.parse("s3://transfer/raw"))
    with pytest.raises(InputError, match="there is nothing there"):
        transfer.upload(store, tmp_path / "nowhere", S3Uri.parse("s3://transfer/raw"))


def test_the_command_says_what_was_sent_and_what_to_do_next(chips, store):
    done = CliRunner().invoke(app, ["data", "upload", str(chips), "s3://transfer/raw/four"])
    assert done.exit_code == 0, done.output
    assert "3 files, 0.0 MB" in done.output
    assert "sarslim submit --host URL --data s3://transfer/raw/four" in done.output
    wrong = CliRunner().invoke(app, ["data", "upload", str(chips), "s3://transfer"])
    assert "names a bucket and no place in it" in wrong.output
