"""MODEL_CARD.md as Hugging Face reads it: front matter for machines, then what a careful user asks."""

import re
from collections.abc import Sequence
from typing import Any

import sarslim.report.units as units
import sarslim.report.words.data as data_words
import sarslim.report.words.run as words
import sarslim.report.words.shift as shift_words
import sarslim.report.words.shortcuts as shortcut_words
from sarslim.config import EvaluateConfig, RunConfig
from sarslim.records import DatasetRecord, EvaluateRecord, ModelRecord, Origin, PruneRecord, TrainRecord
from sarslim.report.markdown import listing, plain, table
from sarslim.report.words.text import listed, moment

TASK = "image-classification"
# Balanced accuracy is the macro-average of recall, under which name Hugging Face has it.
METRICS: tuple[tuple[str, str, str], ...] = (
    ("accuracy", "Accuracy", ""),
    ("macro_f1", "Macro-F1", "f1"),
    ("balanced_accuracy", "Balanced accuracy", "recall"),
)
USE = """\
With sarslim installed (`pip install '.[runtime]'` in its source folder; ONNX Runtime, no PyTorch), in the folder that
holds this card, and with your chips in the folder `chips`:

```shell
sarslim predict . chips > found.csv
```

```python
from sarslim.delivery.runtime import Bundle

bundle = Bundle.open(".")
for found in bundle.predict(["chips"]):
    print(found.chip, found.label, found.confidence)
```

`--int8` and `int8=True` take the network in INT8. Every file is checked against `SHA256SUMS` first."""


def model_card(
    *,
    config: RunConfig,
    dataset: DatasetRecord,
    teacher: TrainRecord,
    prune: PruneRecord,
    distill: TrainRecord,
    evaluation: EvaluateRecord,
    teacher_model: ModelRecord,
    student_model: ModelRecord,
    origin: Origin,
    name: str,
) -> str:
    """MODEL_CARD.md of a bundle: what the model is, what it was measured on, and where its limits are.

    It has no address and no version: the version is derived from the bundle, which the card is a part of.
    """
    method = "distillation from its teacher" if config.distill.method == "distill" else "fine-tuning on labels"
    data = data_words.name(dataset.format, dataset.source, config.evaluate.data_name)
    things = data_words.targets(dataset)
    blocks = [
        _front_matter(config, dataset, evaluation, name=name, data=data),
        f"# {plain(name)}",
        f"A {plain(student_model.network)} that names {len(dataset.classes)} kinds of {things} in "
        f"{'simulated ' if dataset.simulated else ''}SAR chips of {dataset.image_size} × {dataset.image_size} pixels: "
        f"{plain(listed(dataset.classes))}. It was pruned from a trained teacher and recovered by {method} (sarslim "
        f"{plain(student_model.sarslim_version)}).",
        f"**{plain(words.verdict(dataset, evaluation))}**",
        "## How to use it",
        USE,
        "## Intended use",
        listing(_uses(dataset, evaluation, data)),
        "## Limits",
        listing(_limits(dataset, evaluation)),
        *_figures(config, dataset, evaluation),
        *_data(dataset, data, words.data_warnings(dataset, evaluation)),
        "## Training",
        listing(
            [
                f"Teacher ({teacher.network}): {words.curve(teacher, config.teacher.generations, 'generations')}",
                f"Pruning: {units.percent(prune.params_after / prune.params_before)} of the parameters and "
                f"{units.percent(prune.macs_after / prune.macs_before)} of the MACs kept; validation accuracy "
                f"{units.percent(prune.val_accuracy_recalibrated)} before recovery",
                f"Student ({method}): {words.curve(distill, config.distill.progressive_steps, 'rounds')}",
            ]
        ),
        "## Licences",
        _licences(config.evaluate, dataset),
        "## Origin",
        *([f"Measured on {moment(origin.time)} in the run {plain(origin.run)}."] if origin.time else []),
        table(
            ("Artifact", "SHA-256"),
            [
                ("data set", f"`{plain(dataset.digest)}`"),
                ("teacher weights", f"`{plain(teacher_model.weights_sha256)}`"),
                ("student weights", f"`{plain(student_model.weights_sha256)}`"),
                *((f"parent: {plain(key)}", f"`{plain(value)}`") for key, value in student_model.parents.items()),
            ],
        ),
        "",
    ]
    return "\n\n".join(blocks)


