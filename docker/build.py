"""Builds the images of all stages and prints their sizes; with --push also sends them to SARSLIM_REGISTRY."""

import argparse
import hashlib
import json
import os
import subprocess
import sys

from docker.client import DockerClient
from docker.errors import DockerException

from components import images
from sarslim import __version__
from sarslim.stages import sources

# The caller's settings of pip and of the network that a build on this network needs. None of them ends in an image.
PASSED_ON = (
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES",
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip


def revision() -> str:
    """The git commit, with a digest of the sources where they differ from it."""
    asked = _run("git", "rev-parse", "HEAD")
    commit = "unknown" if asked.returncode else asked.stdout.strip()
    if not _run("git", "status", "--porcelain", "--", "sarslim", "docker").stdout:
        return commit
    files = [path for folder in (sources.PACKAGE, images.ROOT / "docker") for path in sorted(folder.rglob("*"))]
    read = (path.read_bytes() for path in files if path.is_file() and path.suffix != ".pyc")
    contents = b"".join(hashlib.sha256(content).digest() for content in read)
    return f"{commit}-dirty-{hashlib.sha256(contents).hexdigest()[:12]}"


def build(base: str, tag: str) -> None:
    """Builds every target once and gives it a tag of its own and one for every stage that runs in it."""
    if not images.lock("base").is_file():
        sys.exit(f"there are no locked versions in {images.lock('base').parent}; run make lock TORCH=...")
    found = revision()
    for target in dict.fromkeys(images.TARGETS.values()):
        names = [f"{images.repository(target)}:{tag or _short(found)}"]
        names += [images.tagged(stage) for stage in images.TARGETS if images.TARGETS[stage] == target]
        print(f"building {names[0]}", flush=True)
        command = ["docker", "build", "--file", "docker/Dockerfile", "--target", target, "--network", "host"]
        command += ["--build-arg", f"BASE={base}", "--build-arg", f"TORCH={images.lock(target).parent.name}"]
        command += [part for name in PASSED_ON if name in os.environ for part in ("--build-arg", name)]
        command += ["--label", f"org.opencontainers.image.version={__version__}"]
        command += ["--label", f"org.opencontainers.image.revision={found}"]
        command += [part for name in names for part in ("--tag", name)]
        done = _run(*command, ".")
        if done.returncode:
            sys.exit("\n".join(done.stdout.splitlines()[-40:]) + f"\ndocker build of {target} failed")
        print(f"{target:<10} {_size(names[0]) / 1e6:6.0f} MB", flush=True)


def push() -> None:
    """Pushes the image of every stage, unless its tag is there already, and notes the digests for the compiler."""
    engine = DockerClient.from_env()
    digests = json.loads(images.DIGESTS.read_text(encoding="utf-8")) if images.DIGESTS.is_file() else {}
    for name in map(images.tagged, images.TARGETS):
        digest = _in_registry(engine, name)
        if digest is None:
            done = _run("docker", "push", "--quiet", name)
            if done.returncode:
                sys.exit(f"{done.stdout.strip()}\n{name} cannot be pushed; docker login?")
            digest = _in_registry(engine, name)
        digests[name] = digest
        print(f"{name} {digest}", flush=True)
    images.DIGESTS.parent.mkdir(exist_ok=True)
    images.DIGESTS.write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")


def _in_registry(engine: DockerClient, name: str) -> str | None:
    try:
        return engine.images.get_registry_data(name).id
    except DockerException:
        return None


def _short(found: str) -> str:
    commit, _, rest = found.partition("-")
    return "-".join(filter(None, (commit[:12], rest)))


def _size(name: str) -> int:
    return int(_run("docker", "image", "inspect", "--format", "{{.Size}}", name).stdout)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=images.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="python:3.11-slim-bookworm", help="the base image")
    parser.add_argument("--tag", default="", help="instead of the git commit")
    parser.add_argument("--push", action="store_true", help="push to SARSLIM_REGISTRY")
    arguments = parser.parse_args()
    build(arguments.base, arguments.tag)
    if arguments.push:
        push()
