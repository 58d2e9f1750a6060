"""The page of all fields, written from the pydantic models: type, default, bounds and meaning of each."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from docs import markdown
from sarslim.config import NETWORKS, STAGES, GridConfig, RunConfig, TrainingConfig
from sarslim.config.cluster import ClusterConfig, Resources, Toleration
from sarslim.config.parameters import KNOBS
from sarslim.config.recoveries import KD, METHOD, RECOVERIES

ROOT = Path(__file__).parents[1]
COST = "64 × 64 pixels, one channel and five classes"
BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}
KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
HEADER = ("Field", "Takes", "Default", "Meaning")

INTRODUCTION = """\
A configuration is a YAML file with a section per stage. What a file leaves out has the default. Any field can also be
set on the command line, with `-s stage.field=value`, which wins over the file:

<!-- not run: trains for minutes -->
```bash
sarslim run -c quick -s distill.epochs=30 -s prune.macs=2%
```

A field that does not exist is refused with the nearest right name, a value out of bounds with the bound, and all
problems are told together, before anything runs.

The type of a field decides how its text is read. `-s publish.version=1.10` is that text and no number; lists
are written `-s prepare.classes=Cargo,Tanker` or `[Cargo, Tanker]`, mappings `-s 'prepare.merge={Tug: Other,
Fishing: Other}'` or name by name, `-s prepare.merge.Tug=Other`, and what is in them is text, too. In a file
YAML reads first, and gives texts such as `1.10`, `0012`, `1:30` or `NO` a meaning of its own: where a text is
wanted they are refused, with the text to put in quotes.

