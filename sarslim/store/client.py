"""From the variables and files that AWS users have to an S3 client: endpoint, region, credentials, proxy, certificates.

What is wrong with them is told by the name of the variable or file. Their values are not repeated where they could
hold a secret.
"""

import configparser
import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.credentials import EnvAWSProvider, IamAwsProvider, Provider, StaticProvider

from sarslim.errors import InputError
from sarslim.store.retries import policy

AMAZON = "https://s3.amazonaws.com"
REGION = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
ACCESS, SECRET, TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")  # of a profile
# What names a role of the machine that a program runs on.
ROLES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip
BY_OTHER_MEANS = ("sso_session", "sso_start_url", "credential_process", "role_arn")
EXPORT = "Run: eval $(aws configure export-credentials --format env)"
CONNECT_SECONDS = 5.0

Lazily = Callable[[], "Profile"]


@dataclass(frozen=True)
class Profile:
    """The section of the files that AWS users have which AWS_PROFILE names, or the default one; often there is none."""

    name: str
    values: Mapping[str, str] = field(repr=False)
    files: str


def connect(*, retries: int, timeout_seconds: float, connections: int) -> tuple[Minio, str, str]:
    """The client that the environment asks for, its endpoint as it may be shown, and its region.

    Read are ``AWS_ENDPOINT_URL``, ``AWS_REGION`` (or ``AWS_DEFAULT_REGION``), ``AWS_CA_BUNDLE``, ``HTTP_PROXY``,
    ``HTTPS_PROXY``, ``NO_PROXY``, the keys ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``, and
    for what is not there the profile ``AWS_PROFILE`` of ``~/.aws/credentials`` and ``~/.aws/config``.

    Raises:
        InputError: a variable or a file that cannot be used, or no credentials.
    """
    profile = cache(_profile)  # where all is in the environment nobody looks at the files
    parts = _endpoint(profile)
    endpoint, region = f"{parts.scheme}://{parts.netloc}", _region(profile)
    pool: dict[str, Any] = {
        "maxsize": connections,
        "timeout": urllib3.Timeout(connect=min(CONNECT_SECONDS, timeout_seconds), read=timeout_seconds),
        "retries": policy(retries),
    }
    if parts.scheme == "https":
        pool["ca_certs"] = _certificates(profile)
    client = Minio(
        parts.netloc,
        secure=parts.scheme == "https",
        credentials=_credentials(profile, endpoint),
        region=region,
        http_client=_pool(parts, pool),
    )
    return client, endpoint, region


def configured(*, profiles: bool = True) -> bool:
    """Whether anything here leads to an object store with credentials.

    Args:
        profiles: look into the files of profiles, too, where the environment names nothing.

    Raises:
        InputError: a file of profiles that cannot be read, or a profile that is not there.
    """
    if any(os.environ.get(name) for name in (ACCESS, SECRET, "AWS_PROFILE", "AWS_ENDPOINT_URL", *ROLES)):
        return True
    return profiles and any(name in _profile().values for name in (*KEYS, *BY_OTHER_MEANS))


def variables() -> dict[str, str]:
    """What leads a process to the same store that cannot see the files of this one, such as one in a container.

    Raises:
        InputError: as ``connect``.
    """
    profile = cache(_profile)
    endpoint = _endpoint(profile).geturl()
    found = _credentials(profile, endpoint).retrieve()
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": _region(profile),
        ACCESS: found.access_key,
        SECRET: found.secret_key,
        TOKEN: found.session_token or "",
    }


def _profile() -> Profile:
    wanted = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or ""
    name = wanted or "default"
    home = Path.home() / ".aws"
    credentials = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials").expanduser()
    config = Path(os.environ.get("AWS_CONFIG_FILE") or home / "config").expanduser()
    keys, rest = _sections(credentials), _sections(config)
    rest = {section.removeprefix("profile ").strip(): values for section, values in rest.items()}
    files = f"{credentials} and {config}"
    if wanted and wanted not in {*keys, *rest}:
        known = ", ".join(sorted({*keys, *rest})) or "none"
        raise InputError("AWS_PROFILE", f"there is no profile {wanted!r} in {files}", f"Known profiles: {known}")
    return Profile(name, {**rest.get(name, {}), **keys.get(name, {})}, files)


def _sections(file: Path) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(strict=False, default_section="")
    try:
        with file.open(encoding="utf-8") as stream:
            parser.read_file(stream)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InputError(str(file), f"cannot be read ({error.strerror})", "Give a file that you may read") from None
    except (configparser.Error, UnicodeDecodeError):
        # What configparser says quotes the line, which may hold a secret.
        remedy = "Write [profile] in a line of its own and name = value below it"
        raise InputError(str(file), "is not written as AWS profiles are", remedy) from None
    return {name: dict(parser.items(name)) for name in parser.sections()}


