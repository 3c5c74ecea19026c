"""A picture that is a control picture already: depth, normals, line art, segments, of whatever program."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.pictures.picture import decode_picture
from factory.sample import Picture


def as_is(data: bytes, side: int) -> Picture:
    """The picture itself, at the asked size; another shape is stretched, as diffusers' pipelines do it."""
    return np.asarray(resized(decode_picture(data), side), np.uint8)


def resized(picture: NDArray[Any], side: int) -> NDArray[Any]:
    """(H, W) or (H, W, C) to (side, side[, C]): means of areas where it shrinks, cubic where it grows."""
    height, width = picture.shape[:2]
    if (height, width) == (side, side):
        return picture
    smaller = height * width > side * side
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC))
