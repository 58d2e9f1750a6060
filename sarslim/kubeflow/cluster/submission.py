"""A run as it is sent to a cluster, and the pipelines that the cluster's UI shows."""

import contextlib
import hashlib
import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api
import yaml
from kfp import compiler

from sarslim import __version__
from sarslim.kubeflow.cluster.server import API, Api


@dataclass(frozen=True)
class Submission:
    """A run as it is sent: the pipeline, its arguments, and where it belongs."""

    dag: Any
    arguments: Mapping[str, Any]
    run_name: str
    experiment: str
    pipeline_root: str
    service_account: str

    def shown(self, namespace: str | None) -> str:
        """All that is sent, as YAML: the run first, then the pipeline."""
        with _package(self.dag) as file:
            package, version = file.read_text(encoding="utf-8"), version_of(file)
        run = {
            "display_name": self.run_name,
            "experiment": self.experiment,
            "namespace": namespace,
            "service_account": self.service_account,
            "pipeline": self.dag.name,
            "pipeline_version": version,
            "runtime_config": {"parameters": dict(self.arguments), "pipeline_root": self.pipeline_root},
        }
        return f"{yaml.safe_dump(run, sort_keys=False)}---\n{package}"


def submit(api: Api, submission: Submission) -> str:
    """Starts a run of a version of its pipeline, which is uploaded where it is not there yet; returns the run's id."""
    pipeline, version, _ = ensure(api, submission.dag)
    with api.server.errors(), _quiet():
        experiment = api.sdk.create_experiment(submission.experiment, namespace=api.server.namespace)
        started = api.sdk.run_pipeline(
            experiment_id=experiment.experiment_id,
            job_name=submission.run_name,
            params=dict(submission.arguments),
            pipeline_id=pipeline,
            version_id=version,
            pipeline_root=submission.pipeline_root,
            service_account=submission.service_account or None,
        )
    return str(started.run_id)


def ensure(api: Api, dag: Any, version: str = "") -> tuple[str, str, str]:
    """Ids of a pipeline and of its version in the UI, and what had to be done: ``new``, ``new version`` or nothing.

    Without a name a version is named after the digest of its YAML, so that the same pipeline is uploaded once.
    """
    with _package(dag) as file:
        version = version or version_of(file)
        pipeline = _found(api.json(f"{API}/pipelines", **_named(dag.name, api.server.namespace)), "pipelines")
        there = {}
        if pipeline:
            path = f"{API}/pipelines/{pipeline['pipeline_id']}/versions"
            there = _found(api.json(path, page_size=1, **_named(version)), "pipeline_versions")
        if there:
            return pipeline["pipeline_id"], there["pipeline_version_id"], ""
        with api.server.errors(), _quiet():
            made = pipeline.get("pipeline_id") or _create(api, dag)
            uploaded = api.sdk.upload_pipeline_version(str(file), pipeline_version_name=version, pipeline_id=made)
    return str(made), str(uploaded.pipeline_version_id), "new version" if pipeline else "new"


def upload(api: Api, dags: Mapping[str, Any], version: str) -> None:
    """Uploads pipelines; of one that is there already a new version, if it differs from those that are."""
    for dag in dags.values():
        pipeline, _, done = ensure(api, dag, version)
        print(f"{dag.name}: {done or 'there already'}  {api.link('pipelines', pipeline)}", flush=True)


def version_of(package: Path) -> str:
    """The name of the version that a compiled pipeline is."""
    return f"{__version__}-{hashlib.sha256(package.read_bytes()).hexdigest()[:12]}"


def _create(api: Api, dag: Any) -> str:
    """A pipeline without a version yet: what KFP makes of a first upload has a version of the pipeline's own name."""
    wanted = kfp_server_api.V2beta1Pipeline(
        name=dag.name, display_name=dag.name, description=dag.description, namespace=api.server.namespace
    )
    return str(api.sdk._pipelines_api.pipeline_service_create_pipeline(wanted).pipeline_id)


def _named(name: str, namespace: str | None = None) -> dict[str, str]:
    # A list without the namespace leaves out what belongs to one.
    equal = {"operation": 1, "key": "display_name", "stringValue": name}
    asked = {"filter": json.dumps({"predicates": [equal]})}
    return asked | ({"namespace": namespace} if namespace else {})


def _found(answer: Mapping[str, Any], what: str) -> dict[str, Any]:
    return dict(next(iter(answer.get(what) or ()), {}))


@contextlib.contextmanager
def _package(dag: Any) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{dag.name}.yaml"
        compiler.Compiler().compile(dag, str(file))
        yield file


def _quiet() -> contextlib.AbstractContextManager[Any]:
    """The SDK prints links at each step; one link to the run is enough."""
    return contextlib.redirect_stdout(io.StringIO())
