"""HTML pages, each one file that needs nothing else: no script, no request, light, dark and print."""

import base64
import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import sarslim.report.units as units
import sarslim.report.words as words
from sarslim import __version__
from sarslim.config import RunConfig
from sarslim.records import Comparison, DatasetRecord, EvaluateRecord, ModelRecord, PruneRecord, TrainRecord

MOST_EXAMPLES = 12
# Chips are shown in whole multiples of their pixels, near one of these sizes.
SHOWN_PIXELS, SMALL_PIXELS = 112, 64
# Larger chips have fewer places on the sheet of mistakes: a page has to stay small.
MOST_SHEET_PIXELS, FEWEST_MISTAKES = 400_000, 4
MOST_NAMES = 200
MOST_REASONS = 50


def data_card(record: DatasetRecord, examples: Mapping[str, np.ndarray]) -> str:
    """What a data set holds and how it came about.

    Args:
        record: the content of ``dataset.json``.
        examples: class -> chips to show, 0..255 of shape (n, C, H, W), scaled as the networks see them.
    """
    return _render(
        "data_card.html",
        title="Data card",
        origin=words.origin(record),
        data=_data(record, examples, SHOWN_PIXELS),
    )


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
) -> str:
    """What a run achieved, what it lost on the way, and how to repeat it.

    Args:
        mistaken: the chips of ``evaluation.mistakes``, 0..255 of shape (C, H, W), scaled as the networks see them;
            none: no sheet of mistakes.
        examples: class -> chips to show, 0..255 of shape (n, C, H, W); none: no section of examples.
        versions: of the packages that the evaluation ran with.
    """
    # The prepare image, which writes the data card, has no matplotlib.
    import sarslim.report.figures as figures

    pixels = len(dataset.channels) * dataset.image_size**2
    shown = evaluation.mistakes[: min(len(mistaken), max(MOST_SHEET_PIXELS // pixels, FEWEST_MISTAKES))]
    scale = max(round(SHOWN_PIXELS / dataset.image_size), 1)
    first = evaluation.student.latency[0]
    return _render(
        "report.html",
        title=f"{student_model.network}: compression report",
        config=config,
        dataset=dataset,
        teacher=teacher,
        prune=prune,
        distill=distill,
        evaluation=evaluation,
        verdict=words.verdict(dataset, evaluation),
        caveats=words.caveats(config, dataset, evaluation),
        networks=words.NETWORKS,
        comparison=words.comparison(evaluation),
        tiles=_tiles(evaluation),
        compared=f"On the same {words.test_chips(evaluation):,} test chips, each compared with the teacher. Latency: "
        f"one chip at a time, {first.threads} thread{'s' if first.threads > 1 else ''}.",
        gate=[
            (c.condition, units.gate_value(c.condition, c.found), units.gate_value(c.condition, c.bound), c.passed)
            for c in evaluation.gate
        ],
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
        mistakes=list(zip(shown, _pictures(mistaken[: len(shown)]), strict=True)),
        mistaken=words.mistaken(evaluation, len(shown)),
        shown=(scale * dataset.image_size, scale * dataset.image_size * len(dataset.channels)),
        data=_data(dataset, examples, SMALL_PIXELS),
        config_text=words.yaml(config),
        digests=_digests(dataset, teacher_model, student_model),
        versions=versions,
        made_by=sorted({dataset.sarslim_version, teacher_model.sarslim_version, student_model.sarslim_version}),
    )


def comparison_page(record: Comparison) -> str:
    """Networks side by side, a row and a mark for all seeds of one: the table, and accuracy over costs."""
    import sarslim.report.pareto as pareto

    points = []
    for runs in words.grouped(record):
        low, high = words.spread([run.accuracy for run in runs])
        means: dict[str, Any] = {name: words.mean(runs, name) for name in ("accuracy", *pareto.COSTS)}
        # What has a budget was recovered by a method; the teacher and the rivals stand alone.
        series = runs[0].method if runs[0].budget else ""
        points.append(pareto.Point(name=words.group_name(runs), series=series, low=low, high=high, **means))
    return _render(
        "comparison.html",
        title="Comparison of networks",
        lead=words.lead(record),
        simulated=words.SIMULATED if record.networks[0].simulated else "",
        header=words.MEASURED,
        rows=words.measured(record),
        notes=words.measured_notes(record),
        data_digest=record.networks[0].data_digest,
        version=__version__,
        pareto=pareto.figure(points),
        pareto_stacked=pareto.figure(points, stacked=True),
    )


def _data(record: DatasetRecord, examples: Mapping[str, np.ndarray], size: int) -> dict[str, Any]:
    """What the template of the facts about a data set asks for, its chips shown near ``size`` pixels."""
    header, rows = words.counts(record)
    return {
        "record": record,
        "count_header": header,
        "count_rows": rows,
        "examples": {name: _pictures(examples.get(name, ())[:MOST_EXAMPLES]) for name in record.classes if examples},
        "scale": max(round(size / record.image_size), 1),
        "scalings": [
            (channel, rule.kind, words.scaling(rule), f"{mean:.4g}", f"{std:.4g}")
            for channel, rule, mean, std in zip(record.channels, record.scaling, record.mean, record.std, strict=False)
        ],
        "used": sum(part.chips for part in record.parts.values()),
        "skipped": _by_reason(record),
        "most_names": MOST_NAMES,
        "most_reasons": MOST_REASONS,
    }


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


def _by_reason(record: DatasetRecord) -> list[tuple[str, int, list[str]]]:
    """Reasons for leaving chips out, most frequent first, with the first names of each."""
    names: dict[str, list[str]] = defaultdict(list)
    for chip in record.skipped:
        names[chip.reason].append(chip.name)
    counts = Counter(chip.reason for chip in record.skipped)
    return [(reason, count, names[reason][:MOST_NAMES]) for reason, count in counts.most_common()]


def _pictures(chips: Sequence[np.ndarray] | np.ndarray) -> list[str]:
    """One PNG per chip (C, H, W) as a data address, its channels one below the other."""
    from PIL import Image

    pictures = []
    for chip in chips:
        file = io.BytesIO()
        Image.fromarray(np.concatenate(list(chip)).round().astype(np.uint8)).save(file, "PNG", optimize=True)
        pictures.append(f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}")
    return pictures


def _render(template: str, **values: Any) -> str:
    # The stages that write tables only have no jinja2.
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sarslim.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["nb"] = units.no_break
    environment.filters["sentence"] = words.sentence
    return environment.get_template(template).render(**values)
