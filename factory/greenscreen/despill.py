"""A cap on the key colour at a foreground's edge, where unmixing has left spill."""

import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.colours import Colour
from factory.greenscreen.keying import dominance, key_channels

Floats = NDArray[np.float32]


def despill(foreground: Floats, band: NDArray[np.bool_], key: Colour | Floats, allowed: Floats) -> Floats:
    """Take the key colour out of the edge band, down to what the object itself has of it.

    A cap over the whole object would kill true greens.  allowed: (H, W) the object's own `dominance` there, 0..1.
    """
    spill = np.where(band, np.maximum(dominance(foreground, key) - allowed, 0), 0)
    cleaned = foreground.copy()
    for c in key_channels(key)[0]:
        cleaned[..., c] -= spill
    return np.maximum(cleaned, 0)
