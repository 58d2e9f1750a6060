"""What a test part gives away to whoever does not look at the target: shortcuts that a network has to beat.

Shortcut: Geirhos et al., Nature Machine Intelligence 2:665-673, 2020. That the clutter around the vehicles of MSTAR
tells their class was found by Schumacher and Rosenbach, RTO-MP-SET-080, 2004.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sarslim.evaluation.statistics import balanced_accuracy, balanced_interval, macro_f1, pair
from sarslim.records import Shortcut

NEIGHBOURS = 15
FIT_CHIPS = 10_000  # training chips; more would hardly move neighbours in so few dimensions
BORDER = 8  # the frame of the background is an eighth of the side wide
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 256


Features = Callable[[NDArray[np.float32]], list[float]]


def audit(
    train_images: NDArray[np.generic],
    train_labels: NDArray[np.int64],
    images: NDArray[np.generic],
    labels: NDArray[np.int64],
) -> tuple[tuple[Shortcut, ...], NDArray[np.int64]]:
    """What each shortcut gets on the test part, and the answers (N,) of the most accurate one.

    The largest class is that of the training part. The others are the vote of the nearest training chips, by features
    that are standardised on the training part; nothing is tuned.

    Args:
        train_images, images: (N, C, H, W) stored values 0..255, possibly memory-mapped.
        train_labels, labels: (N,) class indices.
    """
    train_labels, labels = np.asarray(train_labels), np.asarray(labels)
    majority = np.full(len(labels), np.bincount(train_labels).argmax())
    rows = np.unique(np.linspace(0, len(train_labels) - 1, FIT_CHIPS).round().astype(int))
    answers = {"majority": majority}
    for name, features in SHORTCUTS.items():
        vote = fitted(train_images[rows], train_labels[rows], features)
        answers[name] = vote.predict(table(images, features))
    found = tuple(
        Shortcut(
            name=name,
            accuracy=float(np.mean(chosen == labels)),
            balanced_accuracy=balanced_accuracy(labels, chosen),
            macro_f1=macro_f1(labels, chosen),
            balanced_interval=balanced_interval(labels, chosen),
            chance=1 / len(np.unique(labels)),
            over_majority=None if name == "majority" else pair(labels, chosen, majority),
        )
        for name, chosen in answers.items()
    )
    return found, answers[max(found, key=lambda each: each.accuracy).name]


def fitted(images: NDArray[np.generic], labels: NDArray[np.int64], features: Features) -> Pipeline:
    """The vote of the nearest of the chips (N, C, H, W) by ``features``, which are standardised on them."""
    nearest = KNeighborsClassifier(min(NEIGHBOURS, len(images)))
    return make_pipeline(StandardScaler(), nearest).fit(table(images, features), labels)


def table(images: NDArray[np.generic], features: Features) -> NDArray[np.float64]:
    """Features of every chip, (N, features)."""
    return np.array([features(np.asarray(chip, np.float32)) for chip in images])


def background(chip: NDArray[np.float32]) -> list[float]:
    """Mean, standard deviation and quantiles of the frame of a chip (C, H, W), for every channel."""
    width = max(min(chip.shape[1:]) // BORDER, 1)
    frame = np.ones(chip.shape[1:], bool)
    frame[width:-width, width:-width] = False
    values = chip[:, frame]
    quantiles = np.quantile(values, QUANTILES, axis=1)
    return [*values.mean(axis=1), *values.std(axis=1), *quantiles.ravel()]


def brightness(chip: NDArray[np.float32]) -> list[float]:
    """Mean and standard deviation of a chip (C, H, W), for every channel."""
    return [*chip.mean(axis=(1, 2)), *chip.std(axis=(1, 2))]


def size_and_shape(chip: NDArray[np.float32]) -> list[float]:
    """Area, length, width and elongation of the largest bright blob of a chip (C, H, W), in pixels.

    Channels are averaged, and 3 x 3 pixels against speckle; bright is above Otsu's threshold. Length and width are the
    axes of the ellipse with the same second moments, as of ``regionprops`` in scikit-image; elongation is their ratio.
    """
    smooth = ndimage.uniform_filter(chip.mean(axis=0), 3)
    regions, count = ndimage.label(smooth > otsu(smooth), np.ones((3, 3)))
    if not count:
        return [0.0, 0.0, 0.0, 1.0]
    areas = np.bincount(regions.ravel())[1:]
    places = np.argwhere(regions == 1 + areas.argmax())
    # A pixel is a square, whose second moment is 1/12.
    moments = np.cov(places, rowvar=False, bias=True).reshape(2, 2) + np.eye(2) / 12
    width, length = 4 * np.sqrt(np.linalg.eigvalsh(moments))
    return [float(areas.max()), float(length), float(width), float(length / width)]


def otsu(values: NDArray[np.float32]) -> float:
    """The threshold that parts values 0..255 with the largest variance between both sides (Otsu 1979).

    Of equal values it is that value, above which there is nothing.
    """
    counts, edges = np.histogram(values, BINS, (0, BINS))
    levels = (edges[:-1] + edges[1:]) / 2
    below, mass = np.cumsum(counts)[:-1], np.cumsum(counts * levels)
    above, mass, total = len(values.ravel()) - below, mass[:-1], mass[-1]
    parted = below * above > 0
    if not parted.any():
        return float(values.max())
    below, above, mass = below[parted], above[parted], mass[parted]
    between = below * above * (mass / below - (total - mass) / above) ** 2
    return float(edges[1:-1][parted][between.argmax()])


SHORTCUTS: dict[Literal["background", "brightness", "size and shape"], Features] = {
    "background": background,
    "brightness": brightness,
    "size and shape": size_and_shape,
}
