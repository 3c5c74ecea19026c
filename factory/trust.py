"""The trust map of a matte: how far α may be off, pixel by pixel, as 8-bit levels that are stored beside it.

σ is the |error| that α is expected to have. A level is 255·(1 − √σ), rounded: white is trusted, and near it, where most
of a matte lies, levels are finest. 255 says that nothing is in doubt, 239 an error of 1/255, 128 of a quarter.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

TRUST = "trust"  # the layer of a sample, and the member of a set that stores it
SURE = 255

HALF = 0.08  # label error with which a sample counts half in training

_DEVIATION = np.square(1 - np.arange(256, dtype=np.float32) / 255)


def as_trust(deviation: Floats) -> NDArray[np.uint8]:
    """Levels of deviations in 0..1; what lies outside is clipped."""
    return np.asarray(np.rint(SURE * (1 - np.sqrt(np.clip(deviation, 0, 1)))), np.uint8)


def deviation_of(trust: NDArray[np.uint8]) -> Floats:
    """The deviations again, in 0..1."""
    return np.asarray(_DEVIATION[trust], np.float32)


def weight_of(label_error: NDArray[np.floating[Any]]) -> Floats:
    """How much samples with such label errors may count in training: h²/(h² + e²); 1 where it is not told (−1)."""
    known = np.maximum(label_error, 0)
    return np.asarray(HALF**2 / (HALF**2 + known**2), np.float32)
