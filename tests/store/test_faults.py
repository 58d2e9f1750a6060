"""What stores answer on bad days, and what is said about it: the cause, and a remedy that helps."""

import socket
import ssl
import subprocess
import threading

import pytest
from store.answers import answering, refusal

from sarslim.errors import InputError, ServiceError
from sarslim.store.address import S3Uri
from sarslim.store.storage import Storage

PLACE = S3Uri.parse("s3://tests/x")


@pytest.fixture
def keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return monkeypatch


def asked(keys, address: str, call: str = "read", **options):
    keys.setenv("AWS_ENDPOINT_URL", address)
    storage = Storage.from_environment(**{"retries": 0, "timeout_seconds": 2} | options)
    with pytest.raises((InputError, ServiceError)) as caught:
        {
            "read": lambda: storage.read(PLACE),
            "list": lambda: storage.list(PLACE),
            "exists": lambda: storage.exists(PLACE),
            "write": lambda: storage.write(PLACE, b"x"),
            "probe": lambda: storage.probe(PLACE),
        }[call]()
    return caught.value


CASES = [
    (403, "ExpiredToken", "", "says that the credentials have expired (ExpiredToken). Get new ones"),
    (400, "TokenRefreshRequired", "", "says that the credentials have expired"),
    (403, "RequestTimeTooSkewed", "", "the clock of this machine is wrong (RequestTimeTooSkewed). Set the clock"),
    (403, "InvalidAccessKeyId", "", "refuses the credentials (InvalidAccessKeyId). Check AWS_ACCESS_KEY_ID"),
    (403, "SignatureDoesNotMatch", "", "refuses the credentials (SignatureDoesNotMatch)"),
    (403, "AccessDenied", "", "refuses the credentials for this (AccessDenied). Check the keys, and that they may"),
    (400, "AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>", "the bucket is not in the region us-east-1"),
    (400, "AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>", "Set AWS_REGION=eu-central-1."),
    (301, "PermanentRedirect", "<Endpoint>tests.s3.eu.example</Endpoint>", "but at tests.s3.eu.example"),
    (301, "PermanentRedirect", "", "Set AWS_REGION and AWS_ENDPOINT_URL to where the bucket is."),
    (400, "IllegalLocationConstraintException", "", "the bucket is not in the region us-east-1"),
    (404, "NoSuchBucket", "", "there is no bucket 'tests' at"),
    (404, "NoSuchKey", "", "there is no such object"),
    (400, "KeyTooLongError", "", "takes no such name"),
]  # fmt: skip
BUSY = [
    (503, "SlowDown", "answered SlowDown. Try again later."),
    (507, "XMinioStorageFull", "is full (XMinioStorageFull). Make room"),
    (400, "SomethingElse", "answered SomethingElse. See what this means"),
]


@pytest.mark.parametrize("kind", ["application/xml", "text/xml"], ids=["as AWS", "as rclone"])
@pytest.mark.parametrize(("status", "code", "more", "words"), CASES)
def test_what_the_user_can_mend_is_an_input_error(keys, status, code, more, words, kind):
    with answering(status, refusal(code, more=more), kind) as (address, _):
        error = asked(keys, address)
    assert isinstance(error, InputError)
    assert str(error).startswith("s3://tests/x: ")
    assert words in str(error)


@pytest.mark.parametrize(("status", "code", "words"), BUSY)
def test_what_only_the_store_can_mend_is_a_service_error(keys, status, code, words):
    with answering(status, refusal(code)) as (address, _):
        error = asked(keys, address, retries=0)
    assert isinstance(error, ServiceError)
    assert words in str(error) or f"it answers HTTP {status}" in str(error)


@pytest.mark.parametrize(
    ("status", "code", "more", "words"), [case for case in CASES if not case[1].startswith("NoSuch")]
)
@pytest.mark.parametrize("call", ["exists", "write"])
def test_an_answer_without_a_body_is_asked_for_again(keys, status, code, more, words, call):
    with answering(status, refusal(code, more=more)) as (address, seen):
        error = asked(keys, address, call)
    assert seen[0][0] == "HEAD"
    assert words in str(error)


def test_the_region_that_a_header_or_a_sentence_names(keys):
    with answering(301, refusal("PermanentRedirect"), **{"x-amz-bucket-region": "eu-north-1"}) as (address, _):
        assert "Set AWS_REGION=eu-north-1." in str(asked(keys, address, "list"))
    message = "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'ap-south-1'"
    with answering(400, refusal("AuthorizationHeaderMalformed", message)) as (address, _):
        assert "but in ap-south-1 (AuthorizationHeaderMalformed). Set AWS_REGION=ap-south-1." in str(
            asked(keys, address)
        )