def _front_matter(
    config: RunConfig, dataset: DatasetRecord, evaluation: EvaluateRecord, *, name: str, data: str
) -> str:
    """The fields of huggingface/hub-docs, modelcard.md; a model-index names one model."""
    # The images of the stages that write no card may do without it.
    import yaml

    tags = ["sar", "synthetic-aperture-radar", "remote-sensing", "onnx", "pruning"]
    tags += ["knowledge-distillation"] if config.distill.method == "distill" else []
    tags += ["ship-recognition"] if data_words.targets(dataset) == "ships" else ["automatic-target-recognition"]
    tags += ["simulated-data"] if dataset.simulated else []
    metrics: list[dict[str, Any]] = [
        {"type": kind or figure, "value": round(getattr(evaluation.student, figure), 4), "name": label}
        | ({"args": {"average": "macro"}} if kind else {})
        for figure, label, kind in METRICS
    ]
    measured = {
        "task": {"type": TASK, "name": "Recognition of targets in SAR chips"},
        "dataset": {"type": _slug(data), "name": data, "split": "test"},
        "metrics": metrics,
    }
    fields: dict[str, Any] = {
        **_license(config.evaluate, dataset),
        "library_name": "sarslim",
        "pipeline_tag": TASK,
        "tags": tags,
        "metrics": [metric["type"] for metric in metrics],
        "model-index": [{"name": _slug(name), "results": [measured]}],
    }
    return f"---\n{yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=120)}---"


def _license(config: EvaluateConfig, dataset: DatasetRecord) -> dict[str, str]:
    """What binds the weights: the licence of the data that they were learned from."""
    given = config.data_license or ("apache-2.0" if dataset.simulated else "unknown")
    if given.startswith("https://"):
        return {"license": "other", "license_name": "licence-of-the-data", "license_link": given}
    return {"license": given}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-") or "unnamed"


def _uses(dataset: DatasetRecord, evaluation: EvaluateRecord, data: str) -> list[str]:
    things, wrong = data_words.targets(dataset), units.percent(1 - evaluation.student.accuracy)
    return [
        f"To name what a chip shows that a detector or a person has cut out of a SAR image, one of the {things} in its "
        f"middle, where memory and power are scarce. It finds no {things} in whole scenes",
        *(
            ["To try the method and the tools around it: it knows simulated chips only"]
            if dataset.simulated
            else [f"On images like those of {data}; measure it on your own labelled chips before you rely on it"]
        ),
        f"Not for decisions that nobody checks: {wrong} of the test chips were named wrongly",
    ]


def _limits(dataset: DatasetRecord, evaluation: EvaluateRecord) -> list[str]:
    return [
        *(
            ["Trained on simulated chips: not fit for use on real images without training on such images"]
            if dataset.simulated
            else []
        ),
        f"Measured only on {_measured_on(evaluation)} described below: other sensors, resolutions, incidence angles "
        "and surroundings were not tried",
        f"Every chip gets one of the {len(dataset.classes)} classes, also one that shows something else; there is no "
        "class for the unknown",
        "Confidence is calibrated only as far as the expected calibration error says: "
        f"{units.percent(evaluation.student.expected_calibration_error)} on the test part",
    ]


def _measured_on(evaluation: EvaluateRecord) -> str:
    return listed(("the test part", *(each.name for each in evaluation.shifted)))


