"""Simulated SAR ship chips: scatterers of a ship in correlated K-distributed sea clutter, seen by a radar.

Every chip depends on the seed and its own number only, however many chips there are and in whatever order they are
read. Shapes: B chips, K scatterers, N pixels on a side, Q = real and imaginary parts of all looks.
"""

import itertools
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft, special, stats

from sarslim.chips import shipyard
from sarslim.chips.index import Chip, Index, Pixels
from sarslim.config import SimulatorConfig

PIXEL_M = 4.0
# Of an amplitude of 1, about that of the sea: an 8-bit image of a chip then clips fewer than one pixel in a thousand.
GREY = 16
# The knobs of difficulty, with VARIETY of the shipyard: how far ships stand out of the sea, and how unsteady their
# scatterers are. So set, a ResNet-18 gets 96 % of the test chips right after 12 epochs on 1536 training chips.
SHIP_TO_CLUTTER_DB = (16.0, 21.0)
SCINTILLATION = 0.2
GAIN_DB = 2.0
OFF_CENTRE_PX = 3.0

# Shape of the K distribution (small: spiky sea) and swell wavelength in metres per sea state, calm to rough.
SEA_STATES = ((20.0, 40.0), (10.0, 60.0), (6.0, 90.0), (4.0, 120.0), (2.5, 150.0))
TEXTURE_STEPS, TEXTURE_SIGMAS = 512, 4.5
# Positions are rounded to this share of a pixel, so that responses come from a table.
STEPS_PER_PIXEL = 64
BATCH = 64
# Draws of ships and of chips come from different streams.
SHIP_STREAM, CHIP_STREAM = 0, 1

Array = npt.NDArray[np.float32]


