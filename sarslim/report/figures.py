"""The figures of the report, as SVG to be put into the page.

Colours come from the page (``currentColor`` and CSS variables), so that one drawing serves light, dark and print.
The fallbacks are the palette of Okabe and Ito, which colour-blind people can tell apart; networks also differ in
their markers, loss terms in their dashes. Text stays text, in the font of the page.
"""

import html
import io
import re
import warnings
from collections.abc import Sequence
from itertools import product
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from matplotlib.transforms import ScaledTranslation, Transform
from numpy.typing import NDArray

import sarslim.report.units as units
from sarslim.records import EvaluateRecord, NetworkScores, PruneRecord, TrainRecord

# Colour as drawn -> as the page knows it.
INK, LINE, ON_FILL = "#111418", "#d8dde3", "#111519"
TEACHER, PRUNED, STUDENT = "#0072b2", "#d55e00", "#009e73"
PAGE_COLOURS = {
    INK: "currentColor",
    LINE: f"var(--line, {LINE})",
    ON_FILL: "var(--on-fill, currentColor)",
    TEACHER: f"var(--teacher, {TEACHER})",
    PRUNED: f"var(--pruned, {PRUNED})",
    STUDENT: f"var(--student, {STUDENT})",
}
NETWORKS = {
    "teacher": ("Teacher", TEACHER, "o"),
    "pruned": ("Pruned", PRUNED, "s"),
    "student": ("Student", STUDENT, "D"),
}
# The total in ink, the terms in the colours of Okabe and Ito that also show on white.
TERM_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
COSTS = {"params": "Parameters", "macs": "MACs per chip", "latency_ms": "Latency (ms)"}
MOST_NAMES = 3  # more networks that stand alone are numbered
# Where the name of a mark may stand: points away from it, towards the right and up.
REACHES = (5, 9, 14, 20)
DIRECTIONS = ((1, 0), (-1, 0), (0.7, 0.7), (0.7, -0.7), (-0.7, 0.7), (-0.7, -0.7), (0, 1), (0, -1))
NAME_SIZE = 9
WIDTH = 4.2
STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10.5,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
LONGEST_LABEL = 14
MOST_NUMBERED_CLASSES = 12


def losses(record: TrainRecord, who: str) -> str:
    """Every loss term over the epochs, unweighted, and the total."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _canvas(2.9)
        epochs = [epoch.epoch for epoch in record.epochs]
        lone = "o" if len(epochs) == 1 else None
        terms = [name for name in record.epochs[0].losses if name != "total"] if record.epochs else []
        for index, name in enumerate(terms):
            axes.plot(
                epochs,
                [epoch.losses.get(name, float("nan")) for epoch in record.epochs],
                color=TERM_COLOURS[index % len(TERM_COLOURS)],
                linestyle=DASHES[index % len(DASHES)],
                marker=lone,
                label=name.replace("_", " "),
            )
        # A total of one term would only cover it.
        if len(terms) > 1:
            totals = [epoch.losses.get("total", float("nan")) for epoch in record.epochs]
            axes.plot(epochs, totals, color=INK, linewidth=1.2, label="total")
        values = [value for epoch in record.epochs for value in epoch.losses.values()]
        if values and min(values) > 0 and max(values) > 30 * min(values):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10]))
        axes.set(xlabel="Epoch", ylabel="Loss")
        _legend_below(axes)
        ends = [f"{name.replace('_', ' ')} {value:.3g}" for name, value in _last(record).items()]
        label = f"Line chart of the losses of the {who} over {len(epochs)} epochs. At the end: {', '.join(ends)}."
        return _svg(figure, f"losses-{who}", label)


def validation(teacher: TrainRecord, student: TrainRecord) -> str:
    """Macro-F1 on the validation part while teacher and student learn, with the epochs that were kept."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _canvas(2.9)
        for key, record in (("teacher", teacher), ("student", student)):
            name, colour, marker = NETWORKS[key]
            scores = {epoch.epoch: 100 * epoch.val_macro_f1 for epoch in record.epochs}
            axes.plot(list(scores), list(scores.values()), color=colour, label=name)
            if record.kept_epoch in scores:
                axes.plot(record.kept_epoch, scores[record.kept_epoch], marker, color=colour, markersize=7)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10]))
        axes.set(xlabel="Epoch", ylabel="Validation macro-F1 (%)")
        _legend_below(axes)
        label = (
            f"Line chart of the macro-F1 on the validation part. Kept: teacher epoch {teacher.kept_epoch} with "
            f"{units.percent(teacher.val_macro_f1)}, student epoch {student.kept_epoch} with "
            f"{units.percent(student.val_macro_f1)}."
        )
        return _svg(figure, "validation", label)


