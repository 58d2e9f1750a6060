"""Where tasks run: names for people everywhere; resources, secrets and retries on a cluster."""

from dataclasses import dataclass
from typing import Any

from kfp import dsl, kubernetes

from sarslim.config.cluster import ClusterConfig
from sarslim.store.retries import PATIENCE

TITLES = {
    "check": "Check inputs",
    "prepare": "Prepare chips",
    "teacher": "Train teacher",
    "prune": "Prune",
    "ask": "Ask teacher",
    "distill": "Distil with self-reflection",
    "evaluate": "Evaluate",
    "publish": "Publish",
}
KINDS = {"dataset": dsl.Dataset, "teacher": dsl.Model, "pruned": dsl.Model, "student": dsl.Model}
TRAINING = ("teacher", "ask", "distill")
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
TOKEN = "AWS_SESSION_TOKEN"
ADDRESS = ("AWS_ENDPOINT_URL", "AWS_REGION")
BACKOFF_MOST = 3600  # seconds between two attempts, about
CA_FOLDER = "/etc/sarslim/ca"


@dataclass(frozen=True)
class Placement:
    """How the tasks of a pipeline are placed; without a cluster they run on this machine."""

    cluster: ClusterConfig | None

    def __call__(self, stage: str, task: Any, title: str = "") -> Any:
        """Gives a task its name, its caching and, on a cluster, all that it needs to run there."""
        task.set_display_name(title or TITLES[stage])
        # The check notices that the data behind an address have changed.
        task.set_caching_options(stage != "check")
        if self.cluster is not None:
            _place(task, stage, self.cluster)
        return task

    def given(self, name: str, uri: Any) -> Any:
        """An artifact of an earlier run."""
        # No display name: KFP 2.17 stores an importer under that, and looks for it under its own name.
        return dsl.importer(artifact_uri=uri, artifact_class=KINDS[name], reimport=False).output

    @property
    def parallel(self) -> int:
        """Cells of a sweep at the same time; on this machine ``sarslim.kubeflow.local.sharing`` decides."""
        return 1 if self.cluster is None else self.cluster.parallel


def _place(task: Any, stage: str, cluster: ClusterConfig) -> None:
    wanted = cluster.resources(stage)
    task.set_cpu_request(wanted.cpu_request).set_cpu_limit(wanted.cpu_limit)
    task.set_memory_request(wanted.memory_request).set_memory_limit(wanted.memory_limit)
    if wanted.retries:
        # Argo counts this from the start of the first attempt: a stage that works for long has to have it to the end.
        longest = (wanted.retries + 1) * (wanted.timeout_minutes * 60 + BACKOFF_MOST)
        task.set_retry(wanted.retries, backoff_duration="30s", backoff_factor=2.0, backoff_max_duration=f"{longest}s")
    kubernetes.set_timeout(task, wanted.timeout_minutes * 60)
    task.set_env_variable(PATIENCE, str(cluster.patience_seconds))
    optional = (*ADDRESS, TOKEN) if cluster.credentials == "secret" else ADDRESS
    if cluster.credentials == "secret":
        kubernetes.use_secret_as_env(task, cluster.secret, {key: key for key in CREDENTIALS})
    kubernetes.use_secret_as_env(task, cluster.secret, {key: key for key in optional}, optional=True)
    kubernetes.set_security_context(task, run_as_non_root=True)
    # The root file system of the image is not written to.
    kubernetes.empty_dir_mount(task, "tmp", "/tmp")
    if cluster.ca_config_map:
        kubernetes.use_config_map_as_volume(task, cluster.ca_config_map, CA_FOLDER)
        task.set_env_variable("AWS_CA_BUNDLE", f"{CA_FOLDER}/ca.crt")
    if cluster.image_pull_secret:
        kubernetes.set_image_pull_secrets(task, [cluster.image_pull_secret])
    if stage in TRAINING:
        kubernetes.empty_dir_mount(task, "dshm", "/dev/shm", medium="Memory", size_limit=cluster.shared_memory)
        _accelerate(task, cluster)


def _accelerate(task: Any, cluster: ClusterConfig) -> None:
    wanted = cluster.accelerator
    if not wanted.count:
        return
    task.set_accelerator_type(wanted.type).set_accelerator_limit(wanted.count)
    for label, value in wanted.node_selector.items():
        kubernetes.add_node_selector(task, label, value)
    for taint in wanted.tolerations:
        kubernetes.add_toleration(task, taint.key, taint.operator, taint.value, taint.effect)
    if wanted.queue:
        kubernetes.add_pod_label(task, "kueue.x-k8s.io/queue-name", wanted.queue)