class Simulator:
    """Makes chips of ``size`` pixels on a side."""

    format = "simulator"

    def __init__(self, config: SimulatorConfig, *, size: int, seed: int) -> None:
        self._config, self._size, self._seed = config, size, seed
        self._number: dict[str, int] = {}
        # Chips of one ship follow each other.
        self._ship = lru_cache(maxsize=BATCH)(self._build)

    def index(self) -> Index:
        """Lists the chips: ship after ship, the classes in turn."""
        chips = []
        for number in range(self._config.chips):
            ship = number // self._config.chips_per_ship
            name = f"sim-{number:06d}"
            self._number[name] = number
            label = shipyard.FAMILIES[ship % self._config.classes].name
            chips.append(Chip(name, label, "simulated", self._size, self._size, ship=f"ship-{ship:06d}"))
        return Index(chips)

    def load(self, chips: Iterable[Chip]) -> Iterator[Pixels]:
        """Amplitudes of each chip, in order: (1, N, N) float32."""
        remaining = iter(chips)
        while batch := list(itertools.islice(remaining, BATCH)):
            yield from self._amplitudes([self._number[chip.id] for chip in batch])[:, None]

    def _amplitudes(self, numbers: list[int]) -> Array:
        """Amplitudes (B, N, N) of the chips with these numbers: the looks averaged in power."""
        size, looks, batch = self._size, self._config.looks, len(numbers)
        rngs = [np.random.Generator(np.random.SFC64((self._seed, CHIP_STREAM, number))) for number in numbers]
        sea_BNN = _sea(rngs, size)
        ships = [self._scatterers(number, rng) for number, rng in zip(numbers, rngs, strict=True)]
        x_BK, y_BK, strength_BK = (np.stack(values) for values in zip(*ships, strict=True))
        phase_BLK = np.stack([rng.random((looks, x_BK.shape[1]), np.float32) for rng in rngs]) * np.float32(2 * np.pi)
        phasor_BQK = strength_BK[:, None] * np.concatenate([np.cos(phase_BLK), np.sin(phase_BLK)], axis=1)
        echo_BKQN = np.swapaxes(phasor_BQK, 1, 2)[..., None] * _response(x_BK, size)[:, :, None]
        ship_BNQN = np.swapaxes(_response(y_BK, size), 1, 2) @ echo_BKQN.reshape(batch, -1, 2 * looks * size)

        speckle_BNQN = np.stack([rng.standard_normal((size, 2 * looks, size), np.float32) for rng in rngs])
        speckle_BNQN *= np.sqrt(np.float32(0.5)) * sea_BNN[:, :, None]
        blur_NN = _blur(size)
        clutter_BNQN = blur_NN @ (speckle_BNQN @ blur_NN.T).reshape(batch, size, -1)
        power_BNN = np.square(ship_BNQN + clutter_BNQN).reshape(batch, size, -1, size).sum(axis=2) / looks
        gain_B = 10 ** (np.array([rng.normal(0, GAIN_DB) for rng in rngs]) / 20)
        return np.sqrt(power_BNN) * (GREY * gain_B)[:, None, None].astype(np.float32)

    def _build(self, identity: int) -> shipyard.Ship:
        family = shipyard.FAMILIES[identity % self._config.classes]
        return shipyard.build(family, np.random.default_rng((self._seed, SHIP_STREAM, identity)))

    def _scatterers(self, number: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Positions x (range) and y (azimuth) in pixels and amplitudes (K,) of the ship of one chip."""
        ship = self._ship(number // self._config.chips_per_ship)
        heading = rng.uniform(0, 2 * np.pi)
        sine, cosine = np.sin(heading), np.cos(heading)
        centre = (self._size - 1) / 2 + rng.uniform(-OFF_CENTRE_PX, OFF_CENTRE_PX, 2)
        # The radar looks along +x: what stands high is displaced towards it (layover).
        x = (cosine * ship.along_m - sine * ship.across_m - ship.height_m) / PIXEL_M + centre[0]
        y = (sine * ship.along_m + cosine * ship.across_m) / PIXEL_M + centre[1]
        # A wall that faces the radar makes a corner with the sea and shines; the far side lies in the shadow.
        facing = 1 + sine * ship.side
        flicker = np.exp(rng.normal(0, SCINTILLATION, len(x)))
        level = 10 ** (rng.uniform(*SHIP_TO_CLUTTER_DB) / 20)
        return x, y, (level * ship.amplitude * facing * flicker).astype(np.float32)


def _response(position_BK: npt.NDArray, size: int) -> Array:
    """Response (B, K, N) of the radar to points at these pixels of one axis; points outside are moved to the rim."""
    step_BK = np.rint(np.clip(position_BK, 0, size - 1) * STEPS_PER_PIXEL).astype(np.intp)
    whole_BK, part_BK = np.divmod(step_BK, STEPS_PER_PIXEL)
    return _responses(size)[part_BK, size - whole_BK]


@cache
def _responses(size: int) -> Array:
    """Windows (STEPS_PER_PIXEL, N + 2, N) of the response to points at every step of a pixel."""
    pixel = np.arange(-size, size + 1) - np.arange(STEPS_PER_PIXEL)[:, None] / STEPS_PER_PIXEL
    return np.lib.stride_tricks.sliding_window_view(_impulse(pixel), size, axis=1)


def _impulse(pixels: npt.NDArray) -> Array:
    """Impulse response, 1.6 pixels wide at half power, from a spectrum weighted by a Hamming window on a pedestal."""
    t = pixels / 1.3
    return (0.75 * np.sinc(t) + 0.125 * (np.sinc(t - 1) + np.sinc(t + 1))).astype(np.float32)


@cache
def _blur(size: int) -> Array:
    """The impulse response as a matrix (N, N) that keeps the power of white noise."""
    matrix = _impulse(np.arange(size)[:, None] - np.arange(size))
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def _sea(rngs: list[np.random.Generator], size: int) -> Array:
    """Amplitude (B, N, N) of the sea without speckle: the root of correlated gamma texture of mean 1."""
    state_B = np.array([int(rng.integers(len(SEA_STATES))) for rng in rngs])
    direction_B11 = np.array([rng.uniform(0, np.pi) for rng in rngs], np.float32)[:, None, None]
    wave_B11 = (PIXEL_M / np.array(SEA_STATES, np.float32)[state_B, 1])[:, None, None]
    fy, fx = np.meshgrid(fft.fftfreq(size).astype(np.float32), fft.rfftfreq(size).astype(np.float32), indexing="ij")
    along = np.abs(fx * np.cos(direction_B11) + fy * np.sin(direction_B11))
    across = fy * np.cos(direction_B11) - fx * np.sin(direction_B11)
    swell = np.exp(((along - wave_B11) ** 2 + across**2) / (-2 * (0.6 * wave_B11) ** 2))
    noise = np.stack([rng.standard_normal((size, size), np.float32) for rng in rngs])
    waves = fft.irfft2(fft.rfft2(noise) * swell, s=(size, size))
    waves /= waves.std(axis=(1, 2), keepdims=True)
    step = (waves + np.float32(TEXTURE_SIGMAS)) * np.float32((TEXTURE_STEPS - 1) / (2 * TEXTURE_SIGMAS))
    return _texture()[state_B[:, None, None], np.clip(step, 0, TEXTURE_STEPS - 1).astype(np.intp)]


@cache
def _texture() -> Array:
    """Root of the gamma values (sea states, steps) of the same probability as steps of a standard normal value."""
    probability = special.ndtr(np.linspace(-TEXTURE_SIGMAS, TEXTURE_SIGMAS, TEXTURE_STEPS))
    return np.sqrt([stats.gamma.ppf(probability, shape, scale=1 / shape) for shape, _ in SEA_STATES], dtype=np.float32)
