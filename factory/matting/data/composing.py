"""Layers put together, planes first: (3, H, W) and (1, H, W) float32 in 0..1, gamma-encoded sRGB."""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def planes(levels: NDArray[np.uint8] | Floats) -> Floats:
    """(C, H, W) in 0..1 of 8-bit levels (H, W) or (H, W, 3)."""
    return np.asarray(cv2.dnn.blobFromImage(levels, 1 / 255)[0], np.float32)


def composite(foreground: Floats, alpha: Floats, background: Floats) -> Floats:
    """I = αF + (1 − α)B."""
    return alpha * foreground + (1 - alpha) * background


def over(front: tuple[Floats, Floats], back: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Two layers (straight foreground, alpha) as one: α = 1 − (1 − α₁)(1 − α₂), αF = α₁F₁ + (1 − α₁)α₂F₂.

    Porter–Duff *over*. Where nothing is, F is the front's. α is 1 exactly where one of both is, 0 where both are.
    """
    (front_colours, front_alpha), (back_colours, back_alpha) = front, back
    alpha = 1 - (1 - front_alpha) * (1 - back_alpha)
    behind = (1 - front_alpha) * back_alpha
    share = np.minimum(1, np.divide(behind, alpha, out=np.zeros_like(alpha), where=alpha > 0))
    return (1 - share) * front_colours + share * back_colours, alpha
