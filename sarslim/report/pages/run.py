"""The report of a run."""

from collections.abc import Mapping, Sequence

import numpy as np

import sarslim.report.units as units
import sarslim.report.words.data as data_words
import sarslim.report.words.run as words
import sarslim.report.words.shift as shift_words
import sarslim.report.words.shortcuts as shortcut_words
from sarslim.config import RunConfig
from sarslim.records import DatasetRecord, EvaluateRecord, ModelRecord, Origin, PruneRecord, TrainRecord
from sarslim.report.pages.data import SHOWN_PIXELS, facts
from sarslim.report.pages.rendering import pictures, render
from sarslim.report.words.text import moment

SMALL_PIXELS = 64
# Larger chips have fewer places on the sheet of mistakes: a page has to stay small.
MOST_SHEET_PIXELS, FEWEST_MISTAKES = 400_000, 4
SECTIONS = {
    "before-and-after": "Before and after",
    "gate": "Quality gate",
    "shortcuts": "What shortcuts get",
    "shift": "Under shift",
    "reading": "How to read this",
    "recognises": "What it recognises",
    "wrong": "What it got wrong",
    "costs": "What it costs",
    "delivered": "As it is delivered",
    "use": "Use it",
    "training": "How it was trained",
    "data": "Data",
    "reproduce": "How to reproduce",
}


