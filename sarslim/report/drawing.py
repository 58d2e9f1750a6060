"""What all figures share: colours, style, and the way of a drawing into the page as SVG.

Colours come from the page (``currentColor`` and CSS variables), so that one drawing serves light, dark and print.
The fallbacks are the palette of Okabe and Ito, which colour-blind people can tell apart. Text stays text, in the
font of the page.
"""

import html
import io
import re
import warnings
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Colour as drawn -> as the page knows it.
INK, LINE, ON_FILL = "#111418", "#d8dde3", "#111519"
TEACHER, PRUNED, STUDENT = "#0072b2", "#d55e00", "#009e73"
OTHERS = "#8a9099"  # reads on white and on black
PAGE_COLOURS = {
    INK: "currentColor",
    LINE: f"var(--line, {LINE})",
    ON_FILL: "var(--on-fill, currentColor)",
    TEACHER: f"var(--teacher, {TEACHER})",
    PRUNED: f"var(--pruned, {PRUNED})",
    STUDENT: f"var(--student, {STUDENT})",
}
# The total in ink, the terms in the colours of Okabe and Ito that also show on white.
TERM_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
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


def canvas(height: float) -> tuple[Figure, Axes]:
    """A figure of the usual width and a height in inches, with one plot in it."""
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def legend_below(axes: Axes, columns: int = 3) -> None:
    """The legend, where it covers nothing."""
    figure = axes.get_figure()
    assert figure is not None
    figure.legend(loc="outside lower center", ncols=columns, handlelength=1.8, columnspacing=1.4)


def svg(figure: Figure, name: str, label: str) -> str:
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


def standalone(figure: str) -> str:
    """An ``<svg>`` element as the text of an SVG file, on white and in the colours as drawn."""
    head, _, body = re.sub(r"var\(--[a-z-]+, ([^()]+)\)", r"\1", figure).partition(">")
    head += f' xmlns="http://www.w3.org/2000/svg" color="{INK}" font-family="sans-serif"'
    return f'{head}><rect width="100%" height="100%" fill="#ffffff"/>{body}'
