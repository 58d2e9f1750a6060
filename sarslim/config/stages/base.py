"""What the sections of all stages share."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator


class Section(BaseModel):
    """What the configurations of all stages share."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rerun: str = Field("", description="Any text: another text runs this stage again, with all else unchanged.")

    @field_validator("*", mode="before")
    @classmethod
    def _from_python(cls, value: Any, info: ValidationInfo) -> Any:
        # A budget of 250000 is the same as a text; of 1.10 nobody knows whether it was 1.1.
        is_text = cls.model_fields[str(info.field_name)].annotation is str
        return str(value) if is_text and type(value) is int else value
