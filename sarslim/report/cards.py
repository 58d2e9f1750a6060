"""Markdown pages: the pruning table and the model card."""

from collections.abc import Callable, Sequence

import sarslim.report.units as units
import sarslim.report.words as words
from sarslim.config import RunConfig
from sarslim.records import (
    Comparison,
    DatasetRecord,
    EvaluateRecord,
    ModelRecord,
    PruneRecord,
    TrainRecord,
    Trial,
)


def comparison_table(record: Comparison) -> str:
    """Networks side by side, as Markdown."""
    header, *rows = words.measured_rows(record)
    return f"# Comparison of networks\n\n{_table(header, rows)}\n\n{_list(words.measured_notes(record))}\n"


def pruning_table(record: PruneRecord) -> str:
    """What was cut from each layer, and what the network cost and could do before and after."""
    costs = [
        _cost("Parameters", record.params_before, record.params_after, units.count),
        _cost("MACs per chip", record.macs_before, record.macs_after, units.count),
    ]
    if record.latency_ms_before is not None and record.latency_ms_after is not None:
        costs.append(_cost("Latency", record.latency_ms_before, record.latency_ms_after, units.milliseconds))
    layers = [
        (
            f"`{_plain(layer.layer)}`",
            str(layer.before),
            str(layer.after),
            units.percent(layer.after / layer.before) if layer.before else "",
        )
        for layer in record.layers
    ]
    return "\n\n".join(
        [
            "# Pruning",
            _table(("Cost", "Before", "After", "Kept"), costs),
            f"Validation accuracy right after pruning, before any recovery: "
            f"{units.percent(record.val_accuracy_raw)} as cut, {units.percent(record.val_accuracy_recalibrated)} with "
            f"BatchNorm statistics measured again on training chips. Steps: {record.steps}.",
            *_search(record.search),
            "## Output channels per layer",
            _table(("Layer", "Before", "After", "Kept"), layers),
            "",
        ]
    )


