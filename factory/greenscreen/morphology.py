"""Growing and shrinking masks. Lengths are pixels; what lies beyond the picture changes nothing."""

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Kernel = NDArray[np.uint8]


def square(radius: int) -> Kernel:
    """All places at most so many rows and columns away."""
    return np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)


def disc(radius: int) -> Kernel:
    """About all places at most so far away."""
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)


def eroded(mask: Mask, kernel: Kernel) -> Mask:
    """Where everything about a place is of the mask."""
    return np.asarray(cv2.erode(mask.astype(np.uint8), kernel) > 0)


def dilated(mask: Mask, kernel: Kernel) -> Mask:
    """Where anything about a place is of the mask."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)
