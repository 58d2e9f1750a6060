"""Where scenarios run: a cluster with what was made on it, or a double; and the table of what was seen."""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from kubeflow.kfp_server import Kfp, with_noise
from typer.testing import CliRunner

from components.placement import TRAINING
from sarslim.cli.app import app
from sarslim.errors import SarslimError
from sarslim.kubeflow.cluster.server import Api, Server
from sarslim.store.storage import S3Uri, Storage

HOST = os.environ.get("SARSLIM_CLUSTER_HOST", "")
TINY = (
    "prepare.image_size=32", "prepare.simulator={chips: 200, classes: 2}", "teacher.epochs=2", "distill.epochs=2",
    "evaluate.latency_seconds=0.05", "evaluate.max_drop=1.0",
)  # fmt: skip
TABLE: list[tuple[str, str, float]] = []


@dataclass
class Cluster:
    """Where scenarios run, and how to talk to it."""

    host: str
    namespace: str = ""
    run_as: str = ""
    bucket: str = "sarslim"
    store: str = ""
    double: Kfp | None = None
    name: str = field(default_factory=lambda: f"sarslim-suite-{uuid.uuid4().hex[:8]}")
    runs: list[str] = field(default_factory=list)

    @property
    def at(self) -> list[str]:
        return ["--host", self.host, *(["--namespace", self.namespace] if self.namespace else [])]

    @property
    def places(self) -> list[str]:
        """So that every stage fits on a node of two cores, beside others."""
        small = ("cpu_request=200m", "memory_request=1Gi")
        places = [f"prefix={self.name}-", *(f"{stage}.{asked}" for stage in TRAINING for asked in small)]
        return [word for place in places for word in ("--place", place)]

    @property
    def folder(self) -> str:
        return f"s3://{self.bucket}/{self.name}"

    def sarslim(self, *arguments: str, code: int = 0) -> str:
        """What a command prints."""
        done = CliRunner().invoke(app, list(arguments))
        assert done.exit_code == code, f"{' '.join(arguments)}\n{done.output}{done.exception or ''}"
        return done.output

    def submit(self, pipeline: str = "compress", *more: str, looks: tuple[str, ...] = (), tiny: bool = True) -> str:
        """Starts a run; on the double it then looks as the recordings ``looks`` do, one after the other."""
        if self.double is not None:
            self.double.script(*(looks or ("run_over_time_6",)))
        kept = (f"teacher.checkpoints={self.folder}/checkpoints", f"distill.checkpoints={self.folder}/checkpoints",
                f"publish.destination={self.folder}/models")  # fmt: skip
        sets = [*(TINY if tiny else ()), *kept]
        output = self.sarslim(
            "submit", *self.at, "-p", pipeline, "--experiment", self.name,
            "--pipeline-root", f"{self.folder}/pipelines",
            *(["--run-as", self.run_as] if self.run_as and "--run-as" not in more else []),
            *self.places,
            *(word for text in sets for word in ("--set", text)), *more,
        )  # fmt: skip
        self.runs.append(output.split()[1])
        return self.runs[-1]

    def watch(self, run: str, code: int = 0) -> list[str]:
        """Every line until the run ends."""
        return self.sarslim("runs", "watch", run, *self.at, code=code).splitlines()

    def story(self, run: str) -> dict:
        """What ``runs show`` knows."""
        return json.loads(self.sarslim("runs", "show", run, *self.at, "--json"))

    def api(self) -> Api:
        return Server(self.host, self.namespace or None).connect()

    def print(self, look: str, task: str, *lines: str) -> None:
        """What a stage prints, on the double."""
        if self.double is not None:
            self.double.print(look, task, with_noise(*lines))

    def kubectl(self, *arguments: str) -> str:
        place = self.namespace or "kubeflow"
        done = subprocess.run(
            ["kubectl", "-n", place, *arguments], capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            pytest.skip(f"kubectl {arguments[0]}: {done.stderr.strip()[:200]}")
        return done.stdout

    def remove(self) -> list[str]:
        """Removes all that was made; returns what could not be."""
        left: list[str] = []
        api = self.api()
        for run in self.runs:
            api.sdk.delete_run(run)
        named = api.sdk.list_pipelines(page_size=100, namespace=self.namespace or None).pipelines or []
        for pipeline in named:
            if pipeline.display_name.startswith(self.name):
                versions = api.sdk.list_pipeline_versions(pipeline.pipeline_id, page_size=100).pipeline_versions or []
                for version in versions:
                    api.sdk.delete_pipeline_version(pipeline.pipeline_id, version.pipeline_version_id)
                api.sdk.delete_pipeline(pipeline.pipeline_id)
        experiment = api.sdk.get_experiment(experiment_name=self.name, namespace=self.namespace or None)
        api.sdk.delete_experiment(experiment.experiment_id)
        try:
            storage, folder = Storage.from_environment(), S3Uri.parse(self.folder)
            for name, _, _ in storage.list(folder):
                storage.delete(folder / name)
        except SarslimError as error:
            left.append(f"{self.folder} ({error})")
        return left


@contextmanager
def seen(what: str) -> Iterator[list[str]]:
    """A row of the table at the end: what is put into the list is what was seen."""
    started, told = time.monotonic(), list[str]()
    try:
        yield told
    except BaseException as error:
        told.append(
            f"{'skipped' if type(error).__name__ == 'Skipped' else 'FAILED'}: {str(error).splitlines()[0][:100]}"
        )
        raise
    finally:
        TABLE.append((what, "; ".join(told), time.monotonic() - started))
