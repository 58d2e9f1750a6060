"""The house: imports point down only, rooms on one floor do not import each other, and compiling needs no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = [
    {"errors", "progress", "sources"},
    {"config", "records", "cluster", "statistics"},
    {"architectures", "parameters", "recoveries", "cost", "speckle", "inference", "losses", "parallel", "session"},
    {"storage", "local_store", "chips", "networks", "training", "pruning", "distillation", "evaluation"}
    | {"export", "run_log", "runners"},
    {"checkpoint", "report", "journal", "registry"},
    {"stages", "settings", "runtime", "last_screen"},
    {"shell"},
    {"launch", "remote", "cli"},
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT / "sarslim").with_suffix("").parts
    return parts[0]


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "sarslim" else {node.module}
            )
    return found


MODULES = sorted(path for path in (ROOT / "sarslim").rglob("*.py") if path != ROOT / "sarslim" / "__init__.py")


def test_every_room_has_a_floor():
    assert {room_of(path) for path in MODULES} == set(FLOOR)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    room = room_of(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] in ("components", "pipeline"):
            pytest.fail(f"{room} imports {name} from the top floor")
        if parts[0] != "sarslim" or len(parts) == 1 or parts[1] in (room, "__version__"):
            continue
        assert FLOOR[parts[1]] < FLOOR[room], f"{room} (floor {FLOOR[room]}) imports {name}"


def test_no_circle_inside_a_room():
    edges = {}
    for path in MODULES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        known = imports(path) | {
            f"{node.module}.{alias.name}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        edges[module] = {name for name in known if name.startswith("sarslim.") and name != module}

    def visit(module, trail):
        assert module not in trail, f"circle: {' -> '.join([*trail, module])}"
        for name in edges.get(module, ()):
            visit(name, (*trail, module))

    for module in edges:
        visit(module, ())


def test_components_import_sarslim_only_inside_their_function():
    for path in (ROOT / "components").glob("*.py"):
        if path.name in ("images.py", "placement.py"):  # what surrounds the components
            continue
        assert not any(name.startswith("sarslim") for name in imports(path, top_level_only=True)), path


def test_compiling_loads_no_torch(tmp_path):
    code = (
        "import sys, pathlib, pipeline\n"
        "dags = {name: pipeline.build(name) for name in pipeline.DAGS}\n"
        f"pipeline.launch.compile_all(dags, pathlib.Path({str(tmp_path)!r}))\n"
        "heavy = {'torch', 'torchvision', 'torch_pruning', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "compress.yaml").read_text().isascii()


def test_preparing_needs_no_torch():
    code = "import sys, sarslim.stages.prepare, sarslim.stages.publish; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
