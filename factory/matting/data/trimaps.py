"""Trimaps from alphas: bands of Euclidean width about all that is neither object nor background."""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

UNKNOWN = 0.5


def banded_trimap(alpha: Floats, inside: float, outside: float) -> Floats:
    """(H, W), exactly 0, 0.5 or 1, and never 0 or 1 where α is not.

    alpha: (H, W) in 0..1.  inside: object pixels at most so far from one that is not all object are unknown.
    outside: the same of the background's. Distances are between pixel centres, so 1 reaches the next pixel.
    """
    solid, empty = alpha >= 1, alpha <= 0
    to_open, to_object = _distances(solid, empty)
    trimap = np.full(alpha.shape, UNKNOWN, np.float32)
    trimap[solid & (to_open > inside)] = 1
    trimap[empty & (to_object > outside)] = 0
    return trimap


def _distances(solid: NDArray[np.bool_], empty: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Of object pixels to the next that is not, and of background pixels to the next that is not.

    Where soft pixels lie between the two everywhere, both are distances to soft pixels, and one transform does.
    """
    beside_solid = cv2.dilate(solid.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
    if not np.any(beside_solid & empty):
        to_soft = _distance(solid | empty)
        return to_soft, to_soft
    return _distance(solid), _distance(empty)


def _distance(mask: NDArray[np.bool_]) -> Floats:
    """Of each pixel in the mask to the next outside of it; more than the picture's size where there is none."""
    if mask.all():
        return np.full(mask.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
