"""What pages say of a run: the verdict, the tables and the honest small print, as plain text."""

from collections.abc import Mapping

from pydantic import BaseModel

import sarslim.report.units as units
import sarslim.report.words.shift as shift
import sarslim.report.words.shortcuts as shortcuts
from sarslim.config import RunConfig
from sarslim.evaluation.statistics import beats_guessing
from sarslim.records import (
    AliasDecision,
    AskRecord,
    DatasetRecord,
    EvaluateRecord,
    Latency,
    NetworkScores,
    TrainRecord,
)
from sarslim.report.words.data import origin, split_rule
from sarslim.report.words.text import listed

NETWORKS = {"teacher": "Teacher", "pruned": "Pruned, before recovery", "student": "Student"}


def networks(evaluation: EvaluateRecord) -> dict[str, NetworkScores]:
    """The three networks under their names in the record, in the order of the pipeline."""
    return {name: getattr(evaluation, name) for name in NETWORKS}


def test_chips(evaluation: EvaluateRecord) -> int:
    """Size of the test part."""
    return sum(scores.chips for scores in evaluation.student.classes)


def summary_table(evaluation: EvaluateRecord) -> list[tuple[str, ...]]:
    """One row per network in human units, header first: what ends a run in the terminal."""
    rows: list[tuple[str, ...]] = [
        ("Network", "Accuracy", "Balanced accuracy", "Macro-F1", "Parameters", "MACs", "File", "Latency")
    ]
    for name, scores in networks(evaluation).items():
        rows.append(
            (
                NETWORKS[name],
                units.percent(scores.accuracy),
                units.percent(scores.balanced_accuracy),
                units.percent(scores.macro_f1),
                units.count(scores.params),
                units.count(scores.macs),
                units.size(scores.bytes),
                units.latency(scores.latency[0]),
            )
        )
    return rows


def headline(stage: str, figures: Mapping[str, float]) -> str:
    """The figures of a record, as the KFP UI shows them, in a few words."""
    if stage == "prepare":
        chips = sum(number for name, number in figures.items() if name.endswith("_chips"))
        return f"{chips:,.0f} chips of {figures['classes']:.0f} classes"
    if stage in ("teacher", "distill"):
        return f"macro-F1 {units.percent(figures['val_macro_f1'])} on the validation part"
    if stage == "prune":
        macs, params = units.percent(figures["macs_share"]), units.percent(figures["params_share"])
        return f"{macs} of the MACs and {params} of the parameters kept"
    if stage == "evaluate":
        student, teacher = figures["student_accuracy"], figures["teacher_accuracy"]
        return f"student {units.percent(student)} right, teacher {units.percent(teacher)}"
    if stage == "plan":
        return f"{figures['cells']:.0f} cells"
    if stage == "ask":
        asked = f"{figures['answers']:,.0f} answers, {units.size(figures['bytes'])}"
        return asked if figures["views"] else "the teacher answers during the distillation"
    return f"accuracy {units.percent(figures['accuracy'])}" if stage in ("measure", "recover", "rival") else ""


def answers(record: AskRecord) -> str:
    """What the teacher said before the distillation, and how much that is."""
    unlabelled = (
        f" and {record.unlabelled_views} of each of {record.unlabelled_chips:,} unlabelled ones"
        if record.unlabelled_chips
        else ""
    )
    return (
        f"the teacher answered {record.views} views of each of {record.chips:,} labelled chips{unlabelled} once, in "
        f"{record.seconds:,.0f} s: {units.size(record.bytes)}"
    )


