"""The figure of a comparison: accuracy over costs, with a line and a mark of its own for every recovery method."""

import math
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
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation, Transform
from numpy.typing import NDArray

import sarslim.report.units as units
from sarslim.report.drawing import DASHES, INK, STYLE, TERM_COLOURS, WIDTH, svg

MARKERS = ("o", "s", "D", "^", "v", "P", "X")
COSTS = {"params": "Parameters", "macs": "MACs per chip", "latency_ms": "Latency (ms)"}
MOST_NAMES = 3  # more networks that stand alone are numbered
# Where the name of a mark may stand: points away from it, towards the right and up.
REACHES = (5, 9, 14, 20)
DIRECTIONS = ((1, 0), (-1, 0), (0.7, 0.7), (0.7, -0.7), (-0.7, 0.7), (-0.7, -0.7), (0, 1), (0, -1))
NAME_SIZE = 9
CHOSEN = "best trade-off"
CIRCLE: Any = {"color": INK, "marker": "o", "linestyle": "none", "markerfacecolor": "none", "markersize": 13}
ENTRY = 52  # points of a column of the legend beside its longest name
ROW = 17  # points of height of a row of the legend


class Point(NamedTuple):
    """A network in the Pareto figure.

    A line joins the points of a ``series``, such as a recovery method; the mark of a network that stands alone, with
    an empty series, bears its ``name``. A ring says that such a network was trained in another way, ``ring``. The
    point that is ``chosen`` stands in a circle.
    ``accuracy``, ``low`` and ``high`` are shares, and a whisker goes from low to high; costs are above 0.
    """

    name: str
    series: str
    accuracy: float
    low: float
    high: float
    params: float
    macs: float
    latency_ms: float
    ring: str = ""
    chosen: bool = False


def figure(points: Sequence[Point], *, stacked: bool = False) -> str:
    """Accuracy over parameters, MACs and latency, side by side or, for narrow pages, ``stacked``."""
    with matplotlib.rc_context(STYLE):
        # At 72 dots per inch a dot is a point, the unit of the places of names.
        drawn = Figure(figsize=(WIDTH, 9.8) if stacked else (11.0, 3.5), dpi=72)
        FigureCanvasSVG(drawn)
        panels = drawn.subplots(*((3, 1) if stacked else (1, 3)), sharey=True)
        series = list(dict.fromkeys(point.series for point in points if point.series))
        alone = [point for point in points if not point.series]
        names = list(dict.fromkeys(point.name for point in alone))
        numbers = {name: str(number) for number, name in enumerate(names, 1)} if len(names) > MOST_NAMES else {}
        rings = dict.fromkeys(point.ring for point in alone if point.ring)
        for axes, (cost, label) in zip(panels, COSTS.items(), strict=True):
            _cost_axis(axes, [getattr(point, cost) for point in points], label)
            for index, name in enumerate(series):
                # Methods of one budget cost the same, so their whiskers stand side by side.
                aside = (index - (len(series) - 1) / 2) * min(4, 24 / len(series)) / 72
                _marks(
                    axes,
                    [point for point in points if point.series == name],
                    cost,
                    axes.transData + ScaledTranslation(aside, 0, drawn.dpi_scale_trans),
                    color=TERM_COLOURS[index % len(TERM_COLOURS)],
                    marker=MARKERS[index % len(MARKERS)],
                    linestyle=DASHES[index % len(DASHES)],
                    linewidth=1.1,
                    label=name,
                )
            for ring in ("", *rings):
                _marks(axes, [point for point in alone if point.ring == ring], cost, axes.transData, **_alone(ring))
        low, high = 100 * min(point.low for point in points), 100 * max(point.high for point in points)
        panels[0].set_ylim(low - 0.05 * (high - low) - 0.5, high + 0.05 * (high - low) + 0.5)
        for axes in panels if stacked else panels[:1]:
            axes.set_ylabel("Accuracy (%)")
        handles, labels = panels[0].get_legend_handles_labels()
        handles += [Line2D([], [], **_alone(ring)) for ring in ("",) * len(numbers) + tuple(rings)]
        labels += [f"{number}: {name}" for name, number in numbers.items()] + list(rings)
        longest = max(TextPath((0, 0), label, size=NAME_SIZE).get_extents().width for label in labels)
        columns = min(max(int(72 * drawn.get_figwidth() // (1.15 * longest + ENTRY)), 1), 5)
        drawn.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=3)
        drawn.set_figheight(drawn.get_figheight() + math.ceil(len(labels) / columns) * ROW / 72)
        drawn.draw_without_rendering()  # the layout, without which free places are not known
        for axes, cost in zip(panels, COSTS, strict=True):
            _name_marks(axes, alone, [numbers.get(point.name, point.name) for point in alone], cost)
        parts = [
            f"{', '.join(filter(None, (point.name, point.ring)))} {units.percent(point.accuracy)} with "
            f"{units.count(point.params)} parameters, {units.count(point.macs)} MACs and "
            f"{units.milliseconds(point.latency_ms)}"
            for point in points
        ]
        label = f"Accuracy over parameters, MACs and latency: {'; '.join(parts)}."
        return svg(drawn, "pareto-stacked" if stacked else "pareto", label)


def _alone(ring: str) -> dict[str, Any]:
    """The mark of a network that stands alone."""
    return {"color": INK, "marker": "o", "linestyle": "none", "markerfacecolor": "none" if ring else INK}


def _cost_axis(axes: Axes, costs: Sequence[float], label: str) -> None:
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 1.8, max(costs) * 1.8)
    subs = (1, 3) if max(costs) > 10 * min(costs) else (1, 2, 5)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.brief(value) if value >= 1 else f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)


def _marks(axes: Axes, points: Sequence[Point], cost: str, place: Transform, *, color: str, **style: Any) -> None:
    """Marks, the line that joins them, whiskers, and a circle around the point that is chosen."""
    points = sorted(points, key=attrgetter(cost))
    costs = [getattr(point, cost) for point in points]
    for where, point in zip(costs, points, strict=True):
        whisker = [100 * point.low, 100 * point.high]
        axes.plot([where] * 2, whisker, color=color, linewidth=1.3, alpha=0.5, transform=place)
    axes.plot(costs, [100 * point.accuracy for point in points], color=color, transform=place, **style)
    for where, point in zip(costs, points, strict=True):
        if point.chosen:
            axes.plot(where, 100 * point.accuracy, transform=place, label=CHOSEN, **CIRCLE)


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
