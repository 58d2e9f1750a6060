"""The state of an unfinished training run: kept as bytes, taken up again only by the same run."""

import io
from typing import Any, Protocol

import torch
from torch import Tensor

import sarslim.training.parallel as parallel
from sarslim.progress import note


class Checkpoint(Protocol):
    """Where the state of one training run is kept between processes."""

    def load(self) -> bytes | None: ...
    def save(self, state: bytes) -> None: ...


def fingerprint(recipe: str, *weights: dict[str, Tensor]) -> str:
    """Tells whether a checkpoint belongs to this run: the same recipe, and weights of the same shapes."""
    shapes = [f"{name}{tuple(value.shape)}" for state in weights for name, value in state.items()]
    return " ".join([recipe, *shapes])


def dump_state(**state: Any) -> bytes:
    """The state of a run as bytes that need no pickle of foreign classes to be read."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def load_state(checkpoint: Checkpoint, run: str, device: torch.device) -> dict[str, Any] | None:
    """The state kept for this very run; None, with a line that says so, where another or a broken one is found."""
    content = parallel.from_first(checkpoint.load)
    if content is None:
        return None
    try:
        state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except Exception:  # it raises whatever it comes across
        note("the checkpoint cannot be read, training starts from the beginning")
        return None
    if not isinstance(state, dict) or state.get("run") != run:
        note("the checkpoint is of another run, training starts from the beginning")
        return None
    note(f"resumed after epoch {len(state['history'])}")
    return state
