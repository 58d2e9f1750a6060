"""What pages say of a data set."""

import re
from pathlib import PurePosixPath

from sarslim.records import DatasetRecord, Scaling

FORMATS = {
    "simulator": "the built-in simulator",
    "folder": "one folder per class",
    "opensarship": "OpenSARShip products",
    "fusar": "FUSAR-Ship",
    "images": "images at any depth",
}
SIMULATED = (
    "These chips are simulated: a program made them, no radar measured them. What is found on them shows that the "
    "method works, not how well it recognises real targets."
)
# Sources that have one name only; of the others the user knows what is in them.
NAMES = {"simulator": "simulated SAR ship chips", "opensarship": "OpenSARShip", "fusar": "FUSAR-Ship"}
PARTS = {"train": "Training", "val": "Validation", "test": "Test", "unlabelled": "Unlabelled"}


def origin(dataset: DatasetRecord) -> str:
    """Simulated or real, in plain words."""
    if dataset.simulated:
        return SIMULATED
    kind = FORMATS.get(dataset.format, dataset.format)
    return f"These chips are not simulated: they were read from {dataset.source} ({kind})."


def name(form: str, source: str, given: str) -> str:
    """What a data set is called: as it was ``given``, by its format, or by the last part of its source."""
    return given or NAMES.get(form) or PurePosixPath(source.rstrip("/")).name or "unnamed"


def targets(dataset: DatasetRecord) -> str:
    """What the chips show: ships where the format knows no others, else the neutral word."""
    return "ships" if dataset.format in NAMES else "targets"


def split_rule(dataset: DatasetRecord) -> str:
    """How the parts were drawn; the splits of all formats speak of ships, but not all targets are."""
    rule = dataset.split_rule
    return rule if targets(dataset) == "ships" else re.sub(r"\bship(s?)\b", r"target\1", rule)


def floor(dataset: DatasetRecord) -> str:
    """What of the test part is right for whoever always names the largest class of the training part."""
    train, test = dataset.parts["train"].per_class, dataset.parts["test"].per_class
    largest = max(range(len(train)), key=train.__getitem__)
    share = test[largest] / max(sum(test), 1)
    name = dataset.classes[largest]
    return f"always naming the largest class, {name}, is right for {100 * share:.1f} % of the test part"


def scaling(rule: Scaling) -> str:
    """How amplitudes became pixel values, as a formula."""
    low, high = f"{'+' if rule.low < 0 else '−'} {abs(rule.low):.4g}", f"{rule.high:.4g}".replace("-", "−")
    a = "a / m" if rule.per_chip else "a"
    if rule.logarithmic:
        a = f"log({a} + {rule.offset:.4g})"
    return f"255 · ({a} {low}) / ({high} {low})"


def looked(dataset: DatasetRecord) -> list[str]:
    """What was done to amplitudes before that formula, a sentence each; none where nothing was."""
    looks = dataset.multilook
    found = [f"{looks} × {looks} pixels were averaged in power (multilook) before the crop."] if looks > 1 else []
    if any(rule.per_chip for rule in dataset.scaling):
        found.append("m is the median of the pixels above 0 of a chip after its crop.")
    return found


def further(dataset: DatasetRecord) -> str:
    """What is to be said of chips from a second source, in a sentence or two; "" where there are none."""
    second = dataset.unlabelled_source
    if second is None:
        return ""
    looks = f", averaged over {second.multilook} × {second.multilook} pixels in power" if second.multilook > 1 else ""
    rules = dict.fromkeys(map(scaling, second.scaling))
    how = "scaled like the training chips" if second.scaling == dataset.scaling else f"scaled by {' and '.join(rules)}"
    return (
        f"{second.chips:,} of the chips without a label are from {second.source} "
        f"({FORMATS.get(second.format, second.format)}){looks}, {how}."
    )


def counts(dataset: DatasetRecord) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the chips per class and part, with a total."""
    parts = dataset.parts
    header = ["Class", *(PARTS.get(part, part) for part in parts), "All"]
    rows = []
    for index, name in enumerate(dataset.classes):
        # Chips without a label are of no class.
        numbers = [part.per_class[index] if any(part.per_class) else None for part in parts.values()]
        rows.append([name, *("–" if n is None else f"{n:,}" for n in numbers), f"{sum(n or 0 for n in numbers):,}"])
    total = [part.chips for part in parts.values()]
    rows.append(["All", *(f"{n:,}" for n in total), f"{sum(total):,}"])
    return header, rows
