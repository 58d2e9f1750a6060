"""What a cluster gives to each stage. Nothing here can change a result, so nothing here is a pipeline parameter."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

QUANTITY = r"^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"


class Settings(BaseModel):
    """What all settings share."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Resources(Settings):
    """What one stage asks for, and what ends it."""

    cpu_request: str = Field("500m", pattern=QUANTITY, description="CPU cores that the scheduler sets aside.")
    cpu_limit: str = Field("2", pattern=QUANTITY, description="CPU cores that the stage may use.")
    memory_request: str = Field("1Gi", pattern=QUANTITY, description="Memory that the scheduler sets aside.")
    memory_limit: str = Field("2Gi", pattern=QUANTITY, description="Memory beyond which the stage is killed.")
    timeout_minutes: int = Field(60, ge=1, description="The stage is ended after this time.")
    retries: int = Field(2, ge=0, le=10, description="Further attempts after a failure of the machine or a service.")


def _training() -> Resources:
    return Resources(cpu_request="2", cpu_limit="8", memory_request="4Gi", memory_limit="16Gi", timeout_minutes=24 * 60)


class Toleration(Settings):
    """A taint that the pods of training put up with."""

    key: str
    operator: Literal["Equal", "Exists"] = "Exists"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Accelerator(Settings):
    """What the training stages get besides CPUs."""

    type: str = Field("nvidia.com/gpu", description="Name of the resource.")
    count: int = Field(0, ge=0, description="Devices per stage. 0: train on CPUs. Several share one pod.")
    node_selector: dict[str, str] = Field({}, description="Labels of the nodes that may be used.")
    tolerations: tuple[Toleration, ...] = Field((), description="Taints of these nodes.")
    queue: str = Field("", description="Kueue LocalQueue that the pods wait in. Empty: none.")


class ClusterConfig(Settings):
    """Where and with what the stages run; given when a pipeline is compiled or submitted."""

    secret: str = Field(
        "sarslim-s3", description="Kubernetes Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and where they "
        "are not the defaults AWS_ENDPOINT_URL (http: no TLS) and AWS_REGION."
    )  # fmt: skip
    ca_config_map: str = Field("", description="ConfigMap with the key ca.crt, for a store with a CA of its own.")
    image_pull_secret: str = Field("", description="Secret for a private registry. Empty: none.")
    shared_memory: str = Field("2Gi", pattern=QUANTITY, description="Size of /dev/shm where networks are trained.")
    parallel: int = Field(2, ge=1, description="Cells of a sweep that run at the same time.")
    check: Resources = Resources()
    prepare: Resources = Resources(memory_limit="4Gi", timeout_minutes=240)
    teacher: Resources = Field(default_factory=_training)
    prune: Resources = Resources(cpu_limit="4", memory_limit="8Gi", timeout_minutes=240)
    ask: Resources = Field(default_factory=_training)
    distill: Resources = Field(default_factory=_training)
    evaluate: Resources = Resources(cpu_limit="4", memory_limit="8Gi", timeout_minutes=240)
    publish: Resources = Resources()
    accelerator: Accelerator = Accelerator()

    def resources(self, stage: str) -> Resources:
        """What ``stage`` asks for."""
        found: Any = getattr(self, stage)
        assert isinstance(found, Resources)
        return found