A **budget** is a share of what the teacher needs (`5%`) or a number (`250k`, `20M`, for latency `1.5ms`). The student
has to keep within every budget that is set; an empty one binds nothing.
"""

CLUSTER = """\
Where and with what the stages run on a cluster. Nothing here can change a result, so nothing here is a pipeline
parameter: it is given when a pipeline is compiled or submitted, as a YAML file (`--cluster FILE`) or field by field
(`--place teacher.memory_limit=16Gi`).
"""


def page() -> str:
    """The page as Markdown."""
    blocks = [
        markdown.GENERATED,
        "# Configuration",
        INTRODUCTION,
        "## Ready experiments",
        markdown.table(("Name", "What it is"), list(_ready())),
        "`-c NAME` finds them; `-c FILE` takes your own. Each run writes down every field as it ran, in "
        "`runs/RUN/config.yaml`.",
    ]
    for stage in STAGES:
        model = RunConfig.model_fields[stage].annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        blocks += [f"## {stage}", markdown.first_sentence(model.__doc__), *_section(model, stage)]
    blocks += [
        "## Training: teacher and distill",
        f"{markdown.first_sentence(TrainingConfig.__doc__)} Each of the two has its own: `teacher.epochs`, "
        "`distill.epochs`.",
        markdown.table(HEADER, [_row(name, "", field) for name, field in _fields(TrainingConfig) if name != "rerun"]),
        "## Networks",
        f"For `teacher.network`, `evaluate.rivals` and the rivals of `sarslim baselines`. Costs are those of "
        f"{COST}, before pruning; a MAC is one multiplication and addition.",
        markdown.table(("Network", "Parameters", "MACs per chip"), list(_networks())),
        "## Recovery methods",
        "For `--methods` of `sarslim sweep` and `sarslim baselines`. A method sets every field of `distill` that tells "
        "methods apart, whatever the recipe says; `distill` alone is the recipe itself.",
        markdown.table(("Method", "Sets in `distill`"), [(f"`{name}`", _sets(name)) for name in RECOVERIES]),
        "## Sweeps and comparisons",
        markdown.first_sentence(GridConfig.__doc__),
        markdown.table(HEADER, [_row(name, "", field) for name, field in _fields(GridConfig)]),
        "## Cluster",
        CLUSTER,
        *_section(ClusterConfig, ""),
        "### accelerator.tolerations",
        markdown.first_sentence(Toleration.__doc__),
        markdown.table(HEADER, [_row(name, "", field) for name, field in _fields(Toleration)]),
        "### Resources of each stage",
        markdown.first_sentence(Resources.__doc__),
        markdown.table(
            ("Field", "Takes", "Meaning"),
            [(row[0], row[1], row[3]) for row in (_row(name, "", field) for name, field in _fields(Resources))],
        ),
        "Their defaults by stage:",
        markdown.table(("Stage", *(f"`{name}`" for name in Resources.model_fields)), list(_resources())),
        "## Parameters in the KFP UI",
        "These fields are parameters of their own in the UI. All others go into `STAGE_options` as JSON, such as "
        '`{"mixup": 0.2}`; what stands there wins. `STAGE_rerun` takes any text.',
        markdown.table(
            ("Parameter", "Sets"),
            [(f"`{knob}`", ", ".join(f"`{path}`" for path in paths)) for knob, paths in KNOBS.items()],
        ),
    ]
    return "\n\n".join(block.strip("\n") for block in blocks) + "\n"


def _section(model: type[BaseModel], path: str) -> Iterator[str]:
    """A table of the fields of a model, then one for each model inside."""
    shared = set(TrainingConfig.model_fields) if issubclass(model, TrainingConfig) else set()
    fields = [(name, field) for name, field in _fields(model) if not _as_shared(name, field, shared)]
    yield markdown.table(HEADER, [_row(name, path, field) for name, field in fields if "$ref" not in field])
    if shared:
        yield "And all fields of [training](#training-teacher-and-distill)."
    for name, field in fields:
        inner = model.model_fields[name].annotation
        if "$ref" in field and inner is not Resources:  # those of all stages stand in one table
            assert isinstance(inner, type)
            assert issubclass(inner, BaseModel)
            full = f"{path}.{name}".lstrip(".")
            yield f"### {full}"
            yield markdown.first_sentence(inner.__doc__)
            yield from _section(inner, full)


def _as_shared(name: str, field: Mapping[str, Any], shared: set[str]) -> bool:
    return name in shared and name != "rerun" and field == dict(_fields(TrainingConfig))[name]


def _fields(model: type[BaseModel]) -> list[tuple[str, dict[str, Any]]]:
    """Every field as JSON Schema, with the definitions of what it refers to at hand."""
    schema = model.model_json_schema()
    known = schema.get("$defs", {})
    fields = [(name, _resolved(field, known)) for name, field in schema["properties"].items()]
    return sorted(fields, key=lambda named: named[0] == "rerun")


def _resolved(field: Any, known: Mapping[str, Any]) -> Any:
    """The field with references inside lists put in their place; one to a section stays, as a mark."""
    if "items" in field and "$ref" in field["items"]:
        own = known[field["items"]["$ref"].rpartition("/")[2]]
        return field | {"items": own}
    return field


def _row(name: str, path: str, field: Mapping[str, Any]) -> tuple[str, str, str, str]:
    anchor = f'<a id="{path}.{name}"></a>' if path in STAGES else ""
    meaning = markdown.cell(field.get("description", "")).replace(", ".join(NETWORKS), "the [networks](#networks)")
    return f"{anchor}`{name}`", _takes(field), _default(field), meaning


def _takes(field: Mapping[str, Any]) -> str:
    """What values a field takes, in words."""
    if "anyOf" in field:
        return " or ".join(_takes(choice) for choice in field["anyOf"] if choice.get("type") != "null")
    if "$ref" in field:
        return "section"
    if "enum" in field:
        return ", ".join(f"`{choice}`" for choice in field["enum"])
    if field.get("type") == "array":
        if "prefixItems" in field:
            return f"{len(field['prefixItems'])} × {_takes(field['prefixItems'][0])}"
        least = ", not empty" if field.get("minItems") else ""
        inner = field["items"]
        return f"list of {'sections' if 'properties' in inner else _takes(inner)}{least}"
    if field.get("type") == "object":
        inner = _takes(field["additionalProperties"])
        return f"name: {inner}"
    kind = KINDS[field["type"]]
    bounds = [text.format(f"{field[key]:g}") for key, text in BOUNDS.items() if key in field]
    pattern = f" like `{markdown.cell(field['pattern'])}`" if "pattern" in field else ""
    return ", ".join([f"{kind}{pattern}", *bounds])


def _default(field: Mapping[str, Any]) -> str:
    if "default" not in field:
        return "required"
    value = field["default"]
    if value in ("", None):
        return "empty"
    if isinstance(value, str):
        return f"`{value}`"
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text}`"


def _ready() -> Iterator[tuple[str, str]]:
    """Name and leading comment of every configuration."""
    for file in sorted((ROOT / "configs").glob("*.yaml")):
        comment = []
        for line in file.read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                break
            comment.append(line.removeprefix("#").strip())
        yield f"[`{file.stem}`](../configs/{file.name})", markdown.cell(" ".join(comment))


def _networks() -> Iterator[tuple[str, str, str]]:
    from sarslim import networks
    from sarslim.networks.cost import count_macs, count_params
    from sarslim.report import units

    for name in NETWORKS:
        network = networks.build(name, classes=5, channels=1, stem="standard", mean=(0.0,), std=(1.0,))
        yield f"`{name}`", units.count(count_params(network)), units.count(count_macs(network, (1, 64, 64)))


def _sets(name: str) -> str:
    """How a method differs from plain distillation of the output, which is told in full."""
    own = RECOVERIES[name]
    base = METHOD if own["method"] == "finetune" or name == "kd" else KD
    told = {key: value for key, value in own.items() if name == "kd" or base.get(key) != value}
    texts = ", ".join(f"`{key}={json.dumps(value).strip(chr(34))}`" for key, value in told.items())
    if own == {"method": "distill"}:
        return "nothing else: the recipe"
    return texts if base is METHOD else f"as `kd`, but {texts}"


def _resources() -> Iterator[tuple[str, ...]]:
    for name, field in ClusterConfig.model_fields.items():
        if field.annotation is Resources:
            yield (
                f"`{name}`",
                *(str(value) for value in field.get_default(call_default_factory=True).model_dump().values()),
            )
