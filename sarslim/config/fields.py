"""What fields of the configuration have in common: bounds, and texts that have to mean something."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from sarslim.config.parsing import nearest
from sarslim.errors import InputError
from sarslim.store.address import S3Uri

NETWORKS = (
    "resnet18", "resnet34", "resnet50", "vgg16_bn", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large",
    "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "mnasnet0_5", "ghostnet", "efficientnet_b0", "squeezenet1_1",
    "aconvnet",
)  # fmt: skip

# Of those that Hugging Face knows, what data are published under.
LICENSES = (
    "apache-2.0", "c-uda", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0",
    "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-permissive-1.0",
    "cdla-permissive-2.0", "cdla-sharing-1.0", "etalab-2.0", "mit", "odbl", "odc-by", "pddl", "unlicense",
)  # fmt: skip

# What may be said of a chip beside its class.
IDENTITIES = ("group", "ship", "scene", "split", "number")

MOST = 1_000_000  # of whatever is counted: beyond, somebody has written something else than he meant
PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


def _address(text: str) -> str:
    try:
        return text and str(S3Uri.parse(text))
    except InputError as error:
        raise ValueError(f"{error.problem.removeprefix(repr(text)).strip()}; {error.remedy}") from None


def _part(text: str) -> str:
    if text and not PART.fullmatch(text):
        raise ValueError(
            "is no name here; write letters, digits, dots, hyphens and underscores, a letter or digit first"
        )
    return text


def _name(text: str) -> str:
    if text != text.lower():
        raise ValueError(f"has capital letters; write {text.lower()}")
    return _part(text)


def _source(text: str) -> str:
    # Logs, records and the parameters of pipelines are UTF-8; names below a source may be anything.
    if not text.isascii() and text.encode("utf-8", "replace").decode() != text:
        raise ValueError("has a name that is not UTF-8; rename it, or make a link to it and give that")
    return text


def _given(text: str) -> str:
    if not text.strip():
        raise ValueError("names nothing; give a path or an s3:// address")
    return text


def _named(text: str) -> str:
    if not text:
        raise ValueError("has no name; write name=path")
    return _part(text)


def _known_network(name: str) -> str:
    if name not in NETWORKS:
        raise ValueError(f"is not a network known here{nearest(name, NETWORKS)}; choose from {', '.join(NETWORKS)}")
    return name


Fraction = Annotated[float, Field(gt=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=1000)]
Count = Annotated[int, Field(ge=1, le=MOST)]
Few = Annotated[int, Field(ge=0, le=MOST)]
# Whatever draws at random takes 32 bits, and KFP hands whole numbers on as floating-point ones.
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Rate = Annotated[float, Field(gt=0, le=10)]
Network = Annotated[str, AfterValidator(_known_network)]
Address = Annotated[str, AfterValidator(_address)]
Part = Annotated[str, AfterValidator(_part)]
# A path or an s3:// address of chips, and what a further one is called.
Source = Annotated[str, AfterValidator(_source)]
GivenSource = Annotated[str, AfterValidator(_source), AfterValidator(_given)]
SourceName = Annotated[str, Field(max_length=40), AfterValidator(_named)]
ModelName = Annotated[str, AfterValidator(_name)]