def widths(record: PruneRecord) -> str:
    """Output channels of every layer, before (outline) and after (filled)."""
    with matplotlib.rc_context(STYLE):
        layers = record.layers
        figure, axes = _canvas(0.7 + 0.19 * len(layers))
        rows = range(len(layers))
        axes.barh(rows, [layer.before for layer in layers], color=LINE, height=0.72, label="Before")
        axes.barh(rows, [layer.after for layer in layers], color=STUDENT, height=0.72, label="After")
        axes.set_yticks(rows, [_short(layer.layer, 24) for layer in layers])
        axes.set_ylim(len(layers) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set(xlabel="Output channels")
        _legend_below(axes)
        before, after = sum(layer.before for layer in layers), sum(layer.after for layer in layers)
        label = (
            f"Bar chart of the output channels of {len(layers)} layers before and after pruning: {before:,} in all "
            f"before, {after:,} after."
        )
        return _svg(figure, "widths", label)


def confusion(scores: NetworkScores, who: str) -> str:
    """True classes down, predicted classes across; the shade is the share of the true class."""
    with matplotlib.rc_context(STYLE):
        classes = [c.name for c in scores.classes]
        numbered = len(classes) <= MOST_NUMBERED_CLASSES
        figure, axes = _canvas(WIDTH * 0.86)
        for row, counts in enumerate(scores.confusion):
            for column, chips in enumerate(counts):
                share = chips / max(sum(counts), 1)
                cell = Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, linewidth=0, facecolor=NETWORKS[who][1])
                # A trace of every error stays visible, and the strongest colour lets its number be read.
                cell.set_alpha(round(0.08 + 0.72 * share, 3) if chips else 0.03)
                axes.add_patch(cell)
                if numbered and chips:
                    colour = ON_FILL if share > 0.7 else INK
                    size = 10.5 if len(classes) <= 6 else 8.5 if len(classes) <= 9 else 7
                    axes.text(column, row, f"{chips}", color=colour, fontsize=size, ha="center", va="center_baseline")
        names = [_short(name) for name in classes]
        axes.set_xticks(range(len(classes)), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(classes)), names)
        axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5), aspect="equal")
        axes.set(xlabel="Predicted", ylabel="True")
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        right = sum(counts[row] for row, counts in enumerate(scores.confusion))
        chips = sum(map(sum, scores.confusion))
        label = f"Confusion matrix of the {who}: {right:,} of {chips:,} chips on the diagonal.{_worst(scores)}"
        return _svg(figure, f"confusion-{who}", label)


def recall(evaluation: EvaluateRecord) -> str:
    """Recall per class of teacher and student with 95 % Wilson intervals."""
    with matplotlib.rc_context(STYLE):
        classes = evaluation.student.classes
        figure, axes = _canvas(max(2.2, 0.9 + 0.38 * len(classes)))
        for key, offset in (("teacher", -0.16), ("student", 0.16)):
            name, colour, marker = NETWORKS[key]
            for row, scores in enumerate(getattr(evaluation, key).classes):
                low, high = units.wilson(scores.recall * scores.chips, scores.chips)
                axes.plot([100 * low, 100 * high], [row + offset] * 2, color=colour, linewidth=1.6)
                axes.plot(100 * scores.recall, row + offset, marker, color=colour, label=name if row == 0 else None)
        axes.set_yticks(range(len(classes)), [_short(c.name) for c in classes])
        axes.set_ylim(len(classes) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10]))
        axes.set(xlabel="Recall (%)")
        axes.grid(visible=False, axis="y")
        _legend_below(axes)
        parts = [f"{c.name} {units.percent(c.recall)}" for c in classes]
        return _svg(figure, "recall", f"Recall per class with 95 % intervals. Student: {', '.join(parts)}.")


