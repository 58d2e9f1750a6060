"""What a cluster gives to each stage. Nothing here can change a result, so nothing here is a pipeline parameter."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?", re.ASCII)


def _quantity(text: str) -> str:
    if not QUANTITY.fullmatch(text):
        raise ValueError("is no quantity of Kubernetes; write one such as 500m, 2 or 4Gi")
    return text


Quantity = Annotated[str, AfterValidator(_quantity)]


class Settings(BaseModel):
    """What all settings share."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Resources(Settings):
    """What one stage asks for, and what ends it."""

    cpu_request: Quantity = Field("500m", description="CPU cores that the scheduler sets aside.")
    cpu_limit: Quantity = Field("2", description="CPU cores that the stage may use.")
    memory_request: Quantity = Field("1Gi", description="Memory that the scheduler sets aside.")
    memory_limit: Quantity = Field("2Gi", description="Memory beyond which the stage is killed.")
    timeout_minutes: int = Field(60, ge=1, le=1_000_000, description="An attempt is ended after this time.")
    retries: int = Field(2, ge=0, le=10, description="Further attempts after a failure of the machine or a service.")


def _training() -> Resources:
    return Resources(
        cpu_request="1",  # beside KFP itself on a node of two
        cpu_limit="8",
        memory_request="4Gi",
        memory_limit="16Gi",
        timeout_minutes=7 * 24 * 60,
        retries=5,
    )


class Toleration(Settings):
    """A taint that the pods of training put up with."""

    key: str
    operator: Literal["Equal", "Exists"] = "Exists"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Accelerator(Settings):
    """What the training stages get besides CPUs."""

    type: str = Field("nvidia.com/gpu", description="Name of the resource.")
    count: int = Field(0, ge=0, le=1024, description="Devices per stage. 0: train on CPUs. Several share one pod.")
    node_selector: dict[str, str] = Field({}, description="Labels of the nodes that may be used.")
    tolerations: tuple[Toleration, ...] = Field((), description="Taints of these nodes.")
    queue: str = Field("", description="Kueue LocalQueue that the pods wait in. Empty: none.")


class ClusterConfig(Settings):
    """Where and with what the stages run; given when a pipeline is compiled or submitted."""

    prefix: str = Field(
        "sarslim-", pattern=r"^([a-z0-9]([a-z0-9-]*))?$", description="What the names of our pipelines begin with."
    )
    documentation: str = Field(
        "", pattern=r"^(https?://\S+)?$", description="Address that the descriptions in the UI link to. Empty: none."
    )
    secret: str = Field(
        "sarslim-s3", description="Kubernetes Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and where they "
        "are not the defaults AWS_ENDPOINT_URL (http: no TLS), AWS_REGION and AWS_SESSION_TOKEN."
    )  # fmt: skip
    credentials: Literal["secret", "service-account"] = Field(
        "secret", description="Keys from the Secret, or none at all: the cloud gives the service account an identity."
    )
    ca_config_map: str = Field("", description="ConfigMap with the key ca.crt, for a store with a CA of its own.")
    image_pull_secret: str = Field("", description="Secret for a private registry. Empty: none.")
    shared_memory: Quantity = Field("2Gi", description="Size of /dev/shm where networks are trained.")
    parallel: int = Field(2, ge=1, le=1024, description="Cells of a sweep that run at the same time.")
    patience_seconds: int = Field(
        120, ge=0, le=86_400, description="How long a stage asks an object store again that does not answer."
    )
    check: Resources = Resources()
    prepare: Resources = Resources(memory_limit="4Gi", timeout_minutes=240)
    teacher: Resources = Field(default_factory=_training)
    prune: Resources = Resources(cpu_limit="4", memory_limit="8Gi", timeout_minutes=240)
    ask: Resources = Field(default_factory=_training)
    distill: Resources = Field(default_factory=_training)
    evaluate: Resources = Resources(cpu_limit="4", memory_limit="8Gi", timeout_minutes=240)
    publish: Resources = Resources()
    accelerator: Accelerator = Accelerator()

    @model_validator(mode="before")
    @classmethod
    def _beside_the_defaults(cls, values: Any) -> Any:
        """Whoever changes one field of a stage keeps the others of that stage."""
        if not isinstance(values, dict):
            return values
        defaults = {name: field.get_default(call_default_factory=True) for name, field in cls.model_fields.items()}
        return {
            name: defaults[name].model_dump() | given
            if isinstance(given, dict) and isinstance(defaults.get(name), Resources)
            else given
            for name, given in values.items()
        }

    def resources(self, stage: str) -> Resources:
        """What ``stage`` asks for."""
        found: Any = getattr(self, stage)
        assert isinstance(found, Resources)
        return found
