"""The compositing equation, in one declared space."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.colours import Colour
from factory.sample import Matte, Picture


def as_unit(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """8-bit levels as float32 in 0..1."""
    return np.asarray(np.divide(levels, 255, dtype=np.float32), np.float32)


def as_levels(unit: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """0..1 as 8-bit levels, rounded to the nearest; what lies outside is clipped."""
    return np.asarray(np.rint(np.clip(unit, 0, 1) * 255), np.uint8)


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
    """Composite 8-bit straight colour over one screen colour in gamma-encoded sRGB; rounds to the nearest level.

    In whole numbers: n = αF + (255 − α)B is at most 255², n ÷ 255 never lies half way between two levels, and
    (n + 128 + (n + 128)/256)/256, rounded down, is its nearest.
    """
    a = alpha.astype(np.uint16)
    picture = np.empty_like(foreground, order="C")
    for c, level in enumerate(screen):
        n = a * foreground[..., c] + (255 - a) * np.uint16(level) + np.uint16(128)
        picture[..., c] = (n + (n >> 8)) >> 8
    return picture