def comparison(evaluation: EvaluateRecord) -> list[tuple[str, list[tuple[str, str]]]]:
    """Per figure its name, and for each network the value and how it compares with the teacher's."""
    teacher = evaluation.teacher
    rows = []
    for label, name in (("Accuracy", "accuracy"), ("Balanced accuracy", "balanced_accuracy"), ("Macro-F1", "macro_f1")):
        rows.append(
            (
                label,
                [
                    (units.percent(getattr(s, name)), units.points(getattr(s, name) - getattr(teacher, name)))
                    for s in networks(evaluation).values()
                ],
            )
        )
    for label, name, show, fewer, more in (
        ("Parameters", "params", units.count, "fewer", "more"),
        ("MACs per chip", "macs", units.count, "fewer", "more"),
        ("File", "bytes", units.size, "smaller", "larger"),
        ("Latency", "latency_ms", units.milliseconds, "faster", "slower"),
    ):
        marks = [
            units.DISTURBED * (name == "latency_ms" and s.latency[0].disturbed) for s in networks(evaluation).values()
        ]
        rows.append(
            (
                label,
                [
                    (show(getattr(s, name)) + mark, units.times(getattr(s, name), getattr(teacher, name), fewer, more))
                    for s, mark in zip(networks(evaluation).values(), marks, strict=True)
                ],
            )
        )
    # The teacher is not compared with itself.
    return [(label, [(cells[0][0], ""), *cells[1:]]) for label, cells in rows]


def verdict(dataset: DatasetRecord, evaluation: EvaluateRecord) -> str:
    """What came out of the run, in one sentence, and what is wrong with it in further ones."""
    return " ".join([_outcome(dataset, evaluation), *reproaches(evaluation), *shift.verdicts(evaluation)])


def reproaches(evaluation: EvaluateRecord) -> list[str]:
    """What says that training or recovery failed, whatever the gate asks for."""
    teacher, pruned, student = evaluation.teacher, evaluation.pruned, evaluation.student
    texts = []
    if student.accuracy < pruned.accuracy:
        texts.append(
            f"Recovery made it worse: right after pruning it recognised {units.percent(pruned.accuracy)}, and now "
            f"{units.percent(student.accuracy)}."
        )
    if not _beats_guessing(teacher)[0]:
        texts.append("Its teacher is not clearly better than guessing, so being near it says nothing.")
    unproven = shortcuts.reproach(evaluation)
    return [*texts, unproven] if unproven and student.accuracy > evaluation.majority_accuracy else texts


def data_warnings(dataset: DatasetRecord, evaluation: EvaluateRecord) -> list[str]:
    """What is wrong with the data, as far as it was seen when they were read or when networks were measured."""
    return [*dataset.warnings, *shortcuts.warnings(evaluation), *shift.warnings(evaluation)]


def _beats_guessing(scores: NetworkScores) -> tuple[bool, float, float]:
    return beats_guessing(scores.accuracy, [each.chips for each in scores.classes])


def _outcome(dataset: DatasetRecord, evaluation: EvaluateRecord) -> str:
    teacher, student = evaluation.teacher, evaluation.student
    params = units.times(student.params, teacher.params, "fewer", "more").replace("the same", "as many")
    macs = units.times(student.macs, teacher.macs, "fewer", "more").replace("the same", "as many")
    kind = "simulated" if dataset.simulated else "real"
    drop = units.points(student.accuracy - teacher.accuracy).replace("points", "percentage points")
    change = {"−": "less than", "+": "more than"}.get(drop[0])
    against = f"{drop.lstrip('−+')} {change} its teacher" if change else "the same as its teacher"
    sentence = (
        f"With {params} parameters and {macs} MACs, the student recognises {units.percent(student.accuracy)} of "
        f"{test_chips(evaluation):,} {kind} test chips, {against}"
    )
    if student.accuracy <= evaluation.majority_accuracy:
        return f"{sentence}, but always naming the largest class would do as well, so it has learned nothing of use."
    better, low, share = _beats_guessing(student)
    if not better:
        return (
            f"{sentence}, but so few chips leave it at {units.percent(low)} or more, and guessing gets "
            f"{units.percent(share)}: that it has learned anything is not shown, so it is not published."
        )
    if not evaluation.passed:
        return f"{sentence}, and it fails the quality gate, so it is not published."
    return f"{sentence}, and it passes the quality gate."


