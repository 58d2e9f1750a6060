"""What a source holds, before any pixel is read: the contract between the readers and the rest."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sarslim.errors import InputError
from sarslim.records import Skipped

Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Chip:
    """One target seen once.

    ``label`` is None for an unlabelled chip. ``file`` is relative to the source. ``bands`` names the polarisation of
    each channel that the reader loads, "" where unknown. ``ship``, ``scene``, ``split`` (``train``, ``val``,
    ``test``: a split given by the source) and ``group`` (chips that belong together, as the user says) are "" where
    unknown. ``number`` is the running number of the chip, in its scene where that is known.
    """

    id: str
    label: str | None
    file: str
    height: int
    width: int
    bands: tuple[str, ...] = ("",)
    ship: str = ""
    scene: str = ""
    split: str = ""
    group: str = ""
    number: int | None = None

    @property
    def below(self) -> str:
        """The folder of the target in that of its class, "" where there is none."""
        return self.ship.split("/")[1] if self.label and self.ship.startswith(f"{self.label}/") else ""


@dataclass(frozen=True)
class Index:
    """Every chip of a source: readable, skipped with a reason, or a problem that stops preparation."""

    chips: Sequence[Chip]
    skipped: Sequence[Skipped] = ()
    problems: Sequence[InputError] = ()
    warnings: Sequence[str] = ()

    def check(self) -> None:
        """Raises all problems as one InputError, if there are any."""
        if len(self.problems) == 1:
            raise self.problems[0]
        if self.problems:
            first, *others = self.problems
            texts = [f"{error.where}: {error.problem}" for error in others[:4]]
            more = f" and {len(others) - 4} more" if len(others) > 4 else ""
            raise InputError(first.where, f"{first.problem}. Likewise {'; '.join(texts)}{more}", first.remedy)


class Reader(Protocol):
    """Reads one kind of product."""

    format: str

    def index(self) -> Index:
        """Lists the chips; reads no more than headers."""
        ...

    def load(self, chips: Iterable[Chip]) -> Iterator[Pixels]:
        """Amplitudes of each chip, in order: (bands, height, width) float32."""
        ...
