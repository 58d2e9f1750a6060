"""What all records share."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A result that is written once and never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Origin(Record):
    """Of which run a page is, and when it was written (UTC, ISO 8601); empty where that is not known.

    ``address`` is that of the artifact it tells of, where others can fetch it: on a cluster, not on this machine.
    """

    run: str = ""
    time: str = ""
    address: str = ""


UNKNOWN = Origin()
