"""Which chips of an index become samples: classes, merging, polarisations, chips without a label."""

import difflib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from sarslim.chips.given import Named, check_parts
from sarslim.chips.index import Chip
from sarslim.chips.preprocess import too_small
from sarslim.config import PrepareConfig
from sarslim.errors import InputError
from sarslim.records import Skipped

POLARISATION_ORDER = ("VV", "VH", "HH", "HV")
AMPLITUDE = "amplitude"


@dataclass(frozen=True, slots=True)
class Sample:
    """One stored chip: which bands of which chip, under which class (None: unlabelled)."""

    chip: Chip
    label: int | None
    bands: tuple[int, ...]
    polarisation: str

    @property
    def name(self) -> str:
        """Names the sample apart from other polarisations of its chip."""
        whole = len(self.bands) == len(self.chip.bands)
        return self.chip.id if whole else f"{self.chip.id} {self.polarisation}"


@dataclass(frozen=True)
class Selection:
    """What is kept of an index; the samples of one chip follow each other."""

    samples: Sequence[Sample]
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    skipped: Sequence[Skipped]
    warnings: Sequence[str] = ()


def select(chips: Sequence[Chip], config: PrepareConfig) -> Selection:
    """Applies the choices of the configuration.

    Raises:
        InputError: no chips, parts of a given split that name other classes, an unknown class, label or polarisation, a
            wanted class with too few chips that have the polarisations, fewer than two classes, chips that are smaller
            than a block of the multilook.
    """
    if not chips:
        raise InputError(
            "prepare.source",
            f"{config.source or 'the source'} holds no chips",
            "Give a folder with one sub-folder of PNG, JPEG or TIFF chips per class, or OpenSARShip products",
        )
    check_parts((Named(chip.split, chip.label, chip.below) for chip in chips), config)
    labels = {chip.label for chip in chips if chip.label is not None}
    _check_known("prepare.merge", config.merge, labels)
    _check_known("prepare.classes", config.classes, {config.merge.get(label, label) for label in labels})
    channels = _channels(chips, config)
    chosen = [(chip, found) for chip in chips if (found := bands(chip, channels, config.polarisation_as))]
    counts = Counter(config.merge.get(chip.label, chip.label) for chip, _ in chosen if chip.label is not None)
    classes = _classes(counts, config)

    samples: list[Sample] = []
    skipped = _without(chips, {chip.id for chip, _ in chosen}, channels)
    for chip, choices in chosen:
        name = None if chip.label is None else config.merge.get(chip.label, chip.label)
        reason = _reason(name, counts, classes, config)
        if reason:
            skipped.append(Skipped(name=chip.id, reason=reason))
            continue
        label = None if name is None else classes.index(name)
        samples += [Sample(chip, label, *choice) for choice in choices]
    warnings = _looked(dict.fromkeys(sample.chip for sample in samples), config)
    stored = ("/".join(channels),) if config.polarisation_as == "samples" else channels
    return Selection(samples, classes, stored, skipped, warnings)


