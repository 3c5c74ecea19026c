"""Edges one pixel wide, as ControlNet's canny networks were taught with (Canny 1986)."""

import cv2
import numpy as np

from factory.diffusion.control.as_is import BEHIND, NOTHING
from factory.diffusion.given.pictures import centred, fitted
from factory.diffusion.sizes import Size
from factory.pictures.picture import decode_layers
from factory.sample import Picture

LOW, HIGH = 100, 200  # levels of the gradient (Sobel, |x| + |y|), the defaults of ControlNet's own annotator


def canny(data: bytes, size: Size) -> Picture:
    """White edges on black, found at the asked size; where a picture ends there is none."""
    edges = cv2.Canny(fitted(*decode_layers(data), BEHIND, size), LOW, HIGH)
    return centred(np.repeat(np.asarray(edges, np.uint8)[..., None], 3, axis=2), NOTHING, size)
