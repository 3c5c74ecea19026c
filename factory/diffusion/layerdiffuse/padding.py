"""Colours beneath what is transparent, as LayerDiffuse pads pictures: the object's own, ever smoother with distance."""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SHRINK = 1.2  # from one level of the pyramid to the next
NOTHING = 1e-8  # α of a picture that is transparent all over


def padded(rgba: NDArray[np.uint8]) -> Floats:
    """(H, W, 3) in 0..1: an opaque pixel keeps its colour, beneath others is what lies about them (Zhang 2024, §3.2).

    A pyramid of premultiplied colours is pulled up to one pixel's breadth and pushed down again; it stands for many
    Gaussian filters. rgba: (H, W, 4).
    """
    unit = np.asarray(rgba, np.float32) / np.float32(255)
    alpha = np.asarray(unit[..., 3:], np.float32)
    levels: list[tuple[Floats, Floats]] = [(np.asarray(unit[..., :3] * alpha, np.float32), alpha)]
    while min(levels[-1][0].shape[:2]) > 1:
        height, width = levels[-1][0].shape[:2]
        size = (int(width / SHRINK), int(height / SHRINK))
        smaller = [
            np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_AREA), np.float32) for field in levels[-1]
        ]
        levels.append((smaller[0], smaller[1].reshape(size[1], size[0], 1)))
    colour, opacity = levels[-1]
    filled = (colour.sum(axis=(0, 1)) / max(float(opacity.sum()), NOTHING))[None, None]
    for colour, opacity in reversed(levels):
        below = cv2.resize(filled, colour.shape[1::-1], interpolation=cv2.INTER_LINEAR).reshape(colour.shape)
        filled = colour + below * (1 - opacity)
    return np.asarray(filled, np.float32)
