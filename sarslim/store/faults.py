"""What an object store or the way to it answers instead of doing what was asked, in words and with a remedy."""

import re
from typing import Any
from xml.etree.ElementTree import ParseError

import urllib3.exceptions as http
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from sarslim.errors import InputError, SarslimError, ServiceError
from sarslim.store.address import S3Uri

MISSING = {"NoSuchKey", "NoSuchObject", "NotFound", "ResourceNotFound"}
KEYS = {
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidSecurity", "NotSignedUp",
    "InvalidClientTokenId", "UnrecognizedClientException", "MissingSecurityHeader", "AuthorizationHeaderMalformed",
}  # fmt: skip
DENIED = {
    "AccessDenied", "AllAccessDisabled", "AccountProblem", "AccessForbidden", "Forbidden", "UnauthorizedAccess",
    "MethodNotAllowed", "ObjectLocked", "InvalidObjectState",
}  # fmt: skip
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
CLOCK = {"RequestTimeTooSkewed", "RequestInTheFuture"}
ELSEWHERE = {
    "PermanentRedirect", "TemporaryRedirect", "Redirect", "IncorrectEndpoint", "IllegalLocationConstraintException",
    "MovedPermanently",
}  # fmt: skip
FULL = {
    "XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "InsufficientCapacity", "TooManyBuckets",
    "EntityTooLarge", "StorageLimitExceeded",
}  # fmt: skip
BUSY = {
    "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "InternalError", "RequestTimeout",
    "OperationAborted", "Busy", "XMinioServerNotInitialized",
}  # fmt: skip
NOT_S3 = "Check AWS_ENDPOINT_URL: it has to lead to the S3 port of the store, not to its web page"
RUNNING = "Check AWS_ENDPOINT_URL and that the store is running, then run again"

# Everything that minio and urllib3 raise where a store or the way to it fails.
CAUGHT = (MinioException, http.HTTPError, ConnectionError, ParseError, UnicodeError, ValueError, OSError)


def code(error: Exception) -> str:
    """The code of an error of S3, or nothing."""
    if isinstance(error, S3Error):
        return error.code or ""
    # Servers that send their errors as text/xml end up as InvalidResponseError, which quotes the body.
    match = re.search(r"<Code>\s*(\w+)\s*</Code>", str(error))
    return match[1] if match else ""


def explained(error: Exception, uri: S3Uri, endpoint: str, region: str) -> SarslimError:
    """The error of ours that an error of minio or urllib3 becomes.

    Args:
        uri: what was asked for.
        endpoint, region: where, as they may be shown.
    """
    if isinstance(error, S3Error | InvalidResponseError) and code(error):
        return _refusal(error, uri, endpoint, region)
    if isinstance(error, InvalidResponseError | ParseError | UnicodeError):
        if re.search(r"HTTPS (server|port)", str(error)):
            return InputError(str(uri), f"{endpoint} expects TLS", "Write https:// in AWS_ENDPOINT_URL")
        what = "with a web page" if re.search(r"<!doctype html|<html|text/html", str(error), re.I) else "otherwise"
        found = re.search(r"Response code: (\d+)", str(error))
        said = f" (HTTP {found[1]})" if found else ""
        return InputError(str(uri), f"{endpoint} answers {what}, not as an S3 store{said}", NOT_S3)
    if isinstance(error, ServerError):
        return ServiceError(str(uri), f"the object store at {endpoint} failed (HTTP {error.status_code})", RUNNING)
    if isinstance(error, http.HTTPError | ConnectionError | TimeoutError):
        return _no_way(error, uri, endpoint)
    if isinstance(error, OSError):
        where = str(error.filename or uri)
        return ServiceError(where, f"cannot be read or written ({error.strerror})", "Check the disk and its rights")
    # Whatever is left is about the request itself. Its words may quote a header, and in it a key.
    return InputError(str(uri), f"cannot be asked for at {endpoint}", "Check the address and the AWS_ variables")