def reliability(evaluation: EvaluateRecord) -> str:
    """How often a network is right when it is so and so sure; on the diagonal it knows what it knows."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _canvas(3.4)
        axes.plot([0, 100], [0, 100], color=INK, linewidth=0.9, linestyle=(0, (4, 3)), label="Ideal")
        for key in ("teacher", "student"):
            name, colour, marker = NETWORKS[key]
            bins = [b for b in getattr(evaluation, key).reliability if b.chips]
            most = max((b.chips for b in bins), default=1)
            confidences, accuracies = [100 * b.confidence for b in bins], [100 * b.accuracy for b in bins]
            axes.plot(confidences, accuracies, color=colour, linewidth=1.2)
            axes.scatter(
                confidences,
                accuracies,
                [12 + 60 * b.chips / most for b in bins],
                color=colour,
                marker=marker,
                linewidths=0,
                label=name,
            )
        axes.set(xlabel="Confidence (%)", ylabel="Accuracy (%)", xlim=(0, 103), ylim=(0, 103))
        _legend_below(axes)
        label = (
            f"Reliability diagram. Expected calibration error: teacher "
            f"{units.percent(evaluation.teacher.expected_calibration_error)}, student "
            f"{units.percent(evaluation.student.expected_calibration_error)}."
        )
        return _svg(figure, "reliability", label)


def speckle(evaluation: EvaluateRecord) -> str:
    """Accuracy as the chips get more speckle, from none added to few looks."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _canvas(3.4)
        looks = sorted(evaluation.student.speckle_accuracy, key=float, reverse=True)
        for key, (name, colour, marker) in NETWORKS.items():
            scores = getattr(evaluation, key)
            values = [scores.accuracy, *(scores.speckle_accuracy.get(level, float("nan")) for level in looks)]
            axes.plot(range(len(values)), [100 * v for v in values], marker=marker, color=colour, label=name)
        majority = 100 * evaluation.majority_accuracy
        axes.axhline(majority, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), label="Majority")
        axes.set_xticks(range(len(looks) + 1), ["none", *looks])
        axes.set(xlabel="Looks of the added speckle", ylabel="Accuracy (%)", ylim=(0, 103))
        _legend_below(axes, columns=2)
        parts = [f"{level} looks {units.percent(evaluation.student.speckle_accuracy[level])}" for level in looks]
        label = f"Accuracy under added speckle. Student: none {units.percent(evaluation.student.accuracy)}, "
        return _svg(figure, "speckle", f"{label}{', '.join(parts)}.")


