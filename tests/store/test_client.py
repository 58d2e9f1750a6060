"""What leads to a store: variables, profiles, proxies and certificates; each mistake is named, no secret is shown."""

import os
import subprocess
import sys
import traceback

import pytest
from store.answers import answering

from sarslim.errors import InputError, ServiceError
from sarslim.store import client, local_store
from sarslim.store.address import S3Uri
from sarslim.store.storage import Storage

SECRET = "vErY+sEcReT/kEy"
OWN = f"aws_access_key_id = a\naws_secret_access_key = {SECRET}"
PLACE = S3Uri.parse("s3://tests/x")


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """An environment without a word about any store."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch


@pytest.fixture
def keys(alone):
    alone.setenv("AWS_ACCESS_KEY_ID", "someone")
    alone.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    alone.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    return alone


def refused(call) -> str:
    """What is said, once it is sure that neither it nor a traceback shows the secret."""
    with pytest.raises((InputError, ServiceError)) as caught:
        call()
    assert SECRET.split("/")[0] not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("localhost:9000", "'localhost:9000' is not a URL of a server. Write http://host:port or https://host."),
        ("ftp://host", "'ftp://host' is not a URL of a server"),
        ("http://", "'http://' is not a URL of a server"),
        ("http://:9000", "is not a URL of a server"),
        ("http://host:", "is not a URL of a server"),
        ("http://host:0", "is not a URL of a server"),
        ("http://host:99999", "'http://host:99999' has no valid host and port"),
        ("http://host:port", "has no valid host and port"),
        ("http://host:-1", "has no valid host and port"),
        ("http://[::1", "has no valid host and port"),
        ("http://host:9000 ", "'http://host:9000 ' holds a blank or a line break"),
        (" http://host:9000", "holds a blank or a line break"),
        ("http://host:9000\n", r"'http://host:9000\n' holds a blank or a line break"),
        ("http://ho st", "holds a blank or a line break"),
        (f"http://user:{SECRET}@host", "AWS_ENDPOINT_URL: holds a user name or a password"),
        ("http://user@host", "holds a user name or a password"),
        ("http://host:9000/minio", "'http://host:9000/minio' has '/minio' after the host"),
        ("http://host/a/b/", "has '/a/b/' after the host"),
        ("http://host?region=x", "has '?region=x' after the host"),
        ("http://host#x", "has '#x' after the host"),
    ],
)
def test_an_endpoint_that_leads_nowhere_is_named(keys, endpoint, words):
    keys.setenv("AWS_ENDPOINT_URL", endpoint)
    said = refused(Storage.from_environment)
    assert said.startswith("AWS_ENDPOINT_URL: ")
    assert words in said


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:9", "http://127.0.0.1:9/", "http://[::1]:9", "HTTP://localhost:9", "http://my_store:9"],
)
def test_an_endpoint_that_is_one_is_taken(keys, endpoint):
    keys.setenv("AWS_ENDPOINT_URL", endpoint)
    assert Storage.from_environment().endpoint == endpoint.rstrip("/").replace("HTTP", "http")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize(
    "value",
    [f"{SECRET}\n", f"{SECRET}\r\n", f"{SECRET}\nx", f" {SECRET}", f"{SECRET}\t", f"{SECRET}é", f"{SECRET}\x7f"],
)
def test_a_key_that_no_header_carries_is_named_and_not_shown(keys, name, value):
    keys.setenv(name, value)
    assert refused(lambda: Storage.from_environment().list(PLACE)) == (
        f"{name}: holds a blank, a line break or a sign that no key has. Set it again, the key alone."
    )


@pytest.mark.parametrize("region", ["eu west 1", "eu-west-1 ", "eu-west-1\n", "é", "a/b"])
@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_a_region_that_is_none_is_named(keys, region, name):
    keys.setenv(name, region)
    assert refused(Storage.from_environment) == (
        f"{name}: {region!r} is not the name of a region. Write one such as us-east-1."
    )


@pytest.mark.parametrize(
    ("missing", "other"),
    [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")],
)
def test_half_a_pair_of_keys_is_named(keys, missing, other):
    keys.setenv(missing, "")
    assert refused(Storage.from_environment).startswith(f"{missing}: is not set, but its other half is")


def test_no_credentials_at_all(alone, tmp_path):
    said = refused(Storage.from_environment)
    assert said.startswith("AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: no credentials for https://s3.amazonaws.com.")
    assert f"{tmp_path}/.aws/credentials" in said


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with local_store.serve(tmp_path_factory.mktemp("profiles")) as environment:
        yield environment


def write(tmp_path, credentials: str = "", config: str = "") -> None:
    (tmp_path / ".aws").mkdir(exist_ok=True)
    (tmp_path / ".aws" / "credentials").write_text(credentials)
    (tmp_path / ".aws" / "config").write_text(config)


def pair(served) -> str:
    return "".join(f"{name.lower()} = {served[name]}\n" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))


def works(storage: Storage) -> bool:
    storage.write(PLACE, b"content")
    return storage.read(PLACE) == b"content"


def test_a_profile_gives_keys_endpoint_and_region(alone, tmp_path, served):
    write(
        tmp_path,
        f"[default]\naws_access_key_id = no\naws_secret_access_key = no\n[ships]\n{pair(served)}",
        f"[profile ships]\nendpoint_url = {served['AWS_ENDPOINT_URL']}\nregion = eu-central-1\n"
        "s3 =\n  max_queue_size = 5\n",
    )
    alone.setenv("AWS_PROFILE", "ships")
    storage = Storage.from_environment()
    assert (storage.endpoint, storage._region) == (served["AWS_ENDPOINT_URL"], "eu-central-1")
    assert works(storage)


def test_the_default_profile_and_keys_in_the_other_file(alone, tmp_path, served):
    alone.setenv("AWS_ENDPOINT_URL", served["AWS_ENDPOINT_URL"])
    write(tmp_path, f"[default]\n{pair(served)}")
    assert works(Storage.from_environment())
    write(tmp_path, "", f"[default]\n{pair(served)}aws_session_token = abc\n")
    assert works(Storage.from_environment())
    write(tmp_path)
    (tmp_path / "own").write_text(f"[default]\n{pair(served)}")
    alone.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "own"))
    assert works(Storage.from_environment())


def test_a_container_gets_what_the_files_say(alone, tmp_path, served):
    alone.setenv("AWS_ENDPOINT_URL", served["AWS_ENDPOINT_URL"])
    write(tmp_path, f"[default]\n{pair(served)}", "[default]\nregion = eu-central-1\n")
    assert client.variables() == {
        "AWS_ENDPOINT_URL": served["AWS_ENDPOINT_URL"],
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": served["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": served["AWS_SECRET_ACCESS_KEY"],
        "AWS_SESSION_TOKEN": "",
    }


def test_keys_of_the_environment_come_before_those_of_a_profile(alone, tmp_path, served):
    write(tmp_path, f"[default]\naws_access_key_id = no\naws_secret_access_key = {SECRET}\n")
    for name, value in served.items():
        alone.setenv(name, value)
    assert works(Storage.from_environment())


def test_a_session_token_goes_with_every_request(keys):
    with answering(200, "", ETag='"1"') as (address, seen):
        keys.setenv("AWS_ENDPOINT_URL", address)
        keys.setenv("AWS_SESSION_TOKEN", "a-token")
        Storage.from_environment().write(PLACE, b"x")
    assert {headers.get("X-Amz-Security-Token") for _, _, headers in seen} == {"a-token"}


@pytest.mark.parametrize(
    ("credentials", "config", "profile", "words"),
    [
        ("[a]\n", "[profile b]\n", "c", "AWS_PROFILE: there is no profile 'c' in "),
        ("[a]\n", "[profile b]\n", "c", "Known profiles: a, b."),
        (f"aws_secret_access_key = {SECRET}\n", "", "", "/.aws/credentials: is not written as AWS profiles are"),
        (f"[default]\n{SECRET}\n", "", "", "is not written as AWS profiles are"),
        ("", f"[default\naws_secret_access_key = {SECRET}\n", "", "/.aws/config: is not written as AWS profiles are"),
        (f"[default]\naws_secret_access_key = {SECRET}\n", "", "", "no credentials for http://127.0.0.1:9"),
        (f"[default]\n{OWN} x\n", "", "", "aws_secret_access_key of the AWS profile default: holds a blank"),
        (f"[default]\n{OWN}\n x\n", "", "", "aws_secret_access_key of the AWS profile default: holds a blank"),
        ("", "[profile a]\nsso_session = b\n", "a", "AWS profile a: has its keys by sso_session, which is not read"),
        ("", "[profile a]\nsso_start_url = b\n", "a", "Run: eval $(aws configure export-credentials --format env)"),
        ("", "[profile a]\ncredential_process = b\n", "a", "has its keys by credential_process"),
        ("", "[profile a]\nrole_arn = b\n", "a", "has its keys by role_arn"),
        (f"[a]\n{OWN}\n", "[profile a]\nregion = eu west\n", "a", "region of the AWS profile a: 'eu west'"),
    ],
)  # fmt: skip
def test_a_profile_that_gives_no_keys_is_named(alone, tmp_path, credentials, config, profile, words):
    alone.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    alone.setenv("AWS_PROFILE", profile)
    write(tmp_path, credentials, config)
    assert words in refused(Storage.from_environment)


def test_a_profile_with_a_percent_sign_in_its_key(alone, tmp_path):
    write(tmp_path, f"[default]\naws_access_key_id = a\naws_secret_access_key = {SECRET}%(x)s%\n")
    assert Storage.from_environment()._client._provider.retrieve().secret_key == f"{SECRET}%(x)s%"


def test_a_role_that_gives_no_keys_is_named(alone, tmp_path):
    alone.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "missing"))
    assert refused(Storage.from_environment).startswith("AWS_WEB_IDENTITY_TOKEN_FILE: gives no credentials")
    alone.delenv("AWS_WEB_IDENTITY_TOKEN_FILE")
    answer = '{"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": "2099-01-01T00:00:00Z"}'
    with answering(200, answer, "application/json") as (address, _):
        alone.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)
        assert Storage.from_environment()._client._provider.retrieve().session_token == "c"


def test_a_bundle_of_certificates_that_is_none_is_named(keys, tmp_path):
    keys.setenv("AWS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    Storage.from_environment()  # without TLS nobody needs it
    keys.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:9")
    assert refused(Storage.from_environment).startswith(
        f"AWS_CA_BUNDLE: '{tmp_path}/missing.pem' cannot be read (No such file or directory)"
    )
    (tmp_path / "missing.pem").write_text("no certificate")
    assert refused(Storage.from_environment).startswith(
        f"AWS_CA_BUNDLE: '{tmp_path}/missing.pem' holds no certificates"
    )
    keys.setenv("AWS_CA_BUNDLE", str(tmp_path))
    assert "AWS_CA_BUNDLE: " in refused(Storage.from_environment)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_asked_unless_the_host_is_exempt(keys, name):
    keys.setenv("AWS_ENDPOINT_URL", "http://store.invalid:9000")
    with answering(200, "", ETag='"1"') as (address, seen):
        keys.setenv(name, address.replace("http://", f"http://user:{SECRET.replace('/', '%2F')}@"))
        Storage.from_environment().write(PLACE, b"x")
        assert [path for _, path, _ in seen] == ["http://store.invalid:9000/tests", "http://store.invalid:9000/tests/x"]
        assert seen[0][2]["Proxy-Authorization"].startswith("Basic ")
        keys.setenv("NO_PROXY", "other, .invalid")
        assert "no host of this name is known" in refused(
            lambda: Storage.from_environment(retries=0).write(PLACE, b"x")
        )
        assert len(seen) == 2


def test_a_proxy_of_the_other_kind_is_not_asked(keys, served):
    for name, value in served.items():
        keys.setenv(name, value)
    keys.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert works(Storage.from_environment())


@pytest.mark.parametrize(
    "proxy", ["socks5://host:1", f"http://user:{SECRET}@:1", "http://host:port", f"http://u:{SECRET}@ho st"]
)
def test_a_proxy_that_is_none_is_named(keys, proxy):
    keys.setenv("HTTP_PROXY", proxy)
    assert refused(Storage.from_environment).startswith("HTTP_PROXY: is not the URL of an HTTP proxy")


def test_a_proxy_that_does_not_answer_is_told_apart_from_the_store(keys):
    keys.setenv("AWS_ENDPOINT_URL", "http://store.invalid")
    keys.setenv("HTTP_PROXY", f"http://user:{SECRET.replace('/', '%2F')}@127.0.0.1:9")
    said = refused(lambda: Storage.from_environment(retries=0).list(PLACE))
    assert "http://store.invalid cannot be reached: the proxy does not let it through" in said


def test_the_embedded_store_is_reached_past_every_proxy(alone, tmp_path):
    alone.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    alone.setenv("NO_PROXY", "elsewhere")
    alone.setenv("AWS_SESSION_TOKEN", "of-other-keys")
    alone.setenv("AWS_PROFILE", "missing")
    with local_store.serve(tmp_path) as environment:
        assert environment["NO_PROXY"] == "elsewhere,127.0.0.1"
        for name, value in environment.items():
            alone.setenv(name, value)
        assert works(Storage.from_environment())


def test_an_uncaught_mistake_prints_no_secret_either(keys):
    code = (
        "from sarslim.store.storage import S3Uri, Storage; Storage.from_environment().list(S3Uri.parse('s3://tests/x'))"
    )
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        environment = {**os.environ, name: f"{SECRET}\n"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert SECRET not in done.stderr
        assert f"InputError: {name}: holds a blank" in done.stderr
