"""The house: imports point down only, rooms on one floor do not import each other, and compiling needs no torch."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = [
    {"records", "errors", "progress"},
    {"store"},
    {"config"},
    {"networks", "chips"},
    {"evaluation", "pruning"},
    {"report", "delivery", "training"},
    {"stages"},
    {"kubeflow"},
    {"cli"},
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
LIBRARY = ROOT / "sarslim"
FOLDERS = {path.name for path in LIBRARY.iterdir() if (path / "__init__.py").is_file()}
MODULES = sorted(path for path in LIBRARY.rglob("*.py") if path != LIBRARY / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(LIBRARY).with_suffix("").parts[0]


def imports(path: Path, *, top_level_only: bool = False) -> list[tuple[str, ...]]:
    """Every name that a file imports, as the parts of its dotted path."""
    tree = ast.parse(path.read_text())
    found = []
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(*node.module.split("."), alias.name) for alias in node.names]
    return found


def exported(room: str) -> set[str]:
    """What a room offers to others: the ``__all__`` of its face."""
    for node in ast.parse((LIBRARY / room / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def test_every_room_has_a_floor():
    assert {room_of(path) for path in MODULES} == set(FLOOR)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    room = room_of(path)
    for parts in imports(path):
        if parts[0] in ("components", "pipeline", "benchmarks") and room != "cli":
            pytest.fail(f"{room} imports {'.'.join(parts)} from the top floor")
        if parts[0] != "sarslim" or parts[1] in (room, "__version__"):
            continue
        assert FLOOR[parts[1]] < FLOOR[room], f"{room} (floor {FLOOR[room]}) imports {'.'.join(parts)}"


HOUSE = [path for folder in ("sarslim", "components", "benchmarks", "docker") for path in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("path", [*HOUSE, ROOT / "pipeline.py"], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_is_entered_by_its_face(path):
    own = room_of(path) if path.is_relative_to(LIBRARY) else ""
    for parts in imports(path):
        if parts[0] == "sarslim" and len(parts) > 2 and parts[1] in FOLDERS - {own}:
            assert parts[2] in exported(parts[1]), f"{'.'.join(parts[:3])} is not what sarslim/{parts[1]} exports"


def test_every_room_says_what_it_is_for_and_exports_what_is_there():
    for room in FOLDERS:
        face = importlib.import_module(f"sarslim.{room}")
        assert len(str(face.__doc__).splitlines()[0]) > 20, room
        for name in exported(room):
            assert hasattr(face, name) or importlib.import_module(f"sarslim.{room}.{name}"), f"{room} has no {name}"


def test_tests_mirror_the_rooms():
    rooms = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.glob("test_*.py"))}
    assert rooms - {"benchmarks", "cluster", "docs", "faults"} <= FOLDERS


def test_no_circle_inside_a_room():
    edges = {}
    for path in MODULES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        nodes = list(ast.walk(ast.parse(path.read_text())))
        known = {".".join(parts) for parts in imports(path)}
        known |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
        edges[module] = {name for name in known if name.startswith("sarslim.") and name != module}

    def visit(module, trail):
        assert module not in trail, f"circle: {' -> '.join([*trail, module])}"
        for name in edges.get(module, ()):
            visit(name, (*trail, module))

    for module in edges:
        visit(module, ())


def test_components_import_sarslim_only_inside_their_function():
    for path in (ROOT / "components").glob("*.py"):
        if path.name in ("alone.py", "images.py", "placement.py", "tracing.py"):  # what surrounds the components
            continue
        assert not any(parts[0] == "sarslim" for parts in imports(path, top_level_only=True)), path


def test_compiling_loads_no_torch(tmp_path):
    code = (
        "import sys, pathlib, pipeline\nfrom sarslim.kubeflow.local import launch\n"
        "dags = {name: pipeline.build(name) for name in pipeline.DAGS}\n"
        f"launch.compile_all(dags, pathlib.Path({str(tmp_path)!r}))\n"
        "heavy = {'torch', 'torchvision', 'torch_pruning', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "compress.yaml").read_text().isascii()


def test_preparing_needs_no_torch():
    code = "import sys, sarslim.stages.prepare, sarslim.stages.publish; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
