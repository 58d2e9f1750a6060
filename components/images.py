"""The image of every stage: the only place that names one.

The tag is a digest of the sources that the stage is made of. KFP's cache key holds the image but not what is in it,
so edited code gets another tag, and only the stages that the edit reaches run again.
"""

import os

from sarslim import sources

MODULES = {
    "check": "sarslim.stages.check",
    "prepare": "sarslim.stages.prepare",
    "teacher": "sarslim.stages.teacher",
    "prune": "sarslim.stages.prune",
    "distill": "sarslim.stages.distill",
    "evaluate": "sarslim.stages.evaluate",
    "publish": "sarslim.stages.publish",
    "outcome": "sarslim.stages.outcome",
    "plan": "sarslim.stages.plan",
    "measure": "sarslim.stages.measure",
    "compare": "sarslim.stages.compare",
}


def image(stage: str) -> str:
    """The image reference of a stage, such as ``sarslim/python-teacher:0f3a...``."""
    registry = os.environ.get("SARSLIM_REGISTRY", "sarslim").rstrip("/")
    return f"{registry}/python-{stage}:{sources.digest(MODULES[stage])[:16]}"
