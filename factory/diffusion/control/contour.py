"""The outline of a matte: where an object of one of our own sets stands, for canny and scribble networks."""

import cv2
import numpy as np

from factory.diffusion.control.as_is import NOTHING
from factory.diffusion.given.pictures import centred, fitted
from factory.diffusion.sizes import Size
from factory.errors import DataError
from factory.pictures.picture import decode_layers
from factory.sample import Picture

PARTS = 256  # of the shorter side is a line thick
HALF = 128  # level from which a pixel belongs to the object


def contour(data: bytes, size: Size) -> Picture:
    """White lines on black, 1/256 of the shorter side thick, around the object and its holes.

    data: a picture with alpha, or a grey one that is a matte, as `KEY.alpha.png` of a set.
    Raises DataError for a picture in colours without alpha, and for a matte without a rim.
    """
    colours, alpha = decode_layers(data)
    if alpha is None:
        if colours.min(2).tobytes() != colours.max(2).tobytes():
            raise DataError("no_alpha", "the picture has colours and no alpha: give a matte, or a picture with alpha")
        alpha = np.ascontiguousarray(colours[..., 0])
    inside = (fitted(cv2.merge([alpha] * 3), None, NOTHING, size)[..., 0] >= HALF).astype(np.uint8)
    if inside.all() or not inside.any():
        raise DataError("empty", "its matte has no rim: there is no object, or nothing beside it")
    outlines, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    lines = np.zeros((*inside.shape, 3), np.uint8)
    cv2.drawContours(lines, outlines, -1, (255, 255, 255), max(1, round(min(size) / PARTS)))
    return centred(lines, NOTHING, size)
