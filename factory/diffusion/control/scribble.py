"""Thick soft lines, as scribble and soft-edge networks read them: HED's look (Xie and Tu 2015), without its network."""

import cv2
import numpy as np

from factory.diffusion.control.as_is import BEHIND, NOTHING
from factory.diffusion.given.pictures import centred, fitted
from factory.diffusion.sizes import Size
from factory.pictures.picture import decode_layers
from factory.sample import Picture

LOW, HIGH = 50, 150  # as canny's, lower: the blur before has taken the texture
DETAIL, THICK = 128, 128  # parts of the shorter side: what is finer than the first is no line, and how thick one is


def scribble(data: bytes, size: Size) -> Picture:
    """White lines on black, 1/128 of the shorter side thick, with soft rims."""
    side = min(size)
    thick = max(1, round(side / THICK))
    seen = fitted(*decode_layers(data), BEHIND, size)
    smooth = cv2.GaussianBlur(seen, (0, 0), max(0.5, side / DETAIL))
    lines = cv2.dilate(
        cv2.Canny(smooth, LOW, HIGH), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * thick - 1, 2 * thick - 1))
    )
    soft = cv2.GaussianBlur(lines, (0, 0), max(0.5, thick / 2))
    return centred(np.repeat(np.asarray(soft, np.uint8)[..., None], 3, axis=2), NOTHING, size)