def _looked(chips: Collection[Chip], config: PrepareConfig) -> list[str]:
    """A warning where the multilook leaves hardly anything of most chips, if it does.

    Raises:
        InputError: chips that are smaller than a block of it.
    """
    looks, size = config.multilook, config.image_size
    gone = [chip for chip in chips if min(chip.height, chip.width) < looks]
    if gone:
        raise too_small(gone, looks)
    small = sum(2 * (max(chip.height, chip.width) // looks) < size for chip in chips)
    if looks == 1 or 2 * small <= len(chips):
        return []
    return [
        f"{small} of {len(chips)} chips are less than half of image_size={size} after multilook={looks}: most of what "
        "is stored of them is padding"
    ]


def _classes(counts: Counter[str], config: PrepareConfig) -> tuple[str, ...]:
    least = config.min_chips_per_class
    small = [name for name in config.classes if counts[name] < least]
    if small:
        raise InputError(
            "prepare.classes",
            f"class {small[0]} has {_chips(counts[small[0]])}, fewer than min_chips_per_class={least}",
            "Take it out of classes, merge it with another class, or add chips",
        )
    classes = tuple(dict.fromkeys(config.classes)) or tuple(
        sorted(name for name, count in counts.items() if count >= least)
    )
    if len(classes) < 2:
        found = ", ".join(f"{name} ({_chips(count)})" for name, count in sorted(counts.items())) or "none"
        raise InputError(
            "prepare.source" if not config.classes else "prepare.classes",
            f"recognition needs two classes or more, {len(classes)} left with at least {_chips(least)}; found: {found}",
            "Add chips of other classes, or change classes, merge or min_chips_per_class",
        )
    return classes


def _channels(chips: Sequence[Chip], config: PrepareConfig) -> tuple[str, ...]:
    """The polarisations to keep, in a fixed order; ``amplitude`` where they are not known."""
    found = {band for chip in chips for band in chip.bands if band}
    _check_known("prepare.polarisations", config.polarisations, found)
    chosen = config.polarisations or tuple(sorted(found, key=_polarisation_rank))
    return tuple(dict.fromkeys(chosen)) or (AMPLITUDE,)


def _polarisation_rank(name: str) -> tuple[int, int, str]:
    order = POLARISATION_ORDER.index(name) if name in POLARISATION_ORDER else len(POLARISATION_ORDER)
    return order, int(name) if name.isdigit() else 0, name


def _reason(name: str | None, counts: Counter[str], classes: tuple[str, ...], config: PrepareConfig) -> str:
    """Why a chip of the class ``name`` is left out; "" if it is not."""
    if name is None:
        return "" if config.keep_unlabelled else "has no label, and keep_unlabelled is off"
    if name in classes:
        return ""
    if config.classes:
        return f"class {name} is not among classes"
    return f"class {name} has {_chips(counts[name])}, fewer than min_chips_per_class={config.min_chips_per_class}"


def bands(
    chip: Chip, channels: Sequence[str], polarisation_as: Literal["samples", "channels"]
) -> list[tuple[tuple[int, ...], str]]:
    """The bands and the polarisation of each sample of a chip; empty where it lacks what is asked for."""
    places = {band or AMPLITUDE: number for number, band in enumerate(chip.bands)}
    if polarisation_as == "samples":
        return [((places[name],), name) for name in channels if name in places]
    if not all(name in places for name in channels):
        return []
    return [(tuple(places[name] for name in channels), "+".join(channels))]


def fitting(
    chip: Chip, channels: Sequence[str], polarisation_as: Literal["samples", "channels"]
) -> list[tuple[tuple[int, ...], str]]:
    """As :func:`bands`, for channels as a data set stores them; a single image is taken for whatever is asked for."""
    found = bands(chip, channels[0].split("/") if polarisation_as == "samples" else channels, polarisation_as)
    if not found and chip.bands == ("",) and len(channels) == 1:
        return [((0,), "")]  # it does not say which polarisation it is of
    return found


def _without(chips: Sequence[Chip], kept: set[str], channels: tuple[str, ...]) -> list[Skipped]:
    return [
        Skipped(name=chip.id, reason=f"lacks polarisation {', '.join(sorted(set(channels) - set(chip.bands)))}")
        for chip in chips
        if chip.id not in kept
    ]


def _check_known(field: str, wanted: Sequence[str] | dict[str, str], known: set[str]) -> None:
    unknown = [name for name in wanted if name not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], sorted(known), n=1, cutoff=0.5)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(
            field,
            f"the source has no {', '.join(map(repr, unknown))}{hint}",
            f"Choose from {', '.join(sorted(known)) or 'nothing: the source names none'}",
        )


def _chips(count: int) -> str:
    return "1 chip" if count == 1 else f"{count} chips"