def alias_fate(decision: AliasDecision) -> str:
    """Where an alias is after a publication, and why."""
    if decision.moved:
        return f"{decision.alias} is at this version now: {decision.reason}"
    if decision.version is None:
        return f"{decision.alias} is nowhere: {decision.reason}"
    return f"{decision.alias} stays at {decision.version}: {decision.reason}"


def gate_failures(evaluation: EvaluateRecord) -> list[str]:
    """Every condition of the gate that does not hold, with its bound and what was found."""
    return [
        f"{check.condition} {units.gate_value(check.condition, check.bound)}, but it is "
        f"{units.gate_value(check.condition, check.found)}"
        for check in evaluation.gate
        if not check.passed
    ]


DISTURBED = (
    f"{units.DISTURBED} Other work on the machine disturbed this latency: in two or more of five turns the median was "
    f"more than a tenth off. Evaluate again on a machine that does nothing else"
)
DEPLOYED = ("Network", "Variant", "Accuracy", "Macro-F1", "File")


def deployed(evaluation: EvaluateRecord) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table: teacher and student in each runtime and precision, rivals, and times per chip."""
    timings = evaluation.deployments[0].latency
    threads = {timing.threads: f"{timing.threads} thread{'s' if timing.threads > 1 else ''}" for timing in timings}
    times = [f"Batch {timing.batch}, {threads[timing.threads]}" for timing in timings]
    rows = [
        [
            NETWORKS[each.network],
            each.variant,
            units.percent(each.accuracy),
            units.percent(each.macro_f1),
            units.size(each.bytes),
            *(units.latency(timing, per_chip=True) for timing in each.latency),
        ]
        for each in evaluation.deployments
    ]
    rows += [
        [
            each.network,
            "ONNX FP32",
            "–",
            "–",
            units.size(each.bytes),
            *(units.latency(timing, per_chip=True) for timing in each.latency),
        ]
        for each in evaluation.rivals
    ]
    return [*DEPLOYED, *times], rows


def delivered(evaluation: EvaluateRecord) -> list[str]:
    """How fast the student is in ONNX Runtime, one chip at a time, and what INT8 changes."""
    in_use = {(each.network, each.precision): each for each in evaluation.deployments if each.runtime == "ONNX Runtime"}
    if not in_use:
        return []
    student, small, teacher = (in_use[key] for key in (("student", "FP32"), ("student", "INT8"), ("teacher", "FP32")))
    ours = student.latency[0].median_ms
    others = {"the teacher": teacher.latency} | {
        f"{each.network}, untrained": each.latency for each in evaluation.rivals
    }
    against = [
        f"{units.times(ours, latency[0].median_ms, 'faster', 'slower')} than {name}" for name, latency in others.items()
    ]
    return [
        f"Student in ONNX Runtime, one chip at a time: {units.latency(student.latency[0])}; {'; '.join(against)}",
        f"Student in INT8: {units.latency(small.latency[0])}, {units.percent(small.bytes / student.bytes)} of the "
        f"bytes, accuracy {units.percent(small.accuracy)}, in FP32 {units.percent(student.accuracy)}",
    ]


def export_notes(evaluation: EvaluateRecord) -> list[str]:
    """How the student runs where it is delivered, how far ONNX is from PyTorch, and how networks came to INT8."""
    notes = delivered(evaluation)
    for each in evaluation.deployments:
        if each.logits_difference is not None:
            notes.append(
                f"{NETWORKS[each.network]} in ONNX Runtime: the same class as PyTorch for every test chip; largest "
                f"difference of a logit {each.logits_difference:.1g}"
            )
        if each.quantization is not None:
            chosen, tried = each.quantization.chosen, len(each.quantization.trials)
            kept = f", in float: {', '.join(chosen.float_layers)}" if chosen.float_layers else ""
            notes.append(
                f"{NETWORKS[each.network]} in INT8: ranges by {chosen.calibration} of "
                f"{each.quantization.calibration_chips} training chips{kept}; {tried} way{'s'[: tried != 1]} tried; on "
                f"the validation part {units.percent(chosen.val_accuracy)}, in FP32 "
                f"{units.percent(each.quantization.val_accuracy_fp32)}"
            )
    return notes


def mistaken(evaluation: EvaluateRecord, shown: int) -> str:
    """How many test chips the student got wrong, and how the teacher did on those that are shown."""
    chips = test_chips(evaluation)
    wrong = chips - sum(counts[row] for row, counts in enumerate(evaluation.student.confusion))
    if not wrong:
        return f"Nothing: the student named all {chips:,} test chips rightly."
    found = f"The student got {wrong:,} of {chips:,} test chips wrong."
    if not shown:
        return found
    right = sum(mistake.teacher == mistake.true for mistake in evaluation.mistakes[:shown])
    surest = "is the one" if shown == 1 else f"are the {shown}"
    which = "Here they are" if shown == wrong else f"Here {surest} of which it was surest"
    return (
        f"{found} {which}, the surest first: the true class, the file of the chip and its row in the test part, below "
        f"them the answers of student and teacher with their confidence. The teacher was right on {right} of {shown}."
    )


def caveats(config: RunConfig, dataset: DatasetRecord, evaluation: EvaluateRecord) -> list[str]:
    """What a careful reader should know before trusting the figures."""
    chips = test_chips(evaluation)
    low, high = units.wilson(evaluation.student.accuracy * chips, chips)
    latency = evaluation.student.latency[0]
    leaks = " (but see the warnings about the data)" if data_warnings(dataset, evaluation) else ""
    items = [
        origin(dataset),
        f"{len(dataset.classes)} classes of targets: {listed(dataset.classes)}. The test part of {chips:,} chips was "
        f"kept out of training and of every choice{leaks}. Split rule: {split_rule(dataset)}",
        f"{chips:,} test chips put the student's accuracy between {units.percent(low)} and {units.percent(high)} "
        f"(95 % Wilson interval). This is one run with one seed ({config.distill.seed}); other "
        f"seeds give other networks, so small differences prove nothing",
        f"Always naming the largest class would be right for {units.percent(evaluation.majority_accuracy)} of the "
        f"test chips.",
        f"Latency is the median of {latency.runs:,} runs of one chip in ONNX Runtime on the processor of the machine "
        f"that ran the evaluation, with {latency.threads} thread{'s' if latency.threads > 1 else ''}; all networks "
        f"took turns, those of one shape as one. Other machines give other times",
        *([DISTURBED] if any(timing.disturbed for timing in _timings(evaluation)) else []),
    ]
    if config.distill.method == "distill":
        items.append(
            "The self-reflection losses are a reconstruction: the formulae of the publication were not available"
        )
    return items


def _timings(evaluation: EvaluateRecord) -> list[Latency]:
    """Every latency of the page."""
    found = [each.latency for each in networks(evaluation).values()]
    found += [each.latency for each in evaluation.deployments] + [each.latency for each in evaluation.rivals]
    return [timing for latencies in found for timing in latencies]


def curve(record: TrainRecord, times: int = 1, of: str = "") -> str:
    """One line on how a training run went, which may have taken several ``times`` a number ``of`` something."""
    several = f", {times} {of}" if times > 1 else ""
    resumed = f", resumed at epoch {record.resumed_at_epoch}" if record.resumed_at_epoch else ""
    taught = f". Beforehand {answers(record.answers)}" if record.answers else ""
    scores = f"accuracy {units.percent(record.val_accuracy)}, macro-F1 {units.percent(record.val_macro_f1)}"
    threads = f" on {record.threads} thread{'s'[: record.threads != 1]}" if record.threads else ""
    return (
        f"{len(record.epochs)} epochs in {record.seconds:,.0f} s{threads}{several}{resumed}; "
        f"the weights of epoch {record.kept_epoch} were kept (validation {scores}){taught}"
    )


def configuration(config: BaseModel) -> str:
    """A configuration as YAML, which ``--config`` reads."""
    # The images of the stages that write no report may do without it.
    import yaml

    return str(
        yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, default_flow_style=None)
    )