def _figures(config: RunConfig, dataset: DatasetRecord, evaluation: EvaluateRecord) -> list[str]:
    header, *rows = words.summary_table(evaluation)
    looks = [f"{plain(n)} look{'' if n == '1' else 's'}" for n in evaluation.student.speckle_accuracy]
    return [
        "## Figures",
        table(header, rows),
        listing(words.caveats(config, dataset, evaluation)),
        "### Per class (student, test part)",
        table(
            ("Class", "Chips", "Precision", "Recall", "95 % interval of recall", "F1"),
            [
                (
                    plain(c.name),
                    f"{c.chips:,}",
                    units.percent(c.precision),
                    units.percent(c.recall),
                    " to ".join(units.percent(bound) for bound in units.wilson(c.recall * c.chips, c.chips)),
                    units.percent(c.f1),
                )
                for c in evaluation.student.classes
            ],
        ),
        "### Under extra speckle",
        table(
            ("Network", *looks),
            [
                (words.NETWORKS[key], *(units.percent(accuracy) for accuracy in scores.speckle_accuracy.values()))
                for key, scores in words.networks(evaluation).items()
            ],
        ),
        *_deployments(evaluation),
        *_shortcuts(evaluation),
        *_shift(dataset, evaluation),
        "### Quality gate",
        table(
            ("Condition", "Found", "Bound", "Result"),
            [
                (
                    plain(check.condition),
                    units.gate_value(check.condition, check.found),
                    units.gate_value(check.condition, check.bound),
                    "pass" if check.passed else "fail",
                )
                for check in evaluation.gate
            ],
        ),
    ]


def _shortcuts(evaluation: EvaluateRecord) -> list[str]:
    """What is right without a look at the target, and how far the networks are above that."""
    if not evaluation.shortcuts:
        return []
    return [
        "### What shortcuts get",
        shortcut_words.best(evaluation),
        table(shortcut_words.HEADER, shortcut_words.table(evaluation)),
        table(shortcut_words.LEADS, shortcut_words.leads(evaluation, words.NETWORKS)),
        f"{shortcut_words.RULE}.",
    ]


def _shift(dataset: DatasetRecord, evaluation: EvaluateRecord) -> list[str]:
    """What the networks can do on chips that differ from those of training."""
    if not evaluation.shifted:
        return []
    return [
        "### Under shift",
        table(shift_words.HEADER, shift_words.table(evaluation)),
        listing([*shift_words.origins(dataset, evaluation), shift_words.RULE]),
    ]


def _deployments(evaluation: EvaluateRecord) -> list[str]:
    """What teacher and student can do and cost in each runtime and precision, and what rivals cost."""
    if not evaluation.deployments:
        return []
    header, rows = words.deployed(evaluation)
    return [
        "### In PyTorch and ONNX Runtime",
        "Times are the median per chip.",
        table(header, rows),
        listing(words.export_notes(evaluation)),
    ]


def _data(dataset: DatasetRecord, name: str, warnings: Sequence[str]) -> list[str]:
    header, rows = data_words.counts(dataset)
    return [
        "## Data",
        plain(data_words.origin(dataset)),
        table([plain(cell) for cell in header], [[plain(cell) for cell in row] for row in rows]),
        listing(
            [
                f"Name: {name}",
                f"Split rule: {data_words.split_rule(dataset)}",
                f"Chips read: {dataset.chips_read:,}; left out with a reason: {len(dataset.skipped):,}",
                f"Channels: {', '.join(dataset.channels)}",
                *(
                    f"Pixel values of {channel} from amplitude a: {data_words.scaling(rule)}, clipped to 0 … 255"
                    for channel, rule in zip(dataset.channels, dataset.scaling, strict=False)
                ),
                *data_words.looked(dataset),
                *filter(None, [data_words.further(dataset)]),
            ]
        ),
        *(["Warnings:", listing(warnings)] if warnings else []),
    ]


def _licences(config: EvaluateConfig, dataset: DatasetRecord) -> str:
    code = "The code of sarslim is under Apache-2.0."
    if config.data_license:
        return (
            f"{code} The data are under {plain(config.data_license)}, as the user of sarslim stated; check whether it "
            "covers weights trained on them."
        )
    if dataset.simulated:
        return f"{code} The chips were made by it, so no other licence binds these weights."
    return (
        f"{code} The data belong to their owners and keep the licence they were given under, which nobody has stated "
        "here (`evaluate.data_license`); check whether it covers weights trained on them."
    )
