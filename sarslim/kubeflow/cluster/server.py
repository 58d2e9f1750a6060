"""Where Kubeflow Pipelines answers: one connection, and one sentence for what goes wrong with it."""

import contextlib
import json
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import kfp_server_api
import urllib3
from kfp import client as kfp_client

from sarslim.errors import InputError, ServiceError

API = "/apis/v2beta1"
OLDEST = (2, 16)  # its API server is the first that takes what the SDK compiles today
REFUSED = (401, 403)
NOT_THERE = 404
PASSING = (429, 502, 503, 504)  # a proxy or a server that starts says so; it passes
PIPELINES_NAMESPACE = "kubeflow"  # where a KFP for everybody runs its pods


class Unreachable(ServiceError):
    """The server does not answer just now; it may again."""


class NotThere(InputError):
    """The server knows nothing of what was asked for."""


class _Client(kfp_client.Client):
    def get_kfp_healthz(self, sleep_duration: int = 0) -> kfp_server_api.V2beta1GetHealthzResponse:
        """The health of the server, or what it says instead; KFP's own asks five times and hides the answer."""
        return self._healthz_api.healthz_service_get_healthz()


@dataclass(frozen=True)
class Server:
    """Where Kubeflow Pipelines answers, and as whom we ask.

    The token or cookie comes from ``KFP_TOKEN`` or ``KFP_COOKIE``: a command line can be read by every user of a
    machine. ``service_account`` uses the token that Kubernetes mounts into a pod.
    """

    host: str
    namespace: str | None = None
    service_account: bool = False
    ca_file: str | None = None

    @property
    def pods_namespace(self) -> str:
        """Where the pods of runs are."""
        return self.namespace or PIPELINES_NAMESPACE

    @property
    def words(self) -> str:
        """The options that lead here, for a command to copy."""
        return f"--host {self.host}" + (f" --namespace {self.namespace}" if self.namespace else "")

    def connect(self) -> "Api":
        """A connection that is known to work, to a server that is known to understand us.

        Raises:
            InputError: the server does not know us, is too old, or has several users and no namespace was given.
            ServiceError: the server cannot be reached.
        """
        credentials = kfp_client.ServiceAccountTokenVolumeCredentials() if self.service_account else None
        with warnings.catch_warnings(), self.errors():
            warnings.simplefilter("ignore")
            client = _Client(
                host=self.host,
                namespace=self.namespace or PIPELINES_NAMESPACE,
                existing_token=os.environ.get("KFP_TOKEN"),
                cookies=os.environ.get("KFP_COOKIE"),
                credentials=credentials,
                ssl_ca_cert=self.ca_file,
            )
        api = Api(self, client)
        health = api.json(f"{API}/healthz")
        if health.get("multi_user") and not self.namespace:
            raise InputError(self.host, "is a KFP with several users", "Name yours with --namespace")
        _require_version(self.host, str(health.get("apiServerTagName", "")))
        # Fails at once where we are not let in, and not after the package is compiled.
        api.json(f"{API}/experiments", page_size=1, namespace=self.namespace or "")
        return api

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turns what the API says into one sentence."""
        try:
            yield
        except kfp_server_api.ApiException as error:
            raise self._told(error) from error
        except (urllib3.exceptions.HTTPError, OSError, RuntimeError) as error:
            reason = type(getattr(error, "reason", None) or error).__name__
            raise Unreachable(
                self.host, f"cannot be reached ({reason})", "Check --host, such as http://localhost:8080"
            ) from error

    def _told(self, error: kfp_server_api.ApiException) -> InputError | ServiceError:
        said = _message(error.body or error.reason)
        if error.status in REFUSED:
            problem = f"refuses us ({error.status} {error.reason})"
            return InputError(self.host, problem, "Set KFP_TOKEN or KFP_COOKIE, or --namespace")
        if error.status == NOT_THERE:
            return NotThere(self.host, f"knows nothing of this name or id ({said})", f"See: sarslim runs {self.words}")
        kind = Unreachable if error.status in PASSING or not error.status else ServiceError
        return kind(self.host, f"answered {error.status or said}: {said}", "See the log of ml-pipeline")


@dataclass(frozen=True)
class Api:
    """A connection; ``sdk`` is KFP's own client, for what it can do."""

    server: Server
    sdk: Any

    def json(self, path: str, **query: Any) -> dict[str, Any]:
        """The answer of the API to a question.

        Raises:
            InputError: there is no such thing, or we are not let in.
            ServiceError: the server cannot be reached, or something else answers.
        """
        text = self.bytes(path, **query)
        try:
            found = json.loads(text)
        except ValueError:
            problem = f"answers {path} with something else than JSON"
            raise ServiceError(self.server.host, problem, "Name where the UI of Kubeflow Pipelines answers") from None
        assert isinstance(found, dict)
        return found

    def bytes(self, path: str, **query: Any) -> bytes:
        """The same as it came; of a route of the UI's server, too, with the same token, cookie and certificates."""
        client = self.sdk._run_api.api_client
        with self.server.errors():
            answer = client.call_api(
                path, "GET", query_params=list(query.items()), auth_settings=["Bearer"],
                response_type="object", _preload_content=False, _request_timeout=60,
            )  # fmt: skip
            content = answer.read()
        assert isinstance(content, bytes)
        return content

    def link(self, kind: str, name: str) -> str:
        """Where the UI shows a run or a pipeline."""
        return f"{self.server.host.rstrip('/')}/#/{kind}/details/{name}"

    def run(self, run: str) -> dict[str, Any]:
        """A run with the state of its tasks.

        Raises:
            InputError: there is no such run.
        """
        return self.json(f"{API}/runs/{run}")

    def spec(self, run: dict[str, Any]) -> dict[str, Any]:
        """The pipeline of a run, sent with it or one of those uploaded; empty where that was deleted since."""
        found = run.get("pipeline_spec")
        if not found and (version := run.get("pipeline_version_reference")):
            path = f"{API}/pipelines/{version['pipeline_id']}/versions/{version['pipeline_version_id']}"
            with contextlib.suppress(NotThere):
                found = self.json(path).get("pipeline_spec")
        found = found or {}
        # With settings for Kubernetes beside it, the pipeline is one level down.
        spec = found.get("pipeline_spec", found)
        assert isinstance(spec, dict)
        return spec


def _require_version(host: str, tag: str) -> None:
    if (match := re.match(r"v?(\d+)\.(\d+)", tag)) and (int(match[1]), int(match[2])) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise InputError(host, f"runs KFP {tag}, which refuses these pipelines", f"Upgrade it to {needed} or newer")


def _message(body: Any) -> str:
    """The sentence in an answer, whether it is JSON, HTML or plain."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    try:
        found = json.loads(text)
        text = found.get("error_details") or found.get("message") or found.get("error_message") or text
    except (ValueError, AttributeError):
        text = re.sub(r"(?s)<head>.*?</head>|<[^>]+>", " ", text)
    return " ".join(text.split())[:300]
