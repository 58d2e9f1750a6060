"""The storage client against the real embedded server."""

import hashlib
import json
import time

import pytest

from sarslim.errors import InputError, ServiceError
from sarslim.store import local_store
from sarslim.store.storage import SUMS, S3Uri, Storage, StoredBytes, verify_sums, write_sums


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "bundle"
    (folder / "deep").mkdir(parents=True)
    (folder / "model.json").write_text('{"a": 1}')
    (folder / "deep" / "weights.bin").write_bytes(bytes(range(256)) * 64)
    write_sums(folder)
    return folder


def uri(name: str) -> S3Uri:
    return S3Uri.parse(f"s3://tests/{name}")


@pytest.mark.parametrize("text", ["", "bucket/key", "s3://", "s3://UPPER/x", "s3:/bucket/x", "https://host/x"])
def test_malformed_addresses_are_refused(text):
    with pytest.raises(InputError, match="Write s3://bucket/path"):
        S3Uri.parse(text)


def test_addresses_are_joined_and_printed():
    assert str(S3Uri.parse("s3://tests/a/") / "b" / "c.txt") == "s3://tests/a/b/c.txt"
    assert str(S3Uri.parse("s3://tests")) == "s3://tests"


def test_what_is_written_is_read_listed_and_deleted(store):
    place = uri("objects/one.bin")
    store.write(place, b"content")
    assert store.read(place) == b"content"
    assert store.exists(place)
    assert store.list(uri("objects")) == [("one.bin", 7, hashlib.md5(b"content").hexdigest())]
    assert [row[0] for row in store.list(place)] == [""]
    store.delete(place)
    assert not store.exists(place)
    assert store.list(uri("objects")) == []


def test_a_folder_goes_up_and_comes_down_unchanged(store, bundle, tmp_path):
    store.upload(bundle, uri("folder"))
    copy = store.download(uri("folder"), tmp_path / "copy")
    assert verify_sums(copy) == verify_sums(bundle)
    single = store.download(uri("folder/model.json"), tmp_path / "single")
    assert json.loads(single.read_text()) == {"a": 1}


def test_stored_bytes_are_replaced_and_forgotten(store):
    place = StoredBytes(store, uri("checkpoints/run.pt"))
    assert place.load() is None
    place.save(b"first")
    place.save(b"second")
    assert place.load() == b"second"
    place.clear()
    place.clear()
    assert place.load() is None


def test_a_bundle_is_published_whole(store, bundle, tmp_path):
    target = uri("models/ships/1")
    store.publish(bundle, target)
    assert set(store.fetch_bundle(target, tmp_path / "copy")) == {"model.json", "deep/weights.bin"}
    store.publish(bundle, target)  # the same bundle again changes nothing


def test_a_version_is_never_overwritten(store, bundle):
    target = uri("models/ships/2")
    store.publish(bundle, target)
    (bundle / "model.json").write_text('{"a": 2}')
    write_sums(bundle)
    with pytest.raises(InputError, match="another bundle has this version"):
        store.publish(bundle, target)
    assert store.read(target / "model.json") == b'{"a": 1}'


def test_a_failed_publication_leaves_nothing(store, bundle, monkeypatch):
    target = uri("models/ships/3")

    def broken(place, content):
        raise ServiceError("test", "the line is cut", "none")

    monkeypatch.setattr(store, "write", broken)
    with pytest.raises(ServiceError):
        store.publish(bundle, target)
    assert store.list(target) == []


def test_an_unfinished_bundle_is_not_read(store, bundle, tmp_path):
    target = uri("models/ships/4")
    store.upload(bundle, target)
    store.delete(target / SUMS)
    with pytest.raises(InputError, match="SHA256SUMS is missing"):
        store.fetch_bundle(target, tmp_path / "copy")


def test_a_tampered_bundle_is_refused(store, bundle, tmp_path):
    target = uri("models/ships/5")
    store.publish(bundle, target)
    store.write(target / "deep/weights.bin", b"other")
    with pytest.raises(InputError, match=r"deep/weights.bin differs from its checksum"):
        store.fetch_bundle(target, tmp_path / "copy")


def test_a_missing_bucket_and_a_missing_object_are_named(store):
    with pytest.raises(InputError, match="there is no bucket 'nowhere'"):
        store.list(S3Uri.parse("s3://nowhere/x"))
    store.write(uri("something"), b"x")
    with pytest.raises(InputError, match=r"s3://tests/missing: there is no such object"):
        store.read(uri("missing"))
    with pytest.raises(InputError, match="nothing is stored there"):
        store.download(uri("missing"), None)


def test_wrong_credentials_are_named(store, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    with pytest.raises(InputError, match="refuses the credentials") as caught:
        Storage.from_environment().list(uri("x"))
    assert "wrong-secret" not in str(caught.value)


def test_missing_credentials_are_named(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"):
        Storage.from_environment()


def test_an_unreachable_store_is_a_failure_not_a_mistake(store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match=r"http://127.0.0.1:9 cannot be reached") as caught:
        Storage.from_environment(retries=0).list(uri("x"))
    assert caught.value.exit_code == 1


def test_an_endpoint_that_is_no_url_is_named(store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")
    with pytest.raises(InputError, match="AWS_ENDPOINT_URL"):
        Storage.from_environment()


def test_what_is_put_into_the_folder_becomes_an_object(tmp_path, monkeypatch):
    with local_store.serve(tmp_path) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "bucket").mkdir()
        (tmp_path / "bucket" / "file.txt").write_text("hello")
        time.sleep(1.1)  # rclone looks at a folder again after a second
        assert Storage.from_environment().read(S3Uri.parse("s3://bucket/file.txt")) == b"hello"
