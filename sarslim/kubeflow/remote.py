"""Runs on a cluster, through the API of Kubeflow Pipelines."""

import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api
import urllib3
import yaml
from kfp import client as kfp_client
from kfp import compiler

from sarslim.config import RunConfig, parse
from sarslim.config.parameters import ARTIFACTS, given_artifacts
from sarslim.errors import InputError, ServiceError
from sarslim.progress import duration
from sarslim.store import journal
from sarslim.store.storage import S3Uri, Storage

ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED", "CANCELLED")
REFUSED = (401, 403)
NOT_THERE = 404


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

    def connect(self) -> kfp_client.Client:
        """The client of KFP's SDK.

        Raises:
            InputError: the server does not know us.
            ServiceError: the server cannot be reached.
        """
        credentials = kfp_client.ServiceAccountTokenVolumeCredentials() if self.service_account else None
        with warnings.catch_warnings(), self.errors():
            warnings.simplefilter("ignore")
            client = _Client(
                host=self.host,
                namespace=self.namespace or "kubeflow",
                existing_token=os.environ.get("KFP_TOKEN"),
                cookies=os.environ.get("KFP_COOKIE"),
                credentials=credentials,
                ssl_ca_cert=self.ca_file,
            )
            # Fails at once, and not after the package is compiled.
            client.list_experiments(page_size=1, namespace=self.namespace)
        return client

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turns what the API says into one sentence."""
        try:
            yield
        except kfp_server_api.ApiException as error:
            if error.status in REFUSED:
                said = f"refuses us ({error.status} {error.reason})"
                raise InputError(self.host, said, "Set KFP_TOKEN or KFP_COOKIE, or --namespace") from error
            if error.status == NOT_THERE:
                raise InputError(self.host, "knows nothing of this name or id", "See: pipeline.py runs") from error
            body = " ".join(str(error.body or error.reason).split())[:300]
            raise ServiceError(self.host, f"answered {error.status}: {body}", "See the log of ml-pipeline") from error
        except (urllib3.exceptions.HTTPError, OSError, RuntimeError) as error:
            raise ServiceError(
                self.host, f"cannot be reached ({type(error).__name__})", "Check --host, such as http://localhost:8080"
            ) from error


@dataclass(frozen=True)
class Submission:
    """A run as it is sent: the pipeline, its arguments, and where it belongs."""

    dag: Any
    arguments: Mapping[str, Any]
    run_name: str
    experiment: str
    pipeline_root: str
    service_account: str

    def package(self, folder: Path) -> Path:
        """The compiled pipeline."""
        file = folder / f"{self.dag.name}.yaml"
        compiler.Compiler().compile(self.dag, str(file))
        return file

    def shown(self, namespace: str | None) -> str:
        """All that is sent, as YAML: the run first, then the pipeline."""
        run = {
            "display_name": self.run_name,
            "experiment": self.experiment,
            "namespace": namespace,
            "service_account": self.service_account,
            "runtime_config": {"parameters": dict(self.arguments), "pipeline_root": self.pipeline_root},
        }
        with tempfile.TemporaryDirectory() as folder:
            package = self.package(Path(folder)).read_text(encoding="utf-8")
        return f"{yaml.safe_dump(run, sort_keys=False)}---\n{package}"


def submit(server: Server, submission: Submission) -> str:
    """Starts a run and returns its id."""
    client = server.connect()
    with tempfile.TemporaryDirectory() as folder, server.errors():
        started = client.create_run_from_pipeline_package(
            str(submission.package(Path(folder))),
            arguments=dict(submission.arguments),
            run_name=submission.run_name,
            experiment_name=submission.experiment,
            namespace=server.namespace,
            pipeline_root=submission.pipeline_root,
            service_account=submission.service_account or None,
        )
    return str(started.run_id)


def wait(server: Server, run: str, every_seconds: float = 5.0) -> bool:
    """Prints how the tasks of a run get on until it ends; True if it succeeded."""
    client = server.connect()
    start, seen = time.monotonic(), dict[str, str]()
    while True:
        with server.errors():
            found = client.get_run(run)
        for task in (found.run_details.task_details or []) if found.run_details else []:
            name, state = str(task.display_name), str(task.state)
            if name.endswith("-driver") or seen.get(name) == state:
                continue
            seen[name] = state
            print(f"[{name}] {state.lower()}  {duration(time.monotonic() - start)}", flush=True)
        if found.state in ENDED:
            reason = f": {found.error.message}" if found.error and found.error.message else ""
            print(f"run {run} {found.state.lower()}{reason}", flush=True)
            return bool(found.state == "SUCCEEDED")
        time.sleep(every_seconds)


def upload(server: Server, dags: Mapping[str, Any], version: str) -> None:
    """Uploads pipelines; one that is there already gets a new version."""
    client = server.connect()
    with tempfile.TemporaryDirectory() as folder, server.errors():
        for name, dag in dags.items():
            file = f"{folder}/{name}.yaml"
            compiler.Compiler().compile(dag, file)
            known = client.get_pipeline_id(name)
            if known:
                client.upload_pipeline_version(file, pipeline_version_name=version, pipeline_id=known)
            else:
                client.upload_pipeline(file, pipeline_name=name, namespace=server.namespace)
            print(f"{name}: {'version ' + version if known else 'new'}", flush=True)


def runs(server: Server, most: int) -> list[tuple[str, str, str, str]]:
    """Id, name, state and start of the latest runs."""
    client = server.connect()
    with server.errors():
        found = client.list_runs(page_size=most, sort_by="created_at desc", namespace=server.namespace)
    return [(run.run_id, run.display_name, run.state or "PENDING", str(run.created_at)) for run in found.runs or []]


def logs(server: Server, run: str) -> Iterator[tuple[str, str]]:
    """The log of every task of a run that still has a pod, by task."""
    client = server.connect()
    with server.errors():
        details = client.get_run(run).run_details
        for task in (details.task_details or []) if details else []:
            pods = [task.pod_name, *(child.pod_name for child in task.child_tasks or [])]
            for pod in filter(None, pods):
                # The SDK has no method for it; the UI uses the same route.
                route = f"/apis/v1alpha1/runs/{run}/nodes/{pod}/log"
                text, *_ = client._run_api.api_client.call_api(route, "GET", response_type="str")
                yield str(task.display_name), str(text)


def artifacts_of(server: Server, run: str, pipeline_root: str) -> dict[str, str]:
    """The artifacts of a run on the cluster, from its journal in the object store.

    Raises:
        InputError: the run left no journal there.
    """
    client = server.connect()
    with server.errors():
        found = client.get_run(run)
        name = _pipeline_name(client, found)
    root = f"{(found.runtime_config.pipeline_root or pipeline_root).rstrip('/')}/{name}/{run}"
    entries = journal.read(root)
    if not entries:
        raise InputError(run, f"no stage of it has written to {root}", "Check --pipeline-root, or name another run")
    return journal.artifacts(entries)


def _pipeline_name(client: kfp_client.Client, run: Any) -> str:
    """The name of the pipeline of a run, which was sent with the run or is one of those uploaded."""
    spec = run.pipeline_spec
    if not spec:
        version = run.pipeline_version_reference
        spec = client.get_pipeline_version(version.pipeline_id, version.pipeline_version_id).pipeline_spec
    # With settings for Kubernetes beside it, the pipeline is one level down.
    return str(spec.get("pipeline_spec", spec)["pipelineInfo"]["name"])


def config_of(artifacts: Mapping[str, str], run: str) -> RunConfig:
    """The configuration that a run's check wrote down.

    Raises:
        InputError: the check of the run did not succeed.
    """
    if "run_config" not in artifacts:
        raise InputError(run, "ended before its parameters were checked", "Submit it again")
    return parse(RunConfig, Storage.from_environment().read(S3Uri.parse(artifacts["run_config"])).decode())


def uris(artifacts: Mapping[str, str], start: str, run: str) -> dict[str, str]:
    """The parameters of an entry point that starts with ``start``.

    Raises:
        InputError: the run did not make all that is needed.
    """
    needed = given_artifacts(start)
    missing = [name for name in needed if name not in artifacts]
    if missing:
        stage = ARTIFACTS[missing[0]]
        raise InputError(run, f"has no {missing[0]}", f"Start --from {stage}, or name a run that made it")
    return {f"{name}_uri": artifacts[name] for name in needed}
