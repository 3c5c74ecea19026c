"""The compositing equation, in one declared space."""

import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.colours import Colour
from factory.sample import Matte, Picture


def composite(
    foreground: NDArray[np.float32], alpha: NDArray[np.float32], background: NDArray[np.float32]
) -> NDArray[np.float32]:
    """I = αF + (1 − α)B, in the space the inputs are in (Porter–Duff *over*).

    foreground: (H, W, 3) in 0..1, straight colour.  alpha: (H, W) in 0..1.
    background: (H, W, 3) or one colour (3,), in 0..1.  Returns (H, W, 3) in 0..1.
    """
    a = alpha[..., None]
    return a * foreground + (1 - a) * background


def paint_on_screen(foreground: Picture, alpha: Matte, screen: Colour) -> Picture:
    """Composite 8-bit straight colour over one screen colour in gamma-encoded sRGB; rounds to the nearest level."""
    picture = composite(
        foreground.astype(np.float32) / 255,
        alpha.astype(np.float32) / 255,
        np.asarray(screen, np.float32) / 255,
    )
    return np.rint(picture * 255).astype(np.uint8)
