"""MODEL_CARD.md."""

import sarslim.report.units as units
import sarslim.report.words.data as data_words
import sarslim.report.words.run as words
from sarslim.config import RunConfig
from sarslim.records import DatasetRecord, EvaluateRecord, ModelRecord, PruneRecord, TrainRecord
from sarslim.report.markdown import listing, plain, table


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
    count_header, count_rows = data_words.counts(dataset)
    method = "distillation from its teacher" if config.distill.method == "distill" else "fine-tuning on labels"
    chips = "simulated SAR chips" if dataset.simulated else "SAR chips"
    blocks = [
        f"# {plain(name)} {plain(version)}".rstrip(),
        f"A {plain(student_model.network)} that names {len(dataset.classes)} classes of targets in {chips} of "
        f"{dataset.image_size} × {dataset.image_size} pixels. It was pruned from a trained teacher and recovered by "
        f"{method} (sarslim {plain(student_model.sarslim_version)}).",
        f"**{plain(words.verdict(dataset, evaluation))}**",
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
            (
                "Network",
                *(f"{plain(looks)} look{'' if looks == '1' else 's'}" for looks in evaluation.student.speckle_accuracy),
            ),
            [
                (words.NETWORKS[key], *(units.percent(accuracy) for accuracy in scores.speckle_accuracy.values()))
                for key, scores in words.networks(evaluation).items()
            ],
        ),
        *_deployments(evaluation),
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
        "## Data",
        plain(data_words.origin(dataset)),
        table([plain(cell) for cell in count_header], [[plain(cell) for cell in row] for row in count_rows]),
        listing(
            [
                f"Split rule: {dataset.split_rule}",
                f"Chips read: {dataset.chips_read:,}; left out with a reason: {len(dataset.skipped):,}",
                f"Channels: {', '.join(dataset.channels)}",
                *(
                    f"Pixel values of {channel} from amplitude a: {data_words.scaling(rule)}, clipped to 0 … 255"
                    for channel, rule in zip(dataset.channels, dataset.scaling, strict=False)
                ),
            ]
        ),
        *(["Warnings:", listing(dataset.warnings)] if dataset.warnings else []),
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
        "## Limits",
        listing(
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


def _deployments(evaluation: EvaluateRecord) -> list[str]:
    """What teacher and student can do and cost in each runtime and precision, and what rivals cost."""
    if not evaluation.deployments:
        return []
    named = [((words.NETWORKS[each.network], each.runtime, each.precision), each) for each in evaluation.deployments]
    timed = [(name, each.latency) for name, each in named]
    timed += [((each.network, "ONNX Runtime", "FP32"), each.latency) for each in evaluation.rivals]
    return [
        "### In PyTorch and ONNX Runtime",
        table(
            ("Network", "Runtime", "Precision", "Accuracy", "Macro-F1", "File"),
            [
                (*name, units.percent(each.accuracy), units.percent(each.macro_f1), units.size(each.bytes))
                for name, each in named
            ],
        ),
        table(
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
        listing(words.export_notes(evaluation)),
    ]