def _refusal(error: Any, uri: S3Uri, endpoint: str, region: str) -> SarslimError:
    said, where, body = code(error), str(uri), _body(error)
    other = _region_in(body, region)
    if said in ELSEWHERE or (other and said in ("AuthorizationHeaderMalformed", "SignatureDoesNotMatch", "BadRequest")):
        place = re.search(r"<Endpoint>([^<]+)</Endpoint>", body)
        there = f", but in {other}" if other else f", but at {place[1]}" if place else ""
        remedy = f"Set AWS_REGION={other}" if other else "Set AWS_REGION and AWS_ENDPOINT_URL to where the bucket is"
        return InputError(where, f"the bucket is not in the region {region} at {endpoint}{there} ({said})", remedy)
    if said in EXPIRED:
        problem = f"{endpoint} says that the credentials have expired ({said})"
        return InputError(where, problem, "Get new ones, with a new AWS_SESSION_TOKEN, and run again")
    if said in CLOCK:
        problem = f"{endpoint} says that the clock of this machine is wrong ({said})"
        return InputError(where, problem, "Set the clock, best by NTP, and run again")
    if said in KEYS:
        remedy = "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile that holds them"
        return InputError(where, f"{endpoint} refuses the credentials ({said})", remedy)
    if said in DENIED:
        remedy = "Check the keys, and that they may list, read, write and delete there"
        return InputError(where, f"{endpoint} refuses the credentials for this ({said})", remedy)
    if said == "NoSuchBucket":
        return no_bucket(uri, endpoint)
    if said in MISSING:
        return InputError(where, "there is no such object", "Check the address")
    if said in ("InvalidBucketName", "KeyTooLongError", "InvalidURI"):
        return InputError(where, f"{endpoint} takes no such name ({said})", "Choose another name")
    if said in FULL:
        return ServiceError(where, f"the object store at {endpoint} is full ({said})", "Make room, then run again")
    remedy = "Try again later" if said in BUSY else "See what this means for this store, then run again"
    return ServiceError(where, f"the object store at {endpoint} answered {said}", remedy)


def no_bucket(uri: S3Uri, endpoint: str) -> InputError:
    """There is no such bucket."""
    return InputError(str(uri), f"there is no bucket {uri.bucket!r} at {endpoint}", "Check the address")


def _body(error: Any) -> str:
    response = getattr(error, "response", None)
    if response is None:
        return str(error)
    region = response.headers.get("x-amz-bucket-region", "")
    return f"<Region>{region}</Region> {error.message or ''} {(response.data or b'').decode(errors='replace')}"


def _region_in(body: str, region: str) -> str:
    """The region that an answer names as the right one."""
    for pattern in (r"<Region>([\w-]+)</Region>", r"expecting '([\w-]+)'"):
        if (match := re.search(pattern, body)) and match[1] != region:
            return match[1]
    return ""


def _no_way(error: Exception, uri: S3Uri, endpoint: str) -> SarslimError:
    reason: Any = error
    while isinstance(reason, http.MaxRetryError) and reason.reason is not None:
        reason = reason.reason
    text, remedy = str(reason), RUNNING
    if isinstance(reason, http.ProxyError):
        why = "the proxy does not let it through"
        remedy = "Check HTTP_PROXY and HTTPS_PROXY, or name the host of the store in NO_PROXY"
    elif isinstance(reason, http.SSLError):
        why, remedy = _no_trust(text)
    elif isinstance(reason, http.NewConnectionError) and "refused" in text:
        why = "nothing listens there"
    elif isinstance(reason, http.NameResolutionError) or "Name or service not known" in text:
        why = "no host of this name is known"
    elif isinstance(reason, http.ResponseError):
        status = re.search(r"\d{3}", text)
        why = f"it answers HTTP {status[0]} again and again" if status else "it sends from one place to the next"
    elif isinstance(reason, http.NewConnectionError):
        why = "no way leads there"
    elif isinstance(reason, http.TimeoutError | TimeoutError):
        why = "no answer in time"
    else:
        why = "the connection breaks off"
    return ServiceError(str(uri), f"the object store at {endpoint} cannot be reached: {why}", remedy)


def _no_trust(text: str) -> tuple[str, str]:
    if "WRONG_VERSION_NUMBER" in text or "HTTP_REQUEST" in text or "wrong version number" in text:
        return "it speaks no TLS", "Write http:// in AWS_ENDPOINT_URL"
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text:
        return "its certificate is not trusted", "Give its CA as AWS_CA_BUNDLE, and the name that it is made out for"
    return "no TLS connection comes about", "Check AWS_ENDPOINT_URL and the certificates"