def _endpoint(profile: Lazily) -> SplitResult:
    variable = os.environ.get("AWS_ENDPOINT_URL", "")
    given = variable or profile().values.get("endpoint_url", "") or AMAZON
    where = "AWS_ENDPOINT_URL" if variable or given == AMAZON else f"endpoint_url of the AWS profile {profile().name}"
    remedy = "Write http://host:port or https://host"
    if "@" in given:
        raise InputError(where, "holds a user name or a password", f"{remedy}, and the keys as {ACCESS} and {SECRET}")
    if not given.isprintable() or " " in given:
        raise InputError(where, f"{given!r} holds a blank or a line break", f"{remedy}, and nothing else")
    try:
        parts = urlsplit(given)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InputError(where, f"{given!r} has no valid host and port", remedy) from None
    if parts.scheme not in ("http", "https") or not host or port == 0 or parts.netloc.endswith(":"):
        raise InputError(where, f"{given!r} is not a URL of a server", remedy)
    if parts.path.strip("/") or parts.query or parts.fragment:
        rest = given.partition(parts.netloc)[2]
        raise InputError(
            where, f"{given!r} has {rest!r} after the host", f"{remedy}; a bucket belongs into the s3:// addresses"
        )
    return parts


def _region(profile: Lazily) -> str:
    where = next((name for name in ("AWS_REGION", "AWS_DEFAULT_REGION") if os.environ.get(name)), "")
    region = os.environ[where] if where else profile().values.get("region", "") or "us-east-1"
    if not REGION.fullmatch(region):
        where = where or f"region of the AWS profile {profile().name}"
        raise InputError(where, f"{region!r} is not the name of a region", "Write one such as us-east-1")
    return region


def _certificates(profile: Lazily) -> str | None:
    variable = os.environ.get("AWS_CA_BUNDLE", "")
    file = variable or profile().values.get("ca_bundle", "")
    if not file:
        return None
    where = "AWS_CA_BUNDLE" if variable else f"ca_bundle of the AWS profile {profile().name}"
    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        raise InputError(where, f"{file!r} holds no certificates", "Give a PEM file with the CA of the store") from None
    except OSError as error:
        raise InputError(where, f"{file!r} cannot be read ({error.strerror})", "Give an existing PEM file") from None
    return file


def _credentials(profile: Lazily, endpoint: str) -> Provider:
    given = {ACCESS: os.environ.get(ACCESS, ""), SECRET: os.environ.get(SECRET, "")}
    if any(given.values()):
        missing = [name for name, value in given.items() if not value]
        if missing:
            raise InputError(missing[0], "is not set, but its other half is", f"Set both {ACCESS} and {SECRET}")
        for name in (ACCESS, SECRET, TOKEN):
            _sound(name, os.environ.get(name, ""))
        return EnvAWSProvider()
    roles = [name for name in ROLES if os.environ.get(name)]
    if roles:
        return _of_a_role(roles[0])
    own = profile()
    keys = {name: own.values.get(name, "") for name in KEYS}
    if keys["aws_access_key_id"] and keys["aws_secret_access_key"]:
        for name, value in keys.items():
            _sound(f"{name} of the AWS profile {own.name}", value)
        return StaticProvider(
            keys["aws_access_key_id"], keys["aws_secret_access_key"], keys["aws_session_token"] or None
        )
    other = [name for name in BY_OTHER_MEANS if name in own.values]
    if other:
        raise InputError(f"AWS profile {own.name}", f"has its keys by {other[0]}, which is not read here", EXPORT)
    raise InputError(
        f"{ACCESS}, {SECRET}",
        f"no credentials for {endpoint}",
        f"Set both in the environment, or name a profile of {own.files} in AWS_PROFILE",
    )


def _of_a_role(variable: str) -> Provider:
    provider = IamAwsProvider(http_client=urllib3.PoolManager(timeout=CONNECT_SECONDS, retries=urllib3.Retry(total=1)))
    try:
        provider.retrieve()
    except (ValueError, KeyError, OSError, urllib3.exceptions.HTTPError, ParseError):
        raise InputError(variable, "gives no credentials", f"Check it, or set {ACCESS} and {SECRET}") from None
    return provider


def _sound(where: str, value: str) -> None:
    """Refuses a key that no header can carry; the value itself is never shown."""
    if not value.isascii() or not value.isprintable() or " " in value:
        raise InputError(where, "holds a blank, a line break or a sign that no key has", "Set it again, the key alone")


def _pool(parts: SplitResult, options: dict[str, Any]) -> urllib3.PoolManager:
    proxies = getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass_environment(parts.netloc, proxies):
        return urllib3.PoolManager(**options)
    where = f"{parts.scheme.upper()}_PROXY" if proxies.get(parts.scheme) else "ALL_PROXY"
    remedy = "Write http://host:port, or name the host of the store in NO_PROXY"
    try:
        found = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        host, port = found.hostname, found.port
    except ValueError:
        host, port = None, None
    if not host or found.scheme not in ("http", "https") or not proxy.isprintable() or " " in proxy:
        raise InputError(where, "is not the URL of an HTTP proxy", remedy)
    headers = None
    if found.username:
        name, word = unquote(found.username), unquote(found.password or "")
        headers = urllib3.util.make_headers(proxy_basic_auth=f"{name}:{word}")
    shown = f"[{host}]" if ":" in host else host
    port = port or (443 if found.scheme == "https" else 80)
    return urllib3.ProxyManager(f"{found.scheme}://{shown}:{port}", proxy_headers=headers, **options)
