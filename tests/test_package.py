"""``import sarslim`` is instantaneous, and what it offers is loaded where it is used."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import sarslim
from sarslim.cli import notebook
from sarslim.delivery.runtime import Bundle
from sarslim.stages import sources

ROOT = Path(__file__).parents[1]


def fresh(code: str) -> dict:
    """What a new process prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_importing_it_loads_nothing_and_takes_no_time():
    found = fresh(
        "import json, sys, time\n"
        "before, start = set(sys.modules), time.process_time()\n"
        "import sarslim\n"
        "print(json.dumps({'seconds': time.process_time() - start, 'new': sorted(set(sys.modules) - before)}))"
    )
    assert found["new"] == ["sarslim"]
    assert found["seconds"] < 0.05


def test_a_bundle_comes_without_what_runs_pipelines():
    found = fresh(
        "import json, sys\n"
        "from sarslim import Bundle, InputError\n"
        "print(json.dumps([name for name in ('kfp', 'torch', 'yaml', 'scipy', 'rich') if name in sys.modules]))"
    )
    assert found == []


def test_its_names_are_those_of_the_library():
    assert sarslim.Bundle is Bundle
    assert sarslim.run is notebook.run
    assert {"Bundle", "run", "InputError", "ServiceError", "__version__"} <= set(dir(sarslim))
    assert set(sarslim.__all__) == set(sarslim._HOME)
    with pytest.raises(AttributeError, match="module 'sarslim' has no attribute 'Bundel'"):
        _ = sarslim.Bundel
    with pytest.raises(ImportError, match="cannot import name 'Bundel'"):
        from sarslim import Bundel  # noqa: F401


def test_type_checkers_are_told_the_same():
    stub = ast.parse((ROOT / "sarslim" / "__init__.pyi").read_text())
    told = {node.names[0].name: node.module for node in stub.body if isinstance(node, ast.ImportFrom)}
    assert told == sarslim._HOME


def test_no_stage_is_made_of_what_it_offers():
    assert [path.name for path in sources.closure("sarslim")] == ["__init__.py"]
    publish = {path.relative_to(sources.PACKAGE).parts[0] for path in sources.closure("sarslim.stages.publish")}
    assert not {"cli", "kubeflow", "chips"} & publish


def test_a_notebook_shows_a_mistake_in_one_line():
    error = sarslim.InputError("distill.epochs", "distill.epochs 0: is too few.", "Give more.")
    assert error._render_traceback_() == ["InputError: distill.epochs: distill.epochs 0: is too few. Give more."]
