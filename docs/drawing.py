"""Pictures as SVG, drawn from the sources: the floors from the imports, the pipelines from what KFP compiles."""

import ast
import importlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from docs import markdown

Edges = Mapping[str, set[str]]

STYLE = """
  text { font: 15px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #263238; text-anchor: middle }
  .small { font-size: 12px; fill: #546e7a } .left { text-anchor: start } .right { text-anchor: end }
  .box { fill: #eceff1; stroke: #78909c } .group { fill: none; stroke: #90a4ae; stroke-dasharray: 5 4 }
  .floor { fill: #fafafa; stroke: none } .arrow { fill: none; stroke: #78909c; stroke-width: 1.3 }
  .head { fill: #78909c } .maybe { stroke-dasharray: 4 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #eceff1 } .small { fill: #b0bec5 } .box { fill: #37474f; stroke: #90a4ae }
    .group { stroke: #78909c } .floor { fill: #ffffff0d } .arrow { stroke: #90a4ae } .head { fill: #90a4ae }
  }
""".strip("\n")
HEAD = (
    '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path class="head" d="M0 0 8 4 0 8z"/></marker>'
)


def svg(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """A picture that follows the reader's light or dark."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{STYLE}\n</style>",
            f"<defs>{HEAD}</defs>",
            *parts,
            "</svg>",
            "",
        ]
    )


def reduced(edges: Edges) -> dict[str, set[str]]:
    """The arrows of a graph without circles that no others imply."""
    below: dict[str, set[str]] = {}

    def reach(node: str) -> set[str]:
        if node not in below:
            below[node] = set().union(*({next_, *reach(next_)} for next_ in edges.get(node, ())), set())
        return below[node]

    return {node: {one for one in own if not any(one in reach(other) for other in own)} for node, own in edges.items()}


# The floors ------------------------------------------------------------------------------------------------------

ROOM, GAP, FLOOR, LEFT = (150, 46), 24, 84, 40


def room_imports(library: Path) -> dict[str, set[str]]:
    """Which rooms of the library each room imports."""
    found: dict[str, set[str]] = {}
    for path in sorted(library.rglob("*.py")):
        room = path.relative_to(library).with_suffix("").parts[0]
        if room == "__init__":
            continue
        names: list[str] = []
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names += [f"{node.module}.{alias.name}" for alias in node.names]
        rooms = {name.split(".")[1] for name in names if name.startswith(f"{library.name}.")}
        found.setdefault(room, set()).update(rooms - {room, "__version__"})
    return found


def floors(levels: Sequence[Iterable[str]], imports: Edges) -> str:
    """The floors of the house, the lowest one at the bottom, with the arrows that no others imply."""
    rows = [sorted(rooms) for rooms in levels]
    widest = max(map(len, rows))
    width = LEFT + widest * (ROOM[0] + GAP) + GAP
    places: dict[str, tuple[float, float]] = {}
    parts: list[str] = []
    for level, rooms in enumerate(rows):
        y: float = (len(rows) - 1 - level) * FLOOR
        parts += [
            f'<rect class="floor" x="0" y="{y + 6}" width="{width}" height="{FLOOR - 12}" rx="8"/>',
            f'<text class="small left" x="14" y="{y + FLOOR / 2 + 4:g}">{level}</text>',
        ]
        free: float = (width - LEFT - GAP - len(rooms) * (ROOM[0] + GAP)) / 2
        for number, room in enumerate(rooms):
            places[room] = (LEFT + free + GAP + number * (ROOM[0] + GAP) + ROOM[0] / 2, y + FLOOR / 2)
    for room, own in reduced(imports).items():
        parts += [_arrow(places[room], places[other], ROOM[1] / 2, level=FLOOR) for other in sorted(own)]
    for room, (x, y) in places.items():
        parts.append(_box(room, "", x, y, ROOM))
    total = sum(map(len, imports.values()))
    title = f"{len(places)} rooms on {len(rows)} floors; {total} imports between rooms, all of them down"
    return svg(width, len(rows) * FLOOR, title, parts)


def rooms_table(levels: Sequence[Iterable[str]], imports: Edges) -> str:
    """What each room is for, in the words of its docstring, from the top floor down."""
    rows = []
    for level in range(len(levels) - 1, -1, -1):
        for room in sorted(levels[level]):
            doc = markdown.first_sentence(importlib.import_module(f"sarslim.{room}").__doc__)
            used = ", ".join(f"`{other}`" for other in sorted(imports.get(room, ())))
            rows.append((str(level), f"`{room}`", markdown.cell(doc), used or "nothing"))
    return markdown.table(("Floor", "Room", "What it is for", "Imports"), rows)


def _arrow(start: tuple[float, float], end: tuple[float, float], half: float, *, level: float = 0) -> str:
    """A line from the foot of one box to the head of another; one that passes floors swings around what is there."""
    (x0, y0), (x1, y1) = (start[0], start[1] + half), (end[0], end[1] - half - 2)
    drop = y1 - y0
    if level and drop > level:
        side = 20 if x1 >= x0 else -20
        return (
            f'<path class="arrow" marker-end="url(#head)" d="M{x0 + side:g} {y0:g}'
            f'C{x0 + 2 * side:g} {y0 + drop / 3:g} {x1 + 2 * side:g} {y1 - drop / 3:g} {x1 + side:g} {y1:g}"/>'
        )
    return (
        f'<path class="arrow" marker-end="url(#head)" '
        f'd="M{x0:g} {y0:g}C{x0:g} {y0 + drop / 2:g} {x1:g} {y1 - drop / 2:g} {x1:g} {y1:g}"/>'
    )


def _box(title: str, below: str, x: float, y: float, size: tuple[float, float]) -> str:
    width, height = size
    lines = [f'<text x="{x:g}" y="{y + (5 if not below else -3):g}">{escape(title)}</text>']
    if below:
        lines.append(f'<text class="small" x="{x:g}" y="{y + 15:g}">{escape(below)}</text>')
    corner = f'x="{x - width / 2:g}" y="{y - height / 2:g}"'
    box = f'<rect class="box" {corner} width="{width:g}" height="{height:g}" rx="6"/>'
    return "\n".join([box, *lines])


# The pipelines -------------------------------------------------------------------------------------------------------

TASK, APART, PAD, TITLE = (206, 50), (22, 34), 16, 26
LETTER = 6.4  # width of a small one


@dataclass
class Node:
    """A task, or a group of tasks with a graph of its own; ``x`` and ``y`` are its middle."""

    name: str
    below: str = ""
    inner: "Graph | None" = None
    x: float = 0
    y: float = 0

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        if self.inner is None:
            return TASK
        width, height = self.inner.size
        return max(width, LETTER * len(self.name)) + 2 * PAD, height + 2 * PAD + TITLE


@dataclass
class Graph:
    """Tasks in rows, each as low as what comes after it lets it be."""

    nodes: dict[str, Node]
    after: dict[str, set[str]]  # what each needs
    rows: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        depth: dict[str, int] = {}

        def height(name: str) -> int:
            users = [user for user, needed in self.after.items() if name in needed]
            depth.setdefault(name, 1 + max(map(height, users), default=-1))
            return depth[name]

        last = max(map(height, self.nodes), default=0)

        def order(name: str) -> tuple[int, int, tuple[str, int]]:
            # What hangs from far above stands at the side, past what is between.
            far = max((depth[before] - depth[name] for before in self.after[name]), default=0)
            inner = self.nodes[name].inner
            return far, -len(inner.nodes) if inner else 0, _counted(name)

        for row in range(last, -1, -1):
            self.rows.append(sorted((name for name in self.nodes if depth[name] == row), key=order))

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        wide = max(sum(self.nodes[name].size[0] + APART[0] for name in row) for row in self.rows) - APART[0]
        return wide, sum(self._tall(row) + APART[1] for row in self.rows) - APART[1]

    def _tall(self, row: Sequence[str]) -> float:
        return max(self.nodes[name].size[1] for name in row)

    def place(self, left: float, top: float) -> None:
        """Gives every node its middle."""
        wide = self.size[0]
        for row in self.rows:
            x = left + (wide - sum(self.nodes[name].size[0] + APART[0] for name in row) + APART[0]) / 2
            for name in row:
                node = self.nodes[name]
                width, height = node.size
                node.x, node.y = x + width / 2, top + height / 2
                if node.inner is not None:
                    node.inner.place(x + (width - node.inner.size[0]) / 2, top + PAD + TITLE)
                x += width + APART[0]
            top += self._tall(row) + APART[1]

    def _foot(self, name: str) -> float:
        return self.nodes[name].y + self.nodes[name].size[1] / 2

    def parts(self) -> list[str]:
        """What to draw."""
        row_of = {name: number for number, row in enumerate(self.rows) for name in row}
        found = []
        for name, needed in self.after.items():
            for before in sorted(needed, key=_counted):
                one, other = self.nodes[before], self.nodes[name]
                if row_of[name] - row_of[before] > 1 and abs(one.x - other.x) > 1:
                    found.append(_around(one, other))
                    continue
                foot, end = one.y + one.size[1] / 2, (other.x, other.y - other.size[1] / 2)
                low = max(foot, *(self._foot(beside) for beside in self.rows[row_of[before]]))
                if low > foot:
                    found.append(f'<path class="arrow" d="M{one.x:g} {foot:g}V{low:g}"/>')
                found.append(_arrow((one.x, low), end, 0))
        for node in self.nodes.values():
            if node.inner is None:
                found.append(_box(node.name, node.below, node.x, node.y, TASK))
                continue
            width, height = node.size
            left, top = node.x - width / 2, node.y - height / 2
            found += [
                f'<rect class="group" x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="10"/>',
                f'<text class="small" x="{node.x:g}" y="{top + 22:g}">{escape(node.name)}</text>',
                *node.inner.parts(),
            ]
        return found


def _around(one: Node, other: Node) -> str:
    """A line out of the side of one node and down to another, past the rows between them."""
    side = 1 if other.x > one.x else -1
    x0, y1 = one.x + side * one.size[0] / 2, other.y - other.size[1] / 2 - 2
    x1 = other.x
    return (
        f'<path class="arrow" marker-end="url(#head)" d="M{x0:g} {one.y:g}H{x1 - side * 20:g}'
        f'Q{x1:g} {one.y:g} {x1:g} {one.y + 20:g}V{y1:g}"/>'
    )


def pipeline(spec: Mapping[str, Any], title: str) -> str:
    """A pipeline as KFP compiles it: tasks with what they make, and what each waits for."""
    graph = _graph(spec["root"]["dag"]["tasks"], spec["components"])
    width, height = graph.size
    graph.place(8, 8)
    return svg(width + 16, height + 16, title, graph.parts())


def _graph(tasks: Mapping[str, Any], components: Mapping[str, Any]) -> Graph:
    nodes = {}
    # KFP gives tasks in no order, and numbers that go on from one pipeline to the next.
    ordered = {name: tasks[name] for name in sorted(tasks, key=_counted)}
    for name, task in ordered.items():
        component = components[task["componentRef"]["name"]]
        title = task["taskInfo"]["name"]
        if "dag" in component:
            kind = "if " if "triggerPolicy" in task else "for each of: " if "parameterIterator" in task else ""
            nodes[name] = Node(f"{kind}{title}", inner=_graph(component["dag"]["tasks"], components))
            continue
        made = component.get("outputDefinitions", {}).get("artifacts", {})
        told = [re.sub("_", " ", made_) for made_ in sorted(made) if made_ not in ("metrics", "confusion")]
        nodes[name] = Node(title, ", ".join(told))
    return Graph(nodes, {name: set(task.get("dependentTasks", ())) for name, task in ordered.items()})


def _counted(name: str) -> tuple[str, int]:
    """A name such as ``for-loop-10`` so that it comes after ``for-loop-9``."""
    stem, _, number = name.rpartition("-")
    return (stem, int(number)) if number.isdigit() else (name, 0)
