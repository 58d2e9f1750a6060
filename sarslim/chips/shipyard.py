"""Ship classes of the simulator: where the scatterers of a ship of each class are.

Dimensions overlap on purpose: what tells the classes apart is where the bridge stands and how the deck is laid out.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# How much ships of one class differ: 0 makes sister ships.
VARIETY = 0.4
HULL, BRIDGE, DECK = 40, 8, 48


@dataclass(frozen=True)
class Family:
    """A ship class: ranges to draw a ship from.

    ``hull`` is the amplitude of the walls, ``bridge`` the place of the superstructure as a share of the length from
    the stern; the deck carries ``rows`` rows of ``abreast`` scatterers of amplitude ``strength`` over ``span``.
    """

    name: str
    length_m: tuple[float, float]
    slenderness: tuple[float, float]
    hull: float
    bridge: float
    rows: tuple[int, int]
    abreast: int
    span: tuple[float, float]
    strength: float


FAMILIES = (
    Family("cargo", (85, 155), (5.8, 7.0), 0.5, 0.12, (2, 3), 1, (0.36, 0.86), 2.6),
    Family("tanker", (120, 215), (5.4, 6.4), 0.4, 0.12, (9, 12), 1, (0.28, 0.88), 1.0),
    Family("container", (130, 225), (6.2, 7.4), 0.6, 0.27, (7, 9), 3, (0.05, 0.95), 1.3),
    Family("bulk", (115, 205), (5.6, 6.6), 0.5, 0.10, (5, 6), 2, (0.26, 0.88), 1.5),
    Family("passenger", (95, 185), (5.8, 7.0), 0.9, 0.58, (13, 16), 2, (0.10, 0.90), 1.2),
    Family("roro", (105, 195), (5.0, 6.0), 1.1, 0.86, (2, 3), 2, (0.03, 0.12), 1.6),
    Family("offshore", (65, 110), (4.2, 5.2), 0.6, 0.80, (1, 2), 2, (0.15, 0.35), 1.8),
    Family("naval", (90, 165), (8.2, 9.6), 0.7, 0.52, (2, 3), 1, (0.30, 0.72), 2.4),
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
    strength = np.concatenate([np.full(HULL, family.hull), np.full(BRIDGE, 1.6), deck_strength])
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
