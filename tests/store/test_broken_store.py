"""The embedded store behind a proxy that breaks what goes there and back; ``make faults`` does more of it."""

import time

import pytest
from faults.breaks import campaign
from faults.proxy import KINDS, Fault, broken_store
from store.answers import answering

from sarslim.errors import InputError, ServiceError
from sarslim.store import whole
from sarslim.store.local_store import in_environment
from sarslim.store.storage import SUMS, S3Uri, Storage, write_sums

PLACE = S3Uri.parse("s3://tests/object")
TOLD = {"expired": InputError, "full": ServiceError}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    with broken_store(tmp_path_factory.mktemp("store")) as (proxy, _, environment), in_environment(environment):
        yield proxy, Storage.from_environment(timeout_seconds=1)


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(whole, "PAUSE_SECONDS", 0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_one_fault_is_survived_or_told(broken, kind):
    proxy, storage = broken
    storage.write(PLACE, b"before")
    for methods, ask in (("PUT", lambda: storage.write(PLACE, bytes(200_000))), ("GET", lambda: storage.read(PLACE))):
        proxy.faults[:] = [Fault(kind, methods=methods)]
        if kind in TOLD:
            with pytest.raises(TOLD[kind]):
                ask()
        else:
            ask()
        assert not proxy.faults, "nothing was injected"
        assert storage.read(PLACE) == (b"before" if kind in TOLD else bytes(200_000))


def test_bytes_that_are_always_wrong_are_told_after_a_few_tries(broken, tmp_path):
    proxy, storage = broken
    storage.write(PLACE, b"content")
    for ask in (lambda: storage.read(PLACE), lambda: storage.download(PLACE, tmp_path)):
        proxy.injected.clear()
        proxy.faults[:] = [Fault("flip", times=99, methods="GET")]
        with pytest.raises((ServiceError, InputError)):
            ask()
        proxy.faults.clear()
        assert proxy.injected["flip"] <= 8
        assert list(tmp_path.iterdir()) == []
    proxy.faults[:] = [Fault("flip", times=99, methods="GET")]
    with pytest.raises(ServiceError, match="s3://tests/object: other bytes come than were stored"):
        storage.read(PLACE)
    proxy.faults.clear()


def test_a_bundle_whose_upload_dies_is_not_there_and_goes_up_later(broken, tmp_path):
    proxy, storage = broken
    for name in ("a.bin", "b.bin", "c.bin"):
        (tmp_path / name).write_bytes(name.encode() * 50_000)
    write_sums(tmp_path)
    place = S3Uri.parse("s3://tests/models/ships/1")
    proxy.faults[:] = [Fault("cut-request", times=99, methods="PUT", after=2)]
    with pytest.raises(ServiceError, match="the connection breaks off"):
        storage.publish(tmp_path, place)
    proxy.faults.clear()
    assert not storage.exists(place / SUMS)
    with pytest.raises(InputError, match="no complete bundle"):
        storage.fetch_bundle(place, tmp_path / "copy")
    proxy.faults[:] = [Fault("kill-store", methods="PUT", after=1)]
    storage.publish(tmp_path, place)
    assert proxy.injected["kill-store"] >= 1
    assert len(storage.fetch_bundle(place, tmp_path / "copy")) == 3


def test_faults_at_random_leave_whole_objects(tmp_path, capsys):
    tally = campaign(tmp_path, faults=40, seed=2026)
    assert tally.wrong == []
    assert tally.injected.total() >= 40
    assert tally.survived > 5
    assert tally.told > 2


def test_a_store_that_asks_for_a_pause_of_a_day_is_not_obeyed(monkeypatch):
    monkeypatch.setattr("sarslim.store.retries.LONGEST_PAUSE", 0.05)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with answering(503, "", Retry_After="86400") as (address, seen):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        start = time.monotonic()
        with pytest.raises(ServiceError, match="it answers HTTP 503 again and again"):
            Storage.from_environment(retries=2).read(PLACE)
    assert time.monotonic() - start < 10
    assert len(seen) == 3


def test_an_etag_of_an_encrypted_object_is_no_checksum(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    for headers, well in (({"x-amz-server-side-encryption": "aws:kms"}, True), ({}, False)):
        with answering(200, "body", ETag=f'"{"0" * 32}"', **headers) as (address, seen):
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            storage = Storage.from_environment(retries=1)
            if well:
                assert storage.read(PLACE) == b"body"
                storage.send(b"body", PLACE)
            else:
                with pytest.raises(ServiceError, match="other bytes come than were stored"):
                    storage.read(PLACE)
                with pytest.raises(ServiceError, match="keeps other bytes than were sent"):
                    storage.send(b"body", PLACE)
                assert len(seen) == 4
