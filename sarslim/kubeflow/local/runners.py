"""Local tasks in containers: KFP's DockerRunner with the images of the stages, as a cluster would run them."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from docker.client import DockerClient
from docker.errors import DockerException, NotFound
from docker.types import Mount
from google.protobuf import json_format
from kfp import local
from kfp.local import docker_task_handler

from sarslim.chips.inspect import linked_folders
from sarslim.errors import InputError, ServiceError
from sarslim.kubeflow.local import run_log, sharing
from sarslim.store import client

# The user of docker/Dockerfile, for callers who are root.
IMAGE_USER = 10001
# How results and credentials reach a task; everything else of the caller's environment stays outside.
INHERITED = ("AWS_", "OMP_NUM_THREADS", *(f"{name}_PROXY" for name in ("HTTP", "HTTPS", "ALL", "NO")))


def require_images(dag: Any) -> None:
    """Makes sure that this machine has the image of every task of ``dag``; from a registry they are pulled.

    Raises:
        InputError: an image that is not built yet.
        ServiceError: no Docker engine answers, or the registry does not give an image.
    """
    try:
        client = DockerClient.from_env()
        # One call: a list of objects fails where an image goes meanwhile.
        there = client.api.images()
    except DockerException:
        raise ServiceError("--docker", "no Docker engine answers", "Start Docker, or leave out --docker") from None
    present = {name for image in there for kind in ("RepoTags", "RepoDigests") for name in image[kind] or ()}
    executors = json_format.MessageToDict(dag.pipeline_spec.deployment_spec)["executors"].values()
    for name in sorted({executor["container"]["image"] for executor in executors} - present):
        if "SARSLIM_REGISTRY" not in os.environ:
            raise InputError("--docker", f"the image {name} is not built", "Run make images")
        print(f"pulling {name}", flush=True)
        try:
            client.images.pull(name)
        except DockerException as error:
            raise ServiceError(name, f"cannot be pulled ({error})", "Run make push REGISTRY=...") from None


def containers(pipeline_root: Path, sources: Iterable[str], beside: int = 1) -> local.DockerRunner:
    """A runner whose tasks have a read-only root, no privileges, the caller's user and the caller's network.

    Args:
        pipeline_root: the one folder that tasks write to.
        sources: what the pipeline reads; a local path is mounted where it is, and so is what its links lead to.
        beside: how many cells of a plan run at a time.

    Raises:
        InputError: a relative source, which means nothing inside a container.
    """
    docker_task_handler.run_docker_container = partial(_run, beside)
    pipeline_root.mkdir(parents=True, exist_ok=True)
    user, group = os.getuid(), os.getgid()
    if user == 0:
        user = group = IMAGE_USER
        os.chown(pipeline_root, user, group)
    # Like an emptyDir: on disk, writable by everyone, gone with the container.
    mounts = [Mount("/tmp", None, type="volume")]
    certificates = os.environ.get("AWS_CA_BUNDLE", "")
    local_sources = [source for source in sources if source and "://" not in source]
    linked = [str(folder) for source in local_sources for folder in linked_folders(Path(source))]
    for path in dict.fromkeys([*local_sources, *linked, certificates]):
        if path and not Path(path).is_absolute():
            raise InputError(path, "is a relative path, which containers cannot see", "Give the whole path")
        if path and Path(path).exists():
            mounts.append(Mount(path, path, type="bind", read_only=True))
    return local.DockerRunner(
        user=f"{user}:{group}",
        environment={name: value for name, value in os.environ.items() if name.upper().startswith(INHERITED)}
        | client.variables(),
        mounts=mounts,
        # The embedded object store listens on loopback only.
        network_mode="host",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )


def _run(
    beside: int,
    client: Any,
    image: str,
    command: list[str],
    volumes: dict[str, Any],
    environment: Mapping[str, str],
    **arguments: Any,
) -> int:
    """Runs one task to its end and returns its exit status.

    It stands in for KFP's own, which lets the container go before its status is read and takes a missing one for
    success, and which leaves the container running when the caller is interrupted.
    """
    shared = {**sharing.environment(command, beside), **environment}
    try:
        container = client.containers.run(image, command, volumes=volumes, environment=shared, detach=True, **arguments)
    except DockerException as error:
        run_log.say(f"Docker: {error}")
        return 1
    try:
        rest = b""
        for part in container.logs(stream=True):
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                run_log.say(line.decode(errors="replace"))
        if rest:
            run_log.say(rest.decode(errors="replace"))
        return container.wait()["StatusCode"]
    except NotFound:
        run_log.say("Docker: the container was removed before it ended")
        return 1
    finally:
        with contextlib.suppress(DockerException):
            container.remove(v=True, force=True)
