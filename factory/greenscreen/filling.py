"""Filling a picture's gaps from what lies around them: the push-pull pyramid (Gortler et al. 1996, Kraus 2009)."""

import cv2
import numpy as np
from numpy.typing import NDArray

NEARNESS = 4.0  # a pyramid cell of which 1/NEARNESS is known needs no help from coarser levels
DOUBT = 2e-3  # weight of the value 0 against the known ones: where almost nothing is known, the answer is 0


def fill(values: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values everywhere, from those that carry weight: near ones first, far ones where nothing nearer is known.

    values: (H, W, C).  weights: (H, W) in 0..1.  Returns (H, W, C); where the weight is 1 the value is kept (up to
    `DOUBT`).
    """
    levels = [(values * weights[..., None], weights)]
    while max(levels[-1][1].shape) > 1:
        height, width = levels[-1][1].shape
        size = ((width + 1) // 2, (height + 1) // 2)
        levels.append((_shrink(levels[-1][0], size), _shrink(levels[-1][1], size)))
    total, mass = levels.pop()
    filled = total / (mass + DOUBT)[..., None]
    for total, mass in reversed(levels):
        height, width = mass.shape
        filled = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR).reshape(total.shape)
        share = np.minimum(1, NEARNESS * mass)
        filled += share[..., None] * (total / (mass + DOUBT)[..., None] - filled)
    return filled


def _shrink(picture: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).reshape(size[1], size[0], *picture.shape[2:])
