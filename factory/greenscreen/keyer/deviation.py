"""How far α may be off: the error that is to be expected of it, pixel by pixel."""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.keyer.evidence import Evidence
from factory.greenscreen.keyer.separation import deviation
from factory.greenscreen.morphology import square
from factory.greenscreen.resizing import enlarged

Floats = NDArray[np.float32]

ROUNDED = 0.5 / 255  # a deviation that rounding to 8 bit exceeds is none
SLACK = 0.1  # by which α may be moved for good reasons: light, haze, solid insides …
STRAY = 4  # … and standard deviations of noise
SHIFTED = {False: 0.08, True: 0.2}  # of the rise of α across a pixel's neighbours that an edge's place is unsure by


def expected_error(seen: Evidence, alpha: Floats) -> Floats:
    """(H, W) the expected |error| of α in 0..1; 0 where colour, shape and α all say the same.

    alpha: (H, W) the keyer's, made of that evidence.
    """
    rise = cv2.dilate(alpha, square(1)) - cv2.erode(alpha, square(1))
    of_colours = alpha * (1 - alpha) * enlarged(deviation(seen.field[..., :3], seen.clouds), alpha)
    moved = np.maximum(np.abs(np.clip(seen.alpha, 0, 1) - alpha) - (SLACK + STRAY * seen.noise), 0)
    parts = [of_colours, SHIFTED[seen.half] * rise, moved / 2, np.where((alpha > 0) & (alpha < 1), seen.noise, 0)]
    if seen.shape is not None:
        apart = np.abs(enlarged(seen.shape.alpha, alpha) - alpha) * enlarged(seen.shape.seen, alpha)
        parts.append(np.clip(apart - rise - 2 * enlarged(seen.shape.deviation, alpha), 0, 1) / 2)
    error = np.sqrt(sum((part * part for part in parts), np.zeros_like(alpha)))
    return np.asarray(np.where(error < ROUNDED, 0, np.minimum(error, 1)), np.float32)
