"""Which source files a stage is made of, and their digest: edited code must not hit a stale cache entry."""

import ast
import functools
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def closure(module: str) -> list[Path]:
    """All files of sarslim that ``module`` needs, itself included, found from the import statements."""
    found: list[Path] = []
    seen, waiting = {""}, [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if file := _file(name):
            found += [file, *_data_files(file)]
            waiting += [*_imports(file, _state(file)), name.rpartition(".")[0]]
    return sorted(found)


def digest(module: str) -> str:
    """SHA-256 over names and contents of :func:`closure`."""
    total = hashlib.sha256()
    for path in closure(module):
        total.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0")
        total.update(_hashed(path, _state(path)))
    return total.hexdigest()


def _state(file: Path) -> tuple[int, int]:
    """Tells whether a file was edited: the stages share most of their files, and each is read once."""
    found = os.stat(file)
    return found.st_mtime_ns, found.st_size


@functools.cache
def _hashed(file: Path, state: tuple[int, int]) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


@functools.cache
def _imports(file: Path, state: tuple[int, int]) -> list[str]:
    """What a file imports of sarslim; of names in a module nobody knows here whether they are modules."""
    names: list[str] = []
    for node in _statements(ast.parse(file.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.partition(".")[0] == PACKAGE.name]


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All statements in order, those within others, too; expressions, most of the tree, hold no import."""
    for node in body:
        yield node
        for field in ("body", "handlers", "orelse", "finalbody", "cases"):
            yield from _statements(getattr(node, field, ()))


def _file(module: str) -> Path | None:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _data_files(file: Path) -> list[Path]:
    # A package's templates belong to the package.
    if file.name != "__init__.py" or file.parent == PACKAGE:
        return []
    return [path for path in file.parent.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
