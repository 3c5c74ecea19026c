"""How far GreenPost's α may be off: where its two readings of the colours, the mask, a network contradict each other.

Each of these is a share of the error to be expected; their factors are those that go best with the errors on scenes
whose α is known (GreenBench *develop*, screens *pure* and *generated*), behind masks such as a small head gives: there
and in *validate*, nine of ten errors in the unknown region lie within twice the deviation.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.morphology import square

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

NOISE = 0.03  # by which the readings differ on a clean screen
LEAST = 0.5 / 255  # what is smaller is nothing after rounding


class Factors(NamedTuple):
    """What each term counts."""

    readings: float  # by how much α by the screen's axis and by its dominance differ
    mask: float  # by how much the mask moved what the colours said, or what is missing where it is certain
    network: float  # by how much a network's α differs from theirs
    mixed: float  # of a pixel that shows both
    edge: float  # the rise of α across a pixel's neighbours


FACTORS = Factors(readings=1.8, mask=0.52, network=1.0, mixed=0.25, edge=0.04)


def terms(alpha: Floats, by_share: Floats, by_excess: Floats, inside: Mask, told: Floats | None) -> list[Floats]:
    """The terms in the order of `Factors`, (H, W) in 0..1 each.

    alpha: (H, W) the finished one.  by_share, by_excess: what the colours alone say, in two readings.
    inside: (H, W) where the mask is certain that nothing but object is.  told: what a network said in their place.
    """
    low, high = np.minimum(by_share, by_excess), np.maximum(by_share, by_excess)
    moved = np.maximum(np.maximum(low - alpha, alpha - high), inside * (1 - alpha))
    network = np.zeros_like(alpha) if told is None else np.abs(told - low)
    rise = cv2.dilate(alpha, square(1)) - cv2.erode(alpha, square(1))
    apart = np.where(high - low > NOISE, high - low, 0)
    fields = [apart, moved, network, 2 * np.minimum(alpha, 1 - alpha), rise]
    return [np.asarray(field, np.float32) for field in fields]


def expected_error(found: list[Floats], factors: Factors) -> Floats:
    """(H, W) the |error| that α is expected to have, in 0..1, of the terms' squares."""
    squares = sum((factor * term) ** 2 for factor, term in zip(factors, found, strict=True))
    error = np.sqrt(squares)
    return np.asarray(np.where(error < LEAST, 0, np.minimum(error, 1)), np.float32)
