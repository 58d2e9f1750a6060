"""What must hold between the fields of a record, which may come from anybody: each raises what pydantic tells."""

from typing import Any

LARGEST_SIDE = 4096  # pixels of a stored chip; a record that asks for more was not written by sarslim


def one_for_each(channels: tuple[str, ...], **lists: tuple[Any, ...]) -> None:
    """Every list has one entry for each of the channels, which have different names.

    Raises:
        ValueError: names the list.
    """
    all_different(channels)
    for name, found in lists.items():
        if len(found) != len(channels):
            raise ValueError(f"its {name} has {len(found)} entries for {len(channels)} channels")


def all_different(names: tuple[str, ...]) -> None:
    """There are names, and none is there twice.

    Raises:
        ValueError: shows them.
    """
    if not names or len(set(names)) < len(names):
        raise ValueError(f"its names {', '.join(names)[:200] or 'of nothing'} are not one for each")


def positive(values: tuple[float, ...]) -> None:
    """Standard deviations can be divided by.

    Raises:
        ValueError: one is not above 0, or not finite.
    """
    if not all(0 < value < float("inf") for value in values):
        raise ValueError("its std is not above 0")
