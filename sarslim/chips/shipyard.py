"""Ship classes of the simulator: where the scatterers of a ship of each class are.

Dimensions overlap on purpose: what tells the classes apart is where the bridge stands and how the deck is laid out.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# How much ships of one class differ: 0 makes sister ships.
VARIETY = 1.0
HULL, BRIDGE, DECK = 40, 8, 48


@dataclass(frozen=True)
class Family:
    """A ship class: ranges to draw a ship from.

    ``bridge`` is the place of the superstructure as a share of the length from the stern; the deck carries ``rows``
    rows of ``abreast`` scatterers of amplitude ``strength`` over the ``span`` of the length.
    """

    name: str
    length_m: tuple[float, float]
    slenderness: tuple[float, float]
    bridge: float
    rows: tuple[int, int]
    abreast: int
    span: tuple[float, float]
    strength: float


FAMILIES = (
    Family("cargo", (90, 170), (5.8, 7.2), 0.12, (2, 4), 1, (0.32, 0.88), 2.2),
    Family("tanker", (100, 200), (5.4, 6.8), 0.12, (10, 14), 1, (0.25, 0.90), 0.9),
    Family("container", (110, 210), (6.0, 7.6), 0.27, (7, 9), 3, (0.05, 0.95), 1.0),
    Family("bulk", (105, 205), (5.6, 7.0), 0.10, (5, 7), 2, (0.24, 0.90), 1.3),
    Family("passenger", (90, 185), (5.6, 7.2), 0.60, (12, 16), 2, (0.10, 0.90), 0.9),
    Family("roro", (95, 190), (5.4, 6.8), 0.86, (3, 4), 2, (0.04, 0.16), 1.6),
    Family("offshore", (80, 150), (4.4, 5.6), 0.80, (1, 2), 2, (0.20, 0.45), 1.8),
    Family("naval", (90, 165), (7.8, 9.4), 0.55, (2, 3), 1, (0.30, 0.72), 2.2),
)


@dataclass(frozen=True)
class Ship:
    """Scatterers (K,) of one ship: metres ahead of and to the left of its middle, height, amplitude.

    ``side`` is 1 on the left wall, -1 on the right one, 0 on deck. Unused places have amplitude 0.
    """

    along_m: npt.NDArray
    across_m: npt.NDArray
    height_m: npt.NDArray
    amplitude: npt.NDArray
    side: npt.NDArray


def build(family: Family, rng: np.random.Generator) -> Ship:
    """Draws one ship of a class."""
    length = rng.uniform(*family.length_m)
    beam = length / rng.uniform(*family.slenderness)
    wall = rng.choice((-1.0, 1.0), HULL)
    hull_u = rng.uniform(0.01, 0.99, HULL)
    # The bow tapers over the last fifth.
    hull_v = wall * 0.5 * np.minimum(1, (1 - hull_u) / 0.2) ** 0.5
    bridge_u = family.bridge + rng.normal(0, 0.02 * VARIETY) + rng.uniform(-0.03, 0.03, BRIDGE)
    bridge_v = rng.uniform(-0.4, 0.4, BRIDGE)
    deck_u, deck_v, deck_strength = _deck(family, rng)
    u = np.concatenate([hull_u, bridge_u, deck_u])
    v = np.concatenate([hull_v, bridge_v, deck_v])
    strength = np.concatenate([np.full(HULL, 0.45), np.full(BRIDGE, 1.5), deck_strength])
    spread = np.exp(rng.normal(0, 0.35 * VARIETY, len(u)))
    height = np.concatenate([np.zeros(HULL), np.full(BRIDGE, 12.0), np.full(DECK, 3.0)])
    side = np.concatenate([wall, np.zeros(BRIDGE + DECK)])
    return Ship((u - 0.5) * length, v * beam, height, strength * spread, side)


def _deck(family: Family, rng: np.random.Generator) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
    rows = int(rng.integers(family.rows[0], family.rows[1] + 1))
    shift = rng.normal(0, 0.02 * VARIETY)
    row_u = np.linspace(*family.span, rows) + shift + rng.normal(0, 0.008 * VARIETY, rows)
    abreast_v = np.linspace(-0.32, 0.32, family.abreast) if family.abreast > 1 else np.zeros(1)
    count = rows * family.abreast
    u, v, strength = np.zeros(DECK), np.zeros(DECK), np.zeros(DECK)
    u[:count] = np.repeat(row_u, family.abreast)
    v[:count] = np.tile(abreast_v, rows)
    strength[:count] = family.strength
    return u, v, strength
