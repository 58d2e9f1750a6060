"""What pages say of a data set."""

from sarslim.records import DatasetRecord, Scaling

FORMATS = {
    "simulator": "the built-in simulator",
    "folder": "one folder per class",
    "opensarship": "OpenSARShip products",
    "fusar": "FUSAR-Ship",
}
SIMULATED = (
    "These chips are simulated: a program made them, no radar measured them. What is found on them shows that the "
    "method works, not how well it recognises real targets."
)
PARTS = {"train": "Training", "val": "Validation", "test": "Test", "unlabelled": "Unlabelled"}


def origin(dataset: DatasetRecord) -> str:
    """Simulated or real, in plain words."""
    if dataset.simulated:
        return SIMULATED
    kind = FORMATS.get(dataset.format, dataset.format)
    return f"These chips are not simulated: they were read from {dataset.source} ({kind})."


def scaling(rule: Scaling) -> str:
    """How amplitudes became pixel values, as a formula."""
    low, high = f"{rule.low:.4g}", f"{rule.high:.4g}"
    if rule.kind == "log":
        return f"255 · (log(a + {rule.offset:.4g}) − {low}) / ({high} − {low})"
    return f"255 · (a − {low}) / ({high} − {low})"


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
