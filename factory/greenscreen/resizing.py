"""Pictures and fields at other sizes. Sizes are (width, height), as OpenCV has them."""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def size_within(shape: tuple[int, ...], longest: int) -> tuple[int, int]:
    """The size of a picture of this shape (H, W, …), shrunk if need be so that no side is longer than `longest`."""
    height, width = shape[:2]
    scale = min(1.0, longest / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def resized(picture: Floats, size: tuple[int, ...]) -> Floats:
    """A picture or field (H, W, …) at another size: averaged when smaller, interpolated when larger."""
    way = cv2.INTER_AREA if picture.shape[1] > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=way), np.float32)


def enlarged(field: Floats, picture: Floats) -> Floats:
    """A field (h, w, …) interpolated to the size of a picture (H, W, …)."""
    height, width = picture.shape[:2]
    return np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