def run_report(
    *,
    config: RunConfig,
    dataset: DatasetRecord,
    teacher: TrainRecord,
    prune: PruneRecord,
    distill: TrainRecord,
    evaluation: EvaluateRecord,
    teacher_model: ModelRecord,
    student_model: ModelRecord,
    mistaken: Sequence[np.ndarray],
    examples: Mapping[str, np.ndarray],
    versions: Mapping[str, str],
    origin: Origin,
) -> str:
    """What a run achieved, what it lost on the way, and how to repeat it.

    Run and bundle can be told later by :func:`sarslim.report.filled`.

    Args:
        mistaken: the chips of ``evaluation.mistakes``, 0..255 of shape (C, H, W), scaled as the networks see them;
            none: no sheet of mistakes.
        examples: class -> chips to show, 0..255 of shape (n, C, H, W); none: no section of examples.
        versions: of the packages that the evaluation ran with.
        origin: of which run this is, and where its bundle is.
    """
    # The prepare image, which writes the data card, has no matplotlib.
    import sarslim.report.figures as figures

    pixels = len(dataset.channels) * dataset.image_size**2
    shown = evaluation.mistakes[: min(len(mistaken), max(MOST_SHEET_PIXELS // pixels, FEWEST_MISTAKES))]
    scale = max(round(SHOWN_PIXELS / dataset.image_size), 1)
    first = evaluation.student.latency[0]
    found = {"delivered": evaluation.deployments, "shortcuts": evaluation.shortcuts, "shift": evaluation.shifted}
    return render(
        "report.html",
        title=f"{student_model.network}: compression report",
        sections={key: text for key, text in SECTIONS.items() if found.get(key, True)},
        about=_about(config, dataset, evaluation, origin),
        bundle=origin.address or "BUNDLE",
        config=config,
        dataset=dataset,
        teacher=teacher,
        prune=prune,
        distill=distill,
        evaluation=evaluation,
        verdict=words.verdict(dataset, evaluation),
        caveats=words.caveats(config, dataset, evaluation),
        data_warnings=words.data_warnings(dataset, evaluation),
        networks=words.NETWORKS,
        comparison=words.comparison(evaluation),
        tiles=_tiles(evaluation),
        compared=f"On the same {words.test_chips(evaluation):,} test chips, each compared with the teacher. Latency: "
        f"one chip at a time in ONNX Runtime, {first.threads} thread{'s' if first.threads > 1 else ''}.",
        gate=[
            (c.condition, units.gate_value(c.condition, c.found), units.gate_value(c.condition, c.bound), c.passed)
            for c in evaluation.gate
        ],
        shortcuts=(shortcut_words.HEADER, shortcut_words.table(evaluation)),
        leads=(shortcut_words.LEADS, shortcut_words.leads(evaluation, words.NETWORKS)),
        shortcut_texts=[shortcut_words.best(evaluation), shortcut_words.RULE],
        shift=(shift_words.HEADER, shift_words.table(evaluation)),
        shift_notes=[*shift_words.origins(dataset, evaluation), shift_words.RULE],
        confusions=[(words.NETWORKS[who], figures.confusion(getattr(evaluation, who), who)) for who in words.NETWORKS],
        recall=figures.recall(evaluation),
        reliability=figures.reliability(evaluation),
        speckle=figures.speckle(evaluation),
        latency=figures.latency(evaluation),
        deployments=figures.deployments(evaluation) if evaluation.deployments else "",
        deployed=words.deployed(evaluation) if evaluation.deployments else None,
        export_notes=words.export_notes(evaluation),
        tradeoff=figures.tradeoff(evaluation),
        teacher_losses=figures.losses(teacher, "teacher"),
        student_losses=figures.losses(distill, "student"),
        validation=figures.validation(teacher, distill),
        widths=figures.widths(prune),
        curves=[
            ("Teacher", words.curve(teacher, config.teacher.generations, "generations")),
            ("Student", words.curve(distill, config.distill.progressive_steps, "rounds")),
        ],
        class_rows=_class_rows(evaluation),
        mistakes=list(zip(shown, pictures(mistaken[: len(shown)]), strict=True)),
        mistaken=words.mistaken(evaluation, len(shown)),
        shown=(scale * dataset.image_size, scale * dataset.image_size * len(dataset.channels)),
        data=facts(dataset, examples, SMALL_PIXELS),
        config_text=words.configuration(config),
        digests=_digests(dataset, teacher_model, student_model),
        versions=versions,
        made_by=sorted({dataset.sarslim_version, teacher_model.sarslim_version, student_model.sarslim_version}),
    )


def _about(
    config: RunConfig, dataset: DatasetRecord, evaluation: EvaluateRecord, origin: Origin
) -> list[tuple[str, str, str]]:
    """Name and text of each fact about the page, and what it may be filled with later."""
    unknown = "its address is in the receipt of the stage publish" if evaluation.passed else "not published"
    return [
        ("Run", origin.run or "not told", "run"),
        ("Measured", moment(origin.time) if origin.time else "not told", ""),
        ("Data", data_words.name(dataset.format, dataset.source, config.evaluate.data_name), ""),
        ("Bundle", origin.address or unknown, "bundle"),
    ]


def _tiles(evaluation: EvaluateRecord) -> list[tuple[str, str, str]]:
    """The figures one remembers: name, large text, small text."""
    rows = dict(words.comparison(evaluation))
    (teacher, _), _, (student, _) = rows["Accuracy"]
    tiles = [("Test accuracy", student, f"teacher {teacher}")]
    for name in ("Parameters", "MACs per chip", "File", "Latency"):
        (before, _), _, (after, ratio) = rows[name]
        tiles.append((name, ratio, f"{before} → {after}"))
    return tiles


def _class_rows(evaluation: EvaluateRecord) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for before, after in zip(evaluation.teacher.classes, evaluation.student.classes, strict=True):
        low, high = units.wilson(after.recall * after.chips, after.chips)
        rows.append(
            (
                after.name,
                f"{after.chips:,}",
                units.percent(before.recall),
                units.percent(after.recall),
                f"{units.percent(low).removesuffix(' %')} – {units.percent(high)}",
                units.percent(after.precision),
                units.percent(after.f1),
                "–" if after.auc is None else f"{after.auc:.3f}",
            )
        )
    return rows


def _digests(dataset: DatasetRecord, teacher: ModelRecord, student: ModelRecord) -> list[tuple[str, str]]:
    return [
        ("Data set", dataset.digest),
        ("Teacher weights", teacher.weights_sha256),
        ("Student weights", student.weights_sha256),
        *((f"Parent of the student: {name}", digest) for name, digest in student.parents.items()),
    ]