def _search(trials: Sequence[Trial]) -> list[str]:
    """What the candidates could do after a short recovery, and which of them was cut."""
    if not trials:
        return []
    best = min(trials, key=lambda trial: trial.val_loss)
    rows = [
        (
            f"{trial.growth:g}",
            units.count(trial.macs),
            units.count(trial.params),
            f"{trial.val_loss:.4f}",
            units.percent(trial.val_accuracy),
            "chosen" if trial is best else "",
        )
        for trial in trials
    ]
    header = ("Growth per stage", "MACs per chip", "Parameters", "Validation loss", "Validation accuracy", "")
    return ["## Candidates after a short recovery", _table(header, rows)]


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
    name: str,
    version: str,
) -> str:
    """MODEL_CARD.md of a bundle: what the model is, what it was measured on, and where its limits are.

    An empty ``version`` is left out: it is derived from the bundle, which the card is a part of.
    """
    header, *rows = words.summary_table(evaluation)
    count_header, count_rows = words.counts(dataset)
    method = "distillation from its teacher" if config.distill.method == "distill" else "fine-tuning on labels"
    chips = "simulated SAR chips" if dataset.simulated else "SAR chips"
    blocks = [
        f"# {_plain(name)} {_plain(version)}".rstrip(),
        f"A {_plain(student_model.network)} that names {len(dataset.classes)} classes of targets in {chips} of "
        f"{dataset.image_size} × {dataset.image_size} pixels. It was pruned from a trained teacher and recovered by "
        f"{method} (sarslim {_plain(student_model.sarslim_version)}).",
        f"**{_plain(words.verdict(dataset, evaluation))}**",
        "## Figures",
        _table(header, rows),
        _list(words.caveats(config, dataset, evaluation)),
        "### Per class (student, test part)",
        _table(
            ("Class", "Chips", "Precision", "Recall", "95 % interval of recall", "F1"),
            [
                (
                    _plain(c.name),
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
        _table(
            (
                "Network",
                *(
                    f"{_plain(looks)} look{'' if looks == '1' else 's'}"
                    for looks in evaluation.student.speckle_accuracy
                ),
            ),
            [
                (words.NETWORKS[key], *(units.percent(accuracy) for accuracy in scores.speckle_accuracy.values()))
                for key, scores in words.networks(evaluation).items()
            ],
        ),
        *_deployments(evaluation),
        "### Quality gate",
        _table(
            ("Condition", "Found", "Bound", "Result"),
            [
                (
                    _plain(check.condition),
                    units.gate_value(check.condition, check.found),
                    units.gate_value(check.condition, check.bound),
                    "pass" if check.passed else "fail",
                )
                for check in evaluation.gate
            ],
        ),
        "## Data",
        _plain(words.origin(dataset)),
        _table([_plain(cell) for cell in count_header], [[_plain(cell) for cell in row] for row in count_rows]),
        _list(
            [
                f"Split rule: {dataset.split_rule}",
                f"Chips read: {dataset.chips_read:,}; left out with a reason: {len(dataset.skipped):,}",
                f"Channels: {', '.join(dataset.channels)}",
                *(
                    f"Pixel values of {channel} from amplitude a: {words.scaling(rule)}, clipped to 0 … 255"
                    for channel, rule in zip(dataset.channels, dataset.scaling, strict=False)
                ),
            ]
        ),
        *(["Warnings:", _list(dataset.warnings)] if dataset.warnings else []),
        "## Training",
        _list(
            [
                f"Teacher ({teacher.network}): {words.curve(teacher, config.teacher.generations, 'generations')}",
                f"Pruning: {units.percent(prune.params_after / prune.params_before)} of the parameters and "
                f"{units.percent(prune.macs_after / prune.macs_before)} of the MACs kept; validation accuracy "
                f"{units.percent(prune.val_accuracy_recalibrated)} before recovery",
                f"Student ({method}): {words.curve(distill, config.distill.progressive_steps, 'rounds')}",
            ]
        ),
        "## Limits",
        _list(
            [
                *(
                    ["Trained on simulated chips: not fit for use on real images without training on such images"]
                    if dataset.simulated
                    else []
                ),
                "Measured only on the test part described above: other sensors, resolutions, incidence angles and sea "
                "states were not tried",
                f"Every chip gets one of the {len(dataset.classes)} classes, also one that shows something else; there "
                "is no class for the unknown",
                "Confidence is calibrated only as far as the expected calibration error says: "
                f"{units.percent(evaluation.student.expected_calibration_error)} on the test part",
            ]
        ),
        "## Licences",
        "The code is under Apache-2.0. The data belong to their owners and keep the licence they were given under; "
        "check whether it covers weights trained on them.",
        "## Origin",
        _table(
            ("Artifact", "SHA-256"),
            [
                ("data set", f"`{_plain(dataset.digest)}`"),
                ("teacher weights", f"`{_plain(teacher_model.weights_sha256)}`"),
                ("student weights", f"`{_plain(student_model.weights_sha256)}`"),
                *((f"parent: {_plain(key)}", f"`{_plain(value)}`") for key, value in student_model.parents.items()),
            ],
        ),
        "",
    ]
    return "\n\n".join(blocks)


def _deployments(evaluation: EvaluateRecord) -> list[str]:
    """What teacher and student can do and cost in each runtime and precision, and what rivals cost."""
    if not evaluation.deployments:
        return []
    named = [((words.NETWORKS[each.network], each.runtime, each.precision), each) for each in evaluation.deployments]
    timed = [(name, each.latency) for name, each in named]
    timed += [((each.network, "ONNX Runtime", "FP32"), each.latency) for each in evaluation.rivals]
    return [
        "### In PyTorch and ONNX Runtime",
        _table(
            ("Network", "Runtime", "Precision", "Accuracy", "Macro-F1", "File"),
            [
                (*name, units.percent(each.accuracy), units.percent(each.macro_f1), units.size(each.bytes))
                for name, each in named
            ],
        ),
        _table(
            ("Network", "Runtime", "Precision", "Threads", "Batch", "Median", "95th percentile", "Chips per second"),
            [
                (
                    *name,
                    str(latency.threads),
                    str(latency.batch),
                    units.milliseconds(latency.median_ms),
                    units.milliseconds(latency.p95_ms),
                    units.significant(latency.images_per_second),
                )
                for name, latencies in timed
                for latency in latencies
            ],
        ),
        _list(words.export_notes(evaluation)),
    ]


def _cost(name: str, before: float, after: float, show: Callable[[float], str]) -> tuple[str, str, str, str]:
    return name, show(before), show(after), units.percent(after / before)


def _plain(text: str) -> str:
    """Text from outside, such that Markdown shows it instead of obeying it."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{mark}" if mark in "\\|`*[]" else mark for mark in text)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with the first column to the left and the others, which are numbers, to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {words.sentence(_plain(item))}" for item in items)