@pytest.mark.parametrize("call", ["list", "write", "probe"])
@pytest.mark.parametrize("status", [200, 403, 404])
def test_a_web_page_is_no_object_store(keys, call, status):
    page = "<!DOCTYPE html><html><body><h1>Welcome to <br> nginx</h1></body></html>"
    with answering(status, page, "text/html") as (address, _):
        error = asked(keys, address, call)
    assert isinstance(error, InputError)
    assert "as an S3 store" in str(error)
    assert "Check AWS_ENDPOINT_URL: it has to lead to the S3 port" in str(error)
    assert "nginx" not in str(error)


@pytest.mark.parametrize(
    ("body", "kind"),
    [("", "text/plain"), ("ok", "text/plain"), ("{}", "application/json"), ("\xff<", "application/xml")],
)
def test_whatever_else_answers_is_no_object_store_either(keys, body, kind):
    for status in (200, 400, 404):
        with answering(status, body, kind) as (address, _):
            error = asked(keys, address, "probe")
        assert str(error).startswith("s3://tests/x")


def test_a_server_that_expects_tls(keys):
    text = "Client sent an HTTP request to an HTTPS server.\n"
    with answering(400, text, "text/plain") as (address, _):
        assert "expects TLS. Write https:// in AWS_ENDPOINT_URL." in str(asked(keys, address))


def test_a_server_that_speaks_no_tls(keys):
    with answering(200) as (address, _):
        error = asked(keys, address.replace("http:", "https:"))
    assert "cannot be reached: it speaks no TLS. Write http:// in AWS_ENDPOINT_URL." in str(error)


def test_a_certificate_that_nobody_vouches_for(keys, tmp_path):
    files = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", files[0], "-out", files[1],
         "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])
    with socket.create_server(("127.0.0.1", 0)) as plain:
        server = context.wrap_socket(plain, server_side=True)

        def serve() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        address = f"https://127.0.0.1:{plain.getsockname()[1] if plain.fileno() > 0 else server.getsockname()[1]}"
        assert "its certificate is not trusted. Give its CA as AWS_CA_BUNDLE" in str(asked(keys, address))
        keys.setenv("AWS_CA_BUNDLE", files[1])
        assert "the connection breaks off" in str(asked(keys, address))
        server.close()


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("http://127.0.0.1:9", "nothing listens there"),
        ("http://no-such-host.invalid", "no host of this name is known"),
    ],
)
def test_why_a_store_cannot_be_reached_is_said_in_words(keys, endpoint, why):
    error = asked(keys, endpoint)
    assert isinstance(error, ServiceError)
    assert f"the object store at {endpoint} cannot be reached: {why}. " in str(error)
    assert "Error" not in str(error)


def test_a_store_that_says_nothing(keys):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = asked(keys, f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.2)
    assert "cannot be reached: no answer in time" in str(error)


def test_a_store_that_hangs_up(keys):
    with socket.create_server(("127.0.0.1", 0)) as rude:
        threading.Thread(target=lambda: rude.accept()[0].close(), daemon=True).start()
        error = asked(keys, f"http://127.0.0.1:{rude.getsockname()[1]}")
    assert "cannot be reached: the connection breaks off" in str(error)


def test_a_probe_leaves_nothing_and_needs_the_right_to_write(store, monkeypatch):
    place = S3Uri.parse("s3://probes/deep/down")
    store.probe(place)
    assert store.list(S3Uri.parse("s3://probes")) == []
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(InputError, match="refuses the credentials"):
        Storage.from_environment().probe(place)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("s3://My_Models", "'s3://My_Models' names no bucket. Write s3://bucket/path; a bucket has 3 to 63"),
        ("s3://ab/x", "names no bucket"),
        ("s3://a..b/x", "names no bucket"),
        ("s3://a.-b/x", "names no bucket"),
        ("s3://192.168.0.1/x", "names no bucket"),
        ("s3://user@bucket/x", "names no bucket"),
        ("s3://bucket/../x", "has . or .. in its path"),
        ("s3://bucket/a/./x", "has . or .. in its path"),
        ("s3://bucket/a\nb", "holds signs that no text has"),
        ("s3://bucket/\udcff", "holds signs that no text has"),
        ("s3://bucket/" + "x" * 1025, "is longer than 1024 bytes"),
    ],
)
def test_an_address_that_no_store_takes(text, words):
    with pytest.raises(InputError) as caught:
        S3Uri.parse(text, "publish.destination")
    assert str(caught.value).startswith("publish.destination: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text", ["s3://bucket", "s3://a-b.c/x", "s3://bucket/a..b/...", "s3://bucket/船 #1/x?y=%20&z", "minio://bucket/x"]
)
def test_an_odd_address_that_stores_take(text):
    assert str(S3Uri.parse(text)) == text.replace("minio://", "s3://")
