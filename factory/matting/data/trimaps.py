"""Trimaps from alphas: bands of Euclidean width about all that is neither object nor background."""

from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

UNKNOWN = 0.5
NEIGHBOURS = np.ones((3, 3), np.uint8)


def banded_trimap(alpha: Floats, inside: float, outside: float) -> Floats:
    """(H, W), exactly 0, 0.5 or 1, and never 0 or 1 where α is not.

    alpha: (H, W) in 0..1.  inside: object pixels at most so far from one that is not all object are unknown.
    outside: the same of the background's. Distances are between pixel centres, so 1 reaches the next pixel.
    """
    solid, empty = alpha >= 1, alpha <= 0
    hard = empty & cv2.dilate(solid.view(np.uint8), NEIGHBOURS).view(np.bool_)  # edges with nothing soft in between
    trimap = solid.astype(np.float32)
    near = _around(hard | ~(solid | empty), ceil(max(inside, outside)) + 1)  # far from all edges nothing is unknown
    solid, empty = solid[near], empty[near]
    if hard.any():
        to_open, to_object = _distance(solid), _distance(empty)
    else:  # the next other pixel is a soft one, so one transform does for both
        to_open = to_object = _distance(solid | empty)
    known = solid & (to_open > inside) | empty & (to_object > outside)
    trimap[near][~known] = UNKNOWN
    return trimap


def _around(mask: Mask, reach: int) -> tuple[slice, slice]:
    """The smallest rectangle with all that is in the mask, and so many pixels more on each side."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    return slice(max(0, top - reach), top + height + reach), slice(max(0, left - reach), left + width + reach)


def _distance(mask: Mask) -> Floats:
    """Of each pixel in the mask to the next outside of it."""
    if mask.all():
        return np.full(mask.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
