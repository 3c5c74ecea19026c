"""Taking the screen out of the foreground's colours: exact unmixing, and a cap on what spill is left at the edge."""

import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.colours import Colour
from factory.greenscreen.filling import fill
from factory.greenscreen.keying import dominance, key_channels

Floats = NDArray[np.float32]

UNMIXABLE = 0.02  # α from which on the foreground's colour can be read from the pixel


def unmix(picture: Floats, alpha: Floats, plate: Floats) -> Floats:
    """F = (I − (1 − α)B) / α where α > 0.02, clipped to 0..1; elsewhere F is padded from the nearest such pixels.

    picture, plate: (H, W, 3) in 0..1.  alpha: (H, W).  Returns (H, W, 3) straight colour, defined everywhere.
    """
    a = alpha[..., None]
    seen = a > UNMIXABLE
    exact = np.asarray(np.clip((picture - (1 - a) * plate) / np.where(seen, a, 1), 0, 1), np.float32)
    return np.where(seen, exact, fill(exact, np.asarray(alpha * seen[..., 0], np.float32)))


def despill(foreground: Floats, band: NDArray[np.bool_], key: Colour | Floats, allowed: Floats) -> Floats:
    """Take the key colour out of the edge band, down to what the object itself has of it.

    A cap over the whole object would kill true greens.  allowed: (H, W) the object's own `dominance` there, 0..1.
    """
    spill = np.where(band, np.maximum(dominance(foreground, key) - allowed, 0), 0)
    cleaned = foreground.copy()
    for c in key_channels(key)[0]:
        cleaned[..., c] -= spill
    return np.maximum(cleaned, 0)
