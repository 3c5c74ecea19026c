"""Two flaws of a matte that its shape alone shows: see-through spots deep inside an object, and pieces apart from it.

A generator's mattes have both: pinholes in a basketball, the handle of a net that hangs in the air. Lace, foliage and a
pair of shoes have them too and are right, so they are counted and shown for every sample, and judged where a recipe
asks.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.morphology import disc, eroded, square
from factory.greenscreen.plates import scaled
from factory.sample import Matte

SOLID = 0.9  # α from which nothing is seen through
THERE = 0.1  # α from which something is there
DEEP = 6.0  # pixels at 512 from the outline beyond which no edge of the object's own is looked for
SPOT = 0.01  # of the object: a larger hole is one that it has, a cup's handle or a doughnut's
GAP = 4.0  # pixels at 512 that may part what belongs together


def pinholes(alpha: Matte) -> int:
    """How many see-through spots an object has deep inside its outline. (H, W)

    A spot is a hole in what is solid that reaches neither the outline nor a hole of the object's own.
    """
    return int(cv2.connectedComponents(_spots(alpha).view(np.uint8), connectivity=8)[0]) - 1


def _spots(alpha: Matte) -> NDArray[np.bool_]:
    clear = (alpha < SOLID * 255).view(np.uint8)
    number, label, stats, _ = cv2.connectedComponentsWithStats(clear, connectivity=4)
    own = max(1.0, SPOT * (clear.size - np.count_nonzero(clear)))
    large = stats[:, cv2.CC_STAT_AREA] > own
    outside = np.unique(np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]]))
    large[outside] = True  # whatever reaches the picture's border is no hole in anything
    large[0] = False  # what is solid
    silhouette = ~large[label] if number > 1 else np.ones(alpha.shape, np.bool_)
    deep = eroded(silhouette, square(scaled(DEEP, alpha.shape)))
    inside = np.bincount(label[deep], minlength=number) == np.bincount(label.ravel(), minlength=number)
    inside[0] = False
    return np.asarray((inside & ~large)[label], np.bool_)


def detached(alpha: Matte) -> float:
    """The share of an object (Σ α) that is no part of its largest piece, gaps of a few pixels forgiven. (H, W)

    0 for an object in one piece, and where there is none.
    """
    there = (alpha > THERE * 255).view(np.uint8)
    bridged = cv2.dilate(there, disc(max(1, scaled(GAP, alpha.shape) // 2)))
    number, label = cv2.connectedComponents(bridged, connectivity=8)
    mass = np.bincount(label.ravel(), np.where(there, alpha, 0).ravel(), number)[1:]
    whole = float(mass.sum())
    return 1 - float(mass.max()) / whole if whole else 0.0
