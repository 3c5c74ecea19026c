"""Filling a picture's gaps from what lies around them: the push-pull pyramid (Gortler et al. 1996, Kraus 2009)."""

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
# What a level makes of its weighted values (H, W, C), its weights (H, W) and, if it asks, the next coarser level's.
Join: TypeAlias = Callable[[Floats, Floats, Callable[[], Floats]], Floats]

NEARNESS = 4.0  # a cell of which 1/NEARNESS is known, one pixel of 2 × 2, needs no help from coarser levels
DOUBT = 2e-3  # weight of the value 0 against the known ones: where almost nothing is known, the answer is 0
NOTHING = 1e-6  # weight that only keeps a gap from being divided by 0


def fill(values: Floats, weights: Floats) -> Floats:
    """Values everywhere, from those that carry weight: near ones first, far ones where nothing nearer is known.

    values: (H, W, C).  weights: (H, W) in 0..1.  Returns (H, W, C); where the weight is 1 the value is kept (up to
    `DOUBT`).
    """
    return _push_pull(values * weights[..., None], weights, _blended)


def around(values: Floats, weights: Floats) -> Floats:
    """What lies about each place, from the level of half the size on: for gaps alone, every known value counts fully.

    values: (H, W, 3), 0 where the weight is.  weights: (H, W), not all 0.  Returns (H, W, 3); only what stands in gaps
    is of use. A third of the time of `fill`, because no level is made that has no gap left to close.
    """
    return _enlarged(_push_pull(_halved(values), _halved(weights), _closed), weights)


def blurred(values: Floats, weights: Floats, sigma: float) -> tuple[Floats, Floats]:
    """Normalised convolution: the weighted mean of what lies about each place, and how much weight that is.

    values: (H, W, C).  weights: (H, W) in 0..1.  sigma: of the Gaussian, in pixels.  Returns (H, W, C) and (H, W).
    """
    mass = np.asarray(cv2.GaussianBlur(weights, (0, 0), sigma), np.float32)
    total = cv2.GaussianBlur(values * weights[..., None], (0, 0), sigma).reshape(values.shape)
    return np.asarray(total / np.maximum(mass, NOTHING)[..., None], np.float32), mass


def _push_pull(total: Floats, mass: Floats, join: Join) -> Floats:
    """One level of the pyramid and all above it. total: (H, W, C) weighted values.  mass: (H, W) their weights."""

    def coarser() -> Floats:
        return _enlarged(_push_pull(_halved(total), _halved(mass), join), mass)

    return join(total, mass, coarser)


def _blended(total: Floats, mass: Floats, coarser: Callable[[], Floats]) -> Floats:
    """The coarser level drawn to this one's mean, the more of a cell is known; up to the single cell of the top."""
    if max(mass.shape) == 1:
        return np.asarray(total / (mass + DOUBT)[..., None], np.float32)
    filled = coarser()
    share = np.minimum(1, NEARNESS * mass)
    filled += share[..., None] * (total / (mass + DOUBT)[..., None] - filled)
    return filled


def _closed(total: Floats, mass: Floats, coarser: Callable[[], Floats]) -> Floats:
    """The mean wherever anything is known of a cell, and the coarser level's in what gaps are left."""
    mean = np.asarray(cv2.divide(total, cv2.merge([np.maximum(mass, NOTHING)] * 3)), np.float32)
    gap = mass <= 0
    if gap.any():
        np.copyto(mean, coarser(), where=gap[..., None])
    return mean


def _halved(picture: Floats) -> Floats:
    """(H, W, …) averaged to half the size, rounded up."""
    height, width = picture.shape[:2]
    size = ((width + 1) // 2, (height + 1) // 2)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).reshape(size[1], size[0], *picture.shape[2:])


def _enlarged(picture: Floats, wanted: Floats) -> Floats:
    """(h, w, C) interpolated to another field's height and width."""
    height, width = wanted.shape
    large = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.float32).reshape(height, width, *picture.shape[2:])
