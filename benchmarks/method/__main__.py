"""The command line of the grid."""

import argparse
import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import benchmarks.method as method
from benchmarks.method import ceiling, cells, costs, folds, plan, rulers, sized, tables, teachers, versions, workers
from sarslim.errors import told

HERE = Path(__file__).parents[1]
STEMS = {plan.SHIPS: "ships", plan.VERSIONS: "versions"}  # of what is written; of all others ``method``


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser("benchmarks.method", description=method.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=("run", "costs", "table", "ceiling", "rulers", "sized", "teachers", "folds"))
    parser.add_argument("--results", type=Path, help="left out: in benchmarks/results")
    parser.add_argument("--page", type=Path, help="left out: in benchmarks")
    parser.add_argument("--data", type=Path, help="where the chips are")
    parser.add_argument("--others", type=Path, help="further chips, of which no label is used")
    parser.add_argument("--vehicles", type=Path, help="chips of MSTAR: one variant of a teacher learns these first")
    parser.add_argument("--name", default="MSTAR", choices=list(cells.SOURCES))
    parser.add_argument("--work", type=Path, default=Path("runs") / "method")
    parser.add_argument("--sections", nargs="+", default=list(plan.SECTIONS), choices=list(plan.SECTIONS))
    parser.add_argument("--variants", nargs="+", choices=list(teachers.VARIANTS), help="of teachers, or of folds")
    parser.add_argument("--seeds", nargs="+", type=int, help="where not all can be afforded")
    parser.add_argument("--device", default="", choices=("", "cpu", "cuda"), help="left out: GPUs where there are any")
    parser.add_argument("--workers", type=int, default=0, help="processes; left out: one per GPU or core")
    given = parser.parse_args()
    stem = STEMS.get(given.name, "method")
    given.results = given.results or HERE / "results" / f"{stem}.jsonl"
    given.page = given.page or HERE / f"{stem.upper()}_RESULTS.md"
    if given.what == "table":
        tables.write(read(given.results), given.results, given.results.with_suffix(".costs.json"), given.page)
    elif given.what == "costs":
        costs.write(read(given.results), given.work, given.results.with_suffix(".costs.json"))
    elif given.what == "ceiling":
        if found := ceiling.measure(given.work, given.name):
            write(given.results.with_suffix(".ceiling.json"), found)
        else:
            print("no ceiling: that takes the teachers of two seeds, of all labels")
    elif given.what == "sized":
        if found := sized.measure(given.work, given.name):
            write(given.results.with_suffix(".sized.json"), found)
        else:
            print("size was given to no network: that takes the teachers of two seeds, of all labels")
    elif given.data is None or not given.data.exists():
        parser.error(f"--data {given.data} does not exist; name the folder of the chips")
    elif given.what == "rulers":
        write(given.results.with_suffix(".rulers.json"), rulers.measure(places(given).chips, given.name))
    elif given.others and not given.others.exists():
        parser.error(f"--others {given.others} does not exist; name the folder of the chips")
    elif given.what in ("teachers", "folds"):
        write(given.results.with_suffix(f".{given.what}.json"), compared(given, parser))
    else:
        with told():
            run(given)


def places(given: argparse.Namespace) -> cells.Places:
    """Where chips are, as the data set wants them."""
    if given.name == plan.VERSIONS:
        return cells.Places(work=given.work, **versions.laid_out(given.data, given.work / "versions")._asdict())
    return cells.Places(given.data.resolve(), given.others and given.others.resolve(), given.work)


def compared(given: argparse.Namespace, parser: argparse.ArgumentParser) -> Mapping[str, Any]:
    """What variants of a teacher give, on the test part or on ranges of the training part."""
    by_folds = given.what == "folds"
    variants = tuple(given.variants or (folds.VARIANTS if by_folds else teachers.VARIANTS))
    if by_folds and not (given.data / folds.TABLE).exists():
        parser.error(f"--data {given.data} has no {folds.TABLE}, by whose running numbers folds are drawn")
    if teachers.VEHICLES in variants and (given.vehicles is None or not given.vehicles.exists()):
        parser.error(f"--vehicles {given.vehicles} does not exist; name the folder of MSTAR")
    if teachers.UNLABELLED in variants and not given.others:
        parser.error(f"{teachers.UNLABELLED}: name their folder with --others")
    at = places(given)
    started = teachers.starts(given.name, at, given.vehicles and given.vehicles.resolve(), variants)
    measure, seeds = (folds.measure, plan.TUNING_SEEDS) if by_folds else (teachers.measure, plan.SEEDS)
    return measure(given.name, at, given.seeds or seeds, variants, started)


def write(file: Path, found: Mapping[str, Any]) -> None:
    """Writes what was measured."""
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {file}")


def run(given: argparse.Namespace) -> None:
    """Runs what the sections still need: rates are chosen by the first cells of a section, and ask for more."""
    at = places(given)
    for name in given.sections:
        while missing := [
            cell
            for cell in plan.cells(plan.SECTIONS[name], given.name, read(given.results))
            if given.seeds is None or cell.seed in given.seeds
        ]:
            print(f"section {name}: {len(missing)} cells to run", flush=True)
            workers.run_all(missing, at=at, results=given.results, device=given.device, workers=given.workers)


def read(file: Path) -> list[Mapping[str, Any]]:
    """The lines of results; a last line that was cut short is left out."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            lines.append({"generations": 1, "longer": 1, "views": 0} | json.loads(line))  # older lines name none
    return lines


if __name__ == "__main__":
    main()
