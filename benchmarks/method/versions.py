"""Other versions of two vehicles than those of training: MSTAR's serial numbers, split as published work splits them.

Three vehicles each of BMP2 and T72 were measured, told apart by serial number. Networks learn one of each. A second one
they may meet without labels, at the depression of training; the third they never see.
"""

import shutil
from pathlib import Path
from typing import NamedTuple

from sarslim.errors import InputError

LABELS = ("BMP2", "T72")
LEARNED = ("SN_9563", "SN_132")
MET = ("SN_9566", "SN_812")
NAMES = {"versions": "other versions", "versions_met": "of these, met without labels", "versions_new": "of these, new"}
"""As tables say them."""


class Versions(NamedTuple):
    """Folders of chips: those learned and tested as usual, those met without labels, and those shifted, by name."""

    chips: Path
    others: Path
    shifted: dict[str, Path]


def laid_out(chips: Path, folder: Path) -> Versions:
    """Copies chips, once, to where each kind is on its own.

    Args:
        chips: as MSTAR comes, ``TRAIN`` and ``TEST`` with a folder per class, in some of these one per serial number.

    Raises:
        InputError: no such folders.
    """
    made = Versions(folder / "usual", folder / "met", {name: folder / name for name in NAMES})
    if folder.exists():
        return made
    numbers = [f"TRAIN/{label}/{number}" for label, number in zip(LABELS, LEARNED, strict=True)]
    if missing := [number for number in numbers if not (chips / number).is_dir()]:
        raise InputError(str(chips), f"has no folder {missing[0]}", "Name the folder of MSTAR, with its serial numbers")
    draft = folder.with_name(f"{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    for file in sorted(path for path in chips.glob("T*/*/**/*") if path.is_file()):
        part, label, *versions = file.relative_to(chips).parts[:-1]
        version = versions[0] if versions and label in LABELS else ""
        for where in _where(part, version):
            copy = draft / where / label / "-".join((*versions, file.name))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    draft.rename(folder)
    return made


def _where(part: str, version: str) -> list[str]:
    """The folders that a chip belongs to; the shifted ones at the depression of the usual test part."""
    if version in ("", *LEARNED):
        return [f"usual/{part}"]
    if part == "TRAIN":
        return ["met"] if version in MET else []
    return ["versions", "versions_met" if version in MET else "versions_new"]
