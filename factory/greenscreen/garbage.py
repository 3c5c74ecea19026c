"""What stands in a frame and is no subject: tracking marks and dirt on the screen, the studio beyond its edge."""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

PRESENT = 0.1  # α from which something is there
SPECK = 3e-4  # of the frame: the largest mark or speck
APART = 0.02  # of the long side that separates a speck from an object


def wanted(alpha: Floats) -> Floats:
    """(h, w) 1 where α is to stay and 0 where it is garbage, at low resolution."""
    present = (alpha > PRESENT).astype(np.uint8)
    number, label, stats, _ = cv2.connectedComponentsWithStats(present, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = np.flatnonzero(areas > SPECK * alpha.size) + 1
    if len(large) == 0 or len(large) == number - 1:
        return np.ones_like(alpha)
    reach = 2 * max(1, round(APART * max(alpha.shape))) + 1
    objects = np.isin(label, large).astype(np.uint8)
    near = cv2.dilate(objects, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))) > 0
    touching = np.unique(label[near])
    specks = ~np.isin(label, touching) & (label > 0)
    return np.asarray(1 - cv2.dilate(specks.astype(np.uint8), np.ones((5, 5), np.uint8)), np.float32)
