"""Recipes of a teacher compared on training chips alone, held out as the test part was: whole ranges of numbers.

Neighbours in number tend to be neighbours at sea, and the test part is one range of every class. Validation by short
blocks of numbers leaves scenes on both sides, so it does not ask what the test part asks: chips of other scenes. Here
every fold is a range of its own, and no test chip is seen.
"""

import csv
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.method import teachers
from benchmarks.method.cells import Places, commit, machine

FOLDS = 5
VARIANTS = (teachers.RECIPE, "turned by any angle", "not turned")
FIGURES = ("accuracy", "balanced_accuracy")
TABLE = "groups.csv"


def measure(
    data: str,
    at: Places,
    seeds: Sequence[int],
    variants: Sequence[str] = VARIANTS,
    started: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Figures of every variant on the fold held out, by fold and seed, and the differences to the recipe as it is.

    An interval is Student's t over folds, each the mean of its seeds.

    Args:
        at: chips as FUSAR-3 has them, a folder ``TRAIN`` with one per class and a table of running numbers.
        seeds: of validation chips and weights.
        variants: of ``teachers``, beside the recipe as it is.
        started: the weights that variants begin with, as of ``teachers.starts``.
    """
    variants = tuple(dict.fromkeys((teachers.RECIPE, *variants)))
    found = [
        teachers.measure(data, Places(source, None, source.parent / "work"), seeds, variants, started)
        for source in (laid_out(at.chips, at.work / "folds" / str(fold), fold) for fold in range(FOLDS))
    ]
    by_seed = {
        name: {figure: [fold["variants"][name][figure] for fold in found] for figure in FIGURES} for name in variants
    }
    by_fold = {
        name: {figure: [fmean(seeds) for seeds in folds] for figure, folds in figures.items()}
        for name, figures in by_seed.items()
    }
    usual = by_fold[teachers.RECIPE]
    return {
        "variants": {
            name: by_seed[name] | {f"{figure}_over_the_recipe": teachers.over(own, usual, figure) for figure in FIGURES}
            for name, own in by_fold.items()
        },
        "seeds": list(seeds),
        "command": f"python -m benchmarks.method folds --name {data} --seeds {' '.join(map(str, seeds))}"
        + ("" if variants == VARIANTS else teachers.told(variants)),
        "data_digests": [digest for fold in found for digest in fold["data_digests"]],
        "commit": commit(),
        "machine": machine(),
    }


def laid_out(chips: Path, folder: Path, fold: int) -> Path:
    """A source of the training chips only, whose test part is one range of numbers of every class.

    Chips that share a group stay together.
    """
    source = folder / "chips"
    if source.exists():
        return source
    rows = list(csv.DictReader((chips / TABLE).read_text(encoding="utf-8").splitlines()))
    rows = [row for row in rows if row["file"].startswith("TRAIN/")]
    parts = held_out(rows, fold)
    for row in rows:
        copy = source / row["file"].removeprefix("TRAIN/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(chips / row["file"], copy)
    lines = [
        f"{row['file'].removeprefix('TRAIN/')},{row['group']},{row['number']},{parts[row['file']]}" for row in rows
    ]
    (source / TABLE).write_text("\n".join(["file,group,number,split", *lines]) + "\n", encoding="utf-8")
    return source


def held_out(rows: Sequence[Mapping[str, str]], fold: int) -> dict[str, str]:
    """Train or test for every file: test for the groups that begin in this fold of their class's numbers."""
    classes: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        classes[Path(row["file"]).parent.name].append(row)
    part_of: dict[str, str] = {}  # by group
    for found in classes.values():
        for place, row in enumerate(sorted(found, key=lambda row: int(row["number"]))):
            part_of.setdefault(row["group"], "test" if place * FOLDS // len(found) == fold else "train")
    return {row["file"]: part_of[row["group"]] for row in rows}
