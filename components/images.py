"""The image of every stage: the only place that names one.

The tag is a digest of what the stage is made of: its sources, the locked packages of its image and how that is built.
KFP's cache key holds the image but not what is in it, so edited code gets another tag, and only the stages that the
edit reaches run again.
"""

import hashlib
import json
import os
from pathlib import Path

from sarslim.stages import sources

ROOT = Path(__file__).parents[1]
# What `make push` wrote: the digest in the registry of every image pushed.
DIGESTS = ROOT / "build" / "digests.json"

MODULES = {
    "check": "sarslim.stages.check",
    "prepare": "sarslim.stages.prepare",
    "teacher": "sarslim.stages.teacher",
    "prune": "sarslim.stages.prune",
    "ask": "sarslim.stages.ask",
    "distill": "sarslim.stages.distill",
    "evaluate": "sarslim.stages.evaluate",
    "publish": "sarslim.stages.publish",
    "plan": "sarslim.stages.plan",
    "cell": "sarslim.stages.cell",
    "measure": "sarslim.stages.measure",
    "compare": "sarslim.stages.compare",
}

# The target of docker/Dockerfile that holds what a stage needs.
TARGETS = {
    "check": "prune",
    "prepare": "prepare",
    "teacher": "train",
    "prune": "prune",
    "ask": "train",
    "distill": "train",
    "evaluate": "evaluate",
    "publish": "prepare",
    "plan": "prune",
    "cell": "cell",
    "measure": "evaluate",
    "compare": "evaluate",
}


def repository(target: str) -> str:
    """Where the images of a target are kept, such as ``sarslim/python-train``."""
    # KFP's SubprocessRunner warns of names without "python".
    return f"{os.environ.get('SARSLIM_REGISTRY', 'sarslim').rstrip('/')}/python-{target}"


def tagged(stage: str) -> str:
    """The image of a stage by its tag, such as ``sarslim/python-train:0f3a...``."""
    return f"{repository(TARGETS[stage])}:{_tag(stage)}"


def image(stage: str) -> str:
    """The image of a stage as tasks ask for it: pinned by digest where it was pushed, by its tag elsewhere."""
    name = tagged(stage)
    pushed = json.loads(DIGESTS.read_text(encoding="utf-8")) if DIGESTS.is_file() else {}
    digest = pushed.get(name)
    return f"{repository(TARGETS[stage])}@{digest}" if digest else name


def lock(target: str) -> Path:
    """The locked packages of a target, with PyTorch for CUDA or, by SARSLIM_TORCH=cpu, for CPUs only."""
    return ROOT / "docker" / "locks" / os.environ.get("SARSLIM_TORCH", "cuda") / f"{target}.lock"


def _tag(stage: str) -> str:
    total = hashlib.sha256(sources.digest(MODULES[stage]).encode())
    for file in (ROOT / "docker" / "Dockerfile", ROOT / "docker" / "layer", lock(TARGETS[stage])):
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:16]