def tradeoff(evaluation: EvaluateRecord) -> str:
    """Accuracy of the three networks over their MACs, and what recovery gave back."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _canvas(3.1)
        places = {key: (getattr(evaluation, key).macs, 100 * getattr(evaluation, key).accuracy) for key in NETWORKS}
        arrow = {"arrowstyle": "->", "linestyle": (0, (3, 2)), "color": INK, "shrinkA": 5, "shrinkB": 5}
        axes.annotate("", xy=places["student"], xytext=places["pruned"], arrowprops=arrow)
        for key, (name, colour, marker) in NETWORKS.items():
            axes.plot(*places[key], marker, color=colour, markersize=8, label=name)
        axes.set_xscale("log")
        macs = [place[0] for place in places.values()]
        axes.set_xlim(min(macs) / 2, max(macs) * 2)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=8))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.brief(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="MACs per chip", ylabel="Accuracy (%)", ylim=(0, 103))
        _legend_below(axes)
        parts = [
            f"{name.lower()} {units.percent(getattr(evaluation, key).accuracy)} with "
            f"{units.count(getattr(evaluation, key).macs)} MACs"
            for key, (name, _, _) in NETWORKS.items()
        ]
        return _svg(figure, "tradeoff", f"Accuracy over MACs per chip: {', '.join(parts)}.")


class Point(NamedTuple):
    """A network in the Pareto figure.

    A line joins the points of a ``series``, such as a recovery method; the mark of a network that stands alone, with
    an empty series, bears its ``name``. ``accuracy``, ``low`` and ``high`` are shares, and a whisker goes from low to
    high; costs are above 0.
    """

    name: str
    series: str
    accuracy: float
    low: float
    high: float
    params: float
    macs: float
    latency_ms: float


def pareto(points: Sequence[Point], *, stacked: bool = False) -> str:
    """Accuracy over parameters, MACs and latency, side by side or, for narrow pages, ``stacked``."""
    with matplotlib.rc_context(STYLE):
        # At 72 dots per inch a dot is a point, the unit of the places of names.
        figure = Figure(figsize=(WIDTH, 10.6) if stacked else (11.0, 4.3), dpi=72)
        FigureCanvasSVG(figure)
        panels = figure.subplots(*((3, 1) if stacked else (1, 3)), sharey=True)
        series = list(dict.fromkeys(point.series for point in points if point.series))
        alone = [point for point in points if not point.series]
        names = [point.name for point in alone]
        numbers = [str(number) for number in range(1, len(alone) + 1)] if len(alone) > MOST_NAMES else []
        for axes, (cost, label) in zip(panels, COSTS.items(), strict=True):
            _cost_axis(axes, [getattr(point, cost) for point in points], label)
            for index, name in enumerate(series):
                # Methods of one budget cost the same, so their whiskers stand side by side.
                aside = (index - (len(series) - 1) / 2) * min(4, 24 / len(series)) / 72
                _marks(
                    axes,
                    [point for point in points if point.series == name],
                    cost,
                    axes.transData + ScaledTranslation(aside, 0, figure.dpi_scale_trans),
                    color=TERM_COLOURS[index % len(TERM_COLOURS)],
                    marker=MARKERS[index % len(MARKERS)],
                    linestyle=DASHES[index % len(DASHES)],
                    linewidth=1.1,
                    label=name,
                )
            _marks(axes, alone, cost, axes.transData, color=INK, marker="o", linestyle="none")
        low, high = 100 * min(point.low for point in points), 100 * max(point.high for point in points)
        panels[0].set_ylim(low - 0.05 * (high - low) - 0.5, high + 0.05 * (high - low) + 0.5)
        for axes in panels if stacked else panels[:1]:
            axes.set_ylabel("Accuracy (%)")
        handles, labels = panels[0].get_legend_handles_labels()
        handles += [Line2D([], [], color=INK, marker="o", linestyle="none")] * len(numbers)
        labels += [f"{number}: {name}" for number, name in zip(numbers, names, strict=False)]
        figure.legend(handles, labels, loc="outside lower center", ncols=2 if stacked else 5, handlelength=3)
        figure.draw_without_rendering()  # the layout, without which free places are not known
        for axes, cost in zip(panels, COSTS, strict=True):
            _name_marks(axes, alone, numbers or names, cost)
        parts = [
            f"{point.name} {units.percent(point.accuracy)} with {units.count(point.params)} parameters, "
            f"{units.count(point.macs)} MACs and {units.milliseconds(point.latency_ms)}"
            for point in points
        ]
        label = f"Accuracy over parameters, MACs and latency: {'; '.join(parts)}."
        return _svg(figure, "pareto-stacked" if stacked else "pareto", label)


def standalone(svg: str) -> str:
    """A figure of this module as the text of an SVG file, on white and in the colours as drawn."""
    head, _, body = re.sub(r"var\(--[a-z-]+, ([^()]+)\)", r"\1", svg).partition(">")
    head += f' xmlns="http://www.w3.org/2000/svg" color="{INK}" font-family="sans-serif"'
    return f'{head}><rect width="100%" height="100%" fill="#ffffff"/>{body}'


def _cost_axis(axes: Axes, costs: Sequence[float], label: str) -> None:
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 1.8, max(costs) * 1.8)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.brief(value) if value >= 1 else f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)


def _marks(axes: Axes, points: Sequence[Point], cost: str, place: Transform, *, color: str, **style: Any) -> None:
    """Marks, the line that joins them, and whiskers."""
    points = sorted(points, key=attrgetter(cost))
    costs = [getattr(point, cost) for point in points]
    for where, point in zip(costs, points, strict=True):
        whisker = [100 * point.low, 100 * point.high]
        axes.plot([where] * 2, whisker, color=color, linewidth=1.3, alpha=0.5, transform=place)
    axes.plot(costs, [100 * point.accuracy for point in points], color=color, transform=place, **style)


def _name_marks(axes: Axes, points: Sequence[Point], names: Sequence[str], cost: str) -> None:
    """Writes each name at the nearest place around its mark where it covers nothing."""
    covered = np.concatenate([_dots(line) for line in axes.lines])
    frame = axes.get_window_extent()
    for point, name in zip(points, names, strict=True):
        place = (getattr(point, cost), 100 * point.accuracy)
        mark = axes.transData.transform(place)
        size = np.array([TextPath((0, 0), name, size=NAME_SIZE).get_extents().width, NAME_SIZE])
        options = []
        for reach, (right, up) in product(REACHES, DIRECTIONS):
            low = mark + reach * np.array((right, up)) + (np.sign((right, up)) - 1) / 2 * size
            hits = ((low - 2.5 < covered) & (covered < low + size + 2.5)).all(axis=1).sum()
            outside = np.clip([frame.min - low, low + size - frame.max], 0, None).sum()
            options.append((reach**2 / 4 + 5 * hits + 50 * outside, reach * right, reach * up, *low))
        _, right, up, *low = min(options, key=itemgetter(0))
        axes.annotate(
            name,
            place,
            xytext=(right, up),
            textcoords="offset points",
            ha="left" if right > 0 else "right" if right else "center",
            va="bottom" if up > 0 else "top" if up else "center",
            fontsize=NAME_SIZE,
        )
        inside = np.mgrid[low[0] : low[0] + size[0] : 2, low[1] : low[1] + size[1] : 2].reshape(2, -1).T
        covered = np.concatenate([covered, inside])


def _dots(line: Line2D) -> NDArray[np.float64]:
    """Places (n, 2) in points that a line goes through, or those of its marks."""
    corners = line.get_transform().transform(line.get_xydata())
    if line.get_linestyle() == "None":
        return corners
    along = np.linspace(0, len(corners) - 1, 100 * len(corners))
    return np.stack([np.interp(along, range(len(corners)), column) for column in corners.T], axis=1)


def latency(evaluation: EvaluateRecord) -> str:
    """Milliseconds per chip of every network and batch size; whiskers from the 5th to the 95th percentile."""
    with matplotlib.rc_context(STYLE):
        batches = [timing.batch for timing in evaluation.student.latency]
        figure, axes = _canvas(1.1 + 0.62 * len(batches))
        longest = max(timing.p95_ms / timing.batch for key in NETWORKS for timing in getattr(evaluation, key).latency)
        for index, (key, (name, colour, _)) in enumerate(NETWORKS.items()):
            for row, timing in enumerate(getattr(evaluation, key).latency):
                middle, low, high = (v / timing.batch for v in (timing.median_ms, timing.p05_ms, timing.p95_ms))
                y = row + 0.26 * (index - 1)
                axes.barh(y, middle, height=0.22, color=colour, label=name if row == 0 else None)
                axes.plot([low, high], [y, y], color=INK, linewidth=1)
                axes.text(high + 0.02 * longest, y, units.milliseconds(middle), va="center_baseline", fontsize=9.5)
        axes.set_yticks(range(len(batches)), [f"Batch {batch}" for batch in batches])
        axes.set_ylim(len(batches) - 0.5, -0.5)
        axes.set_xlim(0, 1.25 * longest)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set(xlabel="Milliseconds per chip")
        _legend_below(axes)
        parts = [
            f"{NETWORKS[key][0].lower()} {units.milliseconds(getattr(evaluation, key).latency_ms)}" for key in NETWORKS
        ]
        return _svg(figure, "latency", f"Bar chart of the time per chip. One chip at a time: {', '.join(parts)}.")


def _canvas(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def _legend_below(axes: Axes, columns: int = 3) -> None:
    figure = axes.get_figure()
    assert figure is not None
    figure.legend(loc="outside lower center", ncols=columns, handlelength=1.8, columnspacing=1.4)


def _last(record: TrainRecord) -> dict[str, float]:
    return record.epochs[-1].losses if record.epochs else {}


def _worst(scores: NetworkScores) -> str:
    errors = [
        (chips, row, column)
        for row, counts in enumerate(scores.confusion)
        for column, chips in enumerate(counts)
        if row != column and chips
    ]
    if not errors:
        return ""
    chips, row, column = max(errors, key=lambda error: error[0])
    return f" Most frequent error: {scores.classes[row].name} taken for {scores.classes[column].name}, {chips} times."


def _short(name: str, longest: int = LONGEST_LABEL) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an ``<svg>`` element that is the same for the same input and clashes with no other on the page."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}), warnings.catch_warnings():
        # The browser has the glyphs that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    body = text[text.index(">", text.index("<svg")) + 1 :]
    # Title, style sheet and comments of the file would belong to the page as a whole.
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r' id="', f' id="{name}-', body)
    body = body.replace("url(#", f"url(#{name}-").replace('xlink:href="#', f'href="#{name}-')
    body = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", body)
    for drawn, shown in PAGE_COLOURS.items():
        body = body.replace(drawn, shown)
    width, height = (72 * inches for inches in figure.get_size_inches())
    return f'<svg role="img" aria-label="{html.escape(label)}" viewBox="0 0 {width:g} {height:g}">{body.strip()}\n'
