"""A folder of simulated chips as real ones come: PNG files in a folder per class, and some without a label."""

import itertools
from pathlib import Path

import numpy as np
from PIL import Image

from sarslim.chips.dataset import whole_directory
from sarslim.chips.folder import UNLABELLED
from sarslim.chips.formats import open_reader
from sarslim.chips.index import Pixels
from sarslim.config import PrepareConfig, SimulatorConfig, parse
from sarslim.errors import InputError
from sarslim.progress import Progress

MARK = "SIMULATED.txt"  # a folder with this file is reported as simulated, wherever it is read
SAYS = (
    "These are simulated SAR ship chips: sarslim made them, no radar measured them.\n"
    "Reports on them say so as long as this file lies here.\n"
)


def write(
    out: Path, chips: int = 600, classes: int = 6, seed: int = 0, unlabelled: int = 60, *, image_size: int = 64
) -> dict[str, int]:
    """Writes ``CLASS/SHIP/chip.png`` and ``unlabelled/chip.png``, 8-bit grey, ``image_size`` pixels on a side.

    A ship has four chips. Chips without a label are of other ships and in no order. The same arguments write the same
    files. ``out`` appears complete or not at all.

    Returns:
        How many chips each folder got.

    Raises:
        InputError: ``out`` exists and is not an empty directory, or a number out of range.
        ServiceError: the file system refused to write.
    """
    if unlabelled < 0:
        raise InputError("unlabelled", f"{unlabelled} chips cannot be made", "Give 0 or more")
    ships = parse(SimulatorConfig, {"chips": chips, "classes": classes})
    # What has no label comes after the last ship that has one.
    first = -(-chips // ships.chips_per_ship) * ships.chips_per_ship
    ships = ships.model_copy(update={"chips": first + unlabelled})
    config = parse(PrepareConfig, {"seed": seed, "image_size": image_size, "simulator": ships})
    reader = open_reader(config, None)
    made = list(reader.index().chips)
    counts: dict[str, int] = {}
    shuffled = np.random.default_rng(seed).permutation(unlabelled).tolist()
    names = itertools.chain(
        (f"{chip.label}/{chip.ship}/{chip.id}.png" for chip in made[:chips]),
        (f"{UNLABELLED[0]}/chip-{number:06d}.png" for number in shuffled),
    )
    progress = Progress("simulate", chips + unlabelled)
    with whole_directory(out) as folder:
        (folder / MARK).write_text(SAYS, encoding="utf-8")
        for name, pixels in zip(names, reader.load(made[:chips] + made[first:]), strict=True):
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(_grey(pixels)).save(file)
            kind = name.partition("/")[0]
            counts[kind] = counts.get(kind, 0) + 1
            progress.step()
    return counts


def is_simulated(source: Path) -> bool:
    """Whether a folder says of itself that its chips are simulated."""
    return (source / MARK).is_file()


def _grey(pixels: Pixels) -> np.ndarray:
    return np.rint(np.clip(pixels[0], 0, 255)).astype(np.uint8)
