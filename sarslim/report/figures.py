"""The figures of a run's report. Networks differ in colour and marker, loss terms in colour and dashes."""

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

import sarslim.report.units as units
from sarslim.records import EvaluateRecord, Latency, NetworkScores, PruneRecord, TrainRecord
from sarslim.report.drawing import (
    DASHES,
    INK,
    LINE,
    ON_FILL,
    OTHERS,
    PRUNED,
    STUDENT,
    STYLE,
    TEACHER,
    TERM_COLOURS,
    WIDTH,
    canvas,
    legend_below,
    svg,
)

NETWORKS = {
    "teacher": ("Teacher", TEACHER, "o"),
    "pruned": ("Pruned", PRUNED, "s"),
    "student": ("Student", STUDENT, "D"),
}
LONGEST_LABEL = 14
MOST_NUMBERED_CLASSES = 12
MOST_STRETCH = 1.6


def losses(record: TrainRecord, who: str) -> str:
    """Every loss term over the epochs, unweighted, and the total."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(2.9)
        epochs = [epoch.epoch for epoch in record.epochs]
        lone = "o" if len(epochs) == 1 else None
        # A second generation has terms that the first has not.
        terms = list(dict.fromkeys(name for epoch in record.epochs for name in epoch.losses if name != "total"))
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
        legend_below(axes)
        ends = [f"{name.replace('_', ' ')} {value:.3g}" for name, value in _last(record).items()]
        label = f"Line chart of the losses of the {who} over {len(epochs)} epochs. At the end: {', '.join(ends)}."
        return svg(figure, f"losses-{who}", label)


def validation(teacher: TrainRecord, student: TrainRecord) -> str:
    """Macro-F1 on the validation part while teacher and student learn, with the epochs that were kept."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(2.9)
        for key, record in (("teacher", teacher), ("student", student)):
            name, colour, marker = NETWORKS[key]
            scores = {epoch.epoch: 100 * epoch.val_macro_f1 for epoch in record.epochs}
            axes.plot(list(scores), list(scores.values()), color=colour, label=name)
            if record.kept_epoch in scores:
                axes.plot(record.kept_epoch, scores[record.kept_epoch], marker, color=colour, markersize=7)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10]))
        axes.set(xlabel="Epoch", ylabel="Validation macro-F1 (%)")
        legend_below(axes)
        label = (
            f"Line chart of the macro-F1 on the validation part. Kept: teacher epoch {teacher.kept_epoch} with "
            f"{units.percent(teacher.val_macro_f1)}, student epoch {student.kept_epoch} with "
            f"{units.percent(student.val_macro_f1)}."
        )
        return svg(figure, "validation", label)


def widths(record: PruneRecord) -> str:
    """Output channels of every layer, before (outline) and after (filled)."""
    with matplotlib.rc_context(STYLE):
        layers = record.layers
        figure, axes = canvas(0.7 + 0.19 * len(layers))
        rows = range(len(layers))
        axes.barh(rows, [layer.before for layer in layers], color=LINE, height=0.72, label="Before")
        axes.barh(rows, [layer.after for layer in layers], color=STUDENT, height=0.72, label="After")
        axes.set_yticks(rows, [_short(layer.layer, 24) for layer in layers])
        axes.set_ylim(len(layers) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set(xlabel="Output channels")
        legend_below(axes)
        before, after = sum(layer.before for layer in layers), sum(layer.after for layer in layers)
        label = (
            f"Bar chart of the output channels of {len(layers)} layers before and after pruning: {before:,} in all "
            f"before, {after:,} after."
        )
        return svg(figure, "widths", label)


def confusion(scores: NetworkScores, who: str) -> str:
    """True classes down, predicted classes across; the shade is the share of the true class."""
    with matplotlib.rc_context(STYLE):
        classes = [c.name for c in scores.classes]
        numbered = len(classes) <= MOST_NUMBERED_CLASSES
        figure, axes = canvas(WIDTH * 0.86)
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
        return svg(figure, f"confusion-{who}", label)


def recall(evaluation: EvaluateRecord) -> str:
    """Recall per class of teacher and student with 95 % Wilson intervals."""
    with matplotlib.rc_context(STYLE):
        classes = evaluation.student.classes
        figure, axes = canvas(max(2.2, 0.9 + 0.38 * len(classes)))
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
        legend_below(axes)
        parts = [f"{c.name} {units.percent(c.recall)}" for c in classes]
        return svg(figure, "recall", f"Recall per class with 95 % intervals. Student: {', '.join(parts)}.")


def reliability(evaluation: EvaluateRecord) -> str:
    """How often a network is right when it is so and so sure; on the diagonal it knows what it knows."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(3.4)
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
        legend_below(axes)
        label = (
            f"Reliability diagram. Expected calibration error: teacher "
            f"{units.percent(evaluation.teacher.expected_calibration_error)}, student "
            f"{units.percent(evaluation.student.expected_calibration_error)}."
        )
        return svg(figure, "reliability", label)


def speckle(evaluation: EvaluateRecord) -> str:
    """Accuracy as the chips get more speckle, from none added to few looks."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(3.4)
        looks = sorted(evaluation.student.speckle_accuracy, key=float, reverse=True)
        for key, (name, colour, marker) in NETWORKS.items():
            scores = getattr(evaluation, key)
            values = [scores.accuracy, *(scores.speckle_accuracy.get(level, float("nan")) for level in looks)]
            axes.plot(range(len(values)), [100 * v for v in values], marker=marker, color=colour, label=name)
        majority = 100 * evaluation.majority_accuracy
        axes.axhline(majority, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), label="Majority")
        axes.set_xticks(range(len(looks) + 1), ["none", *looks])
        axes.set(xlabel="Looks of the added speckle", ylabel="Accuracy (%)", ylim=(0, 103))
        legend_below(axes, columns=2)
        parts = [f"{level} looks {units.percent(evaluation.student.speckle_accuracy[level])}" for level in looks]
        label = f"Accuracy under added speckle. Student: none {units.percent(evaluation.student.accuracy)}, "
        return svg(figure, "speckle", f"{label}{', '.join(parts)}.")


