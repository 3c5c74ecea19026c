"""Unmixing: the compositing equation I = αF + (1 − α)B solved for the foreground's straight colour F."""

import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.filling import fill

Floats = NDArray[np.float32]

SEEN = 0.02  # α up to which a pixel tells no colour: half a level of rounding in I would be 25 levels or more in F


def unmixed(picture: Floats, alpha: Floats, background: Floats, *, least: float = SEEN) -> Floats:
    """F = (I − (1 − α)B) / α, clipped to 0..1; too dark where α is below `least`.

    picture: (…, 3) in 0..1.  alpha: (…).  background: (…, 3) or (3,).
    """
    return straight(picture - (1 - alpha[..., None]) * background, alpha, least=least)


def straight(premultiplied: Floats, alpha: Floats, *, least: float = SEEN) -> Floats:
    """F of αF, clipped to 0..1; too dark where α is below `least`, so that noise is not blown up without limit.

    premultiplied: (…, 3).  alpha: (…).
    """
    return np.asarray(np.clip(premultiplied / np.maximum(alpha[..., None], least), 0, 1), np.float32)


def visible(alpha: Floats) -> Floats:
    """α as the weight that an unmixed colour has: 0 where it cannot be told."""
    return np.where(alpha > SEEN, alpha, np.float32(0))


def spread(foreground: Floats, alpha: Floats) -> Floats:
    """Straight colour defined everywhere: as it is where it can be told, elsewhere padded from the nearest such pixels.

    foreground: (H, W, 3) in 0..1.  alpha: (H, W).
    """
    weight = visible(alpha)
    return np.where(weight[..., None] > 0, foreground, fill(foreground, weight))