def tradeoff(evaluation: EvaluateRecord) -> str:
    """Accuracy of the three networks over their MACs, and what recovery gave back."""
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(3.1)
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
        legend_below(axes)
        parts = [
            f"{name.lower()} {units.percent(getattr(evaluation, key).accuracy)} with "
            f"{units.count(getattr(evaluation, key).macs)} MACs"
            for key, (name, _, _) in NETWORKS.items()
        ]
        return svg(figure, "tradeoff", f"Accuracy over MACs per chip: {', '.join(parts)}.")


def latency(evaluation: EvaluateRecord) -> str:
    """Milliseconds per chip of every network and batch size; whiskers from the 5th to the 95th percentile."""
    with matplotlib.rc_context(STYLE):
        batches = [timing.batch for timing in evaluation.student.latency]
        # The pruned network costs what the student does, unless it was pruned further on the way.
        shared = evaluation.pruned.latency == evaluation.student.latency
        shown = {key: one for key, one in NETWORKS.items() if key != "pruned" or not shared}
        figure, axes = canvas(1.1 + 0.24 * len(shown) * len(batches))
        _time_axis(
            axes, [timing for key in shown for timing in getattr(evaluation, key).latency], "Milliseconds per chip"
        )
        for index, (key, (name, colour, _)) in enumerate(shown.items()):
            for row, timing in enumerate(getattr(evaluation, key).latency):
                y = row + 0.8 / len(shown) * (index - (len(shown) - 1) / 2)
                _time_bar(axes, y, timing, 0.66 / len(shown), colour, name if row == 0 else None)
        axes.set_yticks(range(len(batches)), [f"Batch {batch}" for batch in batches])
        axes.set_ylim(len(batches) - 0.5, -0.5)
        legend_below(axes)
        parts = [
            f"{name.lower()} {units.latency(getattr(evaluation, key).latency[0])}" for key, (name, *_) in shown.items()
        ]
        return svg(figure, "latency", f"Bar chart of the time per chip. One chip at a time: {', '.join(parts)}.")


def deployments(evaluation: EvaluateRecord) -> str:
    """Milliseconds of one chip in every runtime and precision, on as many threads as the other latencies."""
    with matplotlib.rc_context(STYLE):
        bars = [
            (f"{NETWORKS[each.network][0]}, {each.variant}", NETWORKS[each.network][1], each.latency[0])
            for each in sorted(evaluation.deployments, key=lambda each: each.runtime == "PyTorch")
        ]
        bars += [(f"{each.network}, ONNX FP32", OTHERS, each.latency[0]) for each in evaluation.rivals]
        figure, axes = canvas(0.9 + 0.34 * len(bars))
        _time_axis(axes, [timing for *_, timing in bars], "Milliseconds for one chip")
        for row, (_, colour, timing) in enumerate(bars):
            _time_bar(axes, row, timing, 0.6, colour)
        axes.set_yticks(range(len(bars)), [name for name, *_ in bars])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        parts = [f"{name} {units.latency(timing)}" for name, _, timing in bars]
        return svg(figure, "deployments", f"Bar chart of the time for one chip: {', '.join(parts)}.")


def _time_axis(axes: Axes, timings: Sequence[Latency], label: str) -> None:
    """A logarithmic axis: on a linear one a student that is thirty times faster has no bar."""
    times = [timing.median_ms / timing.batch for timing in timings]
    axes.set_xscale("log")
    start = min(times) / 3
    axes.set_xlim(start, max(times) * (max(times) / start) ** 0.45)  # room for the figures at the ends of bars
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if max(times) > 30 * min(times) else (1, 3), numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set(xlabel=label)


def _time_bar(axes: Axes, y: float, timing: Latency, height: float, colour: str, label: str | None = None) -> None:
    middle, low, high = (value / timing.batch for value in (timing.median_ms, timing.p05_ms, timing.p95_ms))
    start, end = axes.get_xlim()
    axes.barh(y, middle - start, left=start, height=height, color=colour, label=label)
    # Other work on the machine may stretch whiskers beyond the axis.
    low, high = max(low, start), min(high, MOST_STRETCH * middle, end)
    axes.plot([low, high], [y, y], color=INK, linewidth=1)
    axes.text(
        high * (end / start) ** 0.015, y, units.latency(timing, per_chip=True), va="center_baseline", fontsize=9.5
    )


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
