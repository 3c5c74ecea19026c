"""Gates on the shape of a matte, for portraits and other single, opaque objects: its rim, its pieces, its upper edge.

They are off unless a recipe sets them. LD-Portrait-20K shows which generated portraits it deletes and gives no numbers;
these are the measures by which such can be told.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.quality.gate import Gate
from factory.sample import Matte, Sample

MAIN = 0.1  # of the largest body's pixels from which on another one is no crumb
TAIL = 5  # levels beside 0 and 255 that are no rim yet: a decoder's 0 and 1


def _fractional(alpha: Matte) -> NDArray[np.uint8]:
    return ((alpha > TAIL) & (alpha < 255 - TAIL)).astype(np.uint8)


def rim_share(sample: Sample) -> float:
    """Pixels of fractional α ÷ pixels of the object (Σ α). It grows as pictures shrink. Infinite without an object."""
    if sample.alpha is None:
        return -1.0
    covered = float(sample.alpha.sum(dtype=np.int64)) / 255
    return float(np.count_nonzero(_fractional(sample.alpha))) / covered if covered else float("inf")


def rim_depth(sample: Sample) -> float:
    """How deep fractional α reaches: the farthest of it from the nearest 0 or 1, as a share of the shorter side."""
    if sample.alpha is None:
        return -1.0
    fractional = _fractional(sample.alpha)
    if fractional.all():
        return 1.0
    return float(np.max(cv2.distanceTransform(fractional, cv2.DIST_L2, 5)) / min(fractional.shape))


def bodies(sample: Sample) -> float:
    """Connected pieces of α ≥ 0.5 with at least a tenth of the largest one's pixels."""
    if sample.alpha is None:
        return -1.0
    _, _, stats, _ = cv2.connectedComponentsWithStats((sample.alpha >= 128).astype(np.uint8), connectivity=8)
    pixels = stats[1:, cv2.CC_STAT_AREA]
    return float(np.count_nonzero(pixels >= MAIN * pixels.max(initial=0)))


def top(sample: Sample) -> float:
    """Mean α of the uppermost row: of a portrait, its head is cut off."""
    return -1.0 if sample.alpha is None else float(sample.alpha[0].mean()) / 255


RIM_SHARE = Gate(reason="rim_wide", says="the rim's area in units of the object's", measure=rim_share)
RIM_DEPTH = Gate(
    reason="rim_deep", says="the rim's depth as a share of the picture's shorter side", measure=rim_depth, most=1
)
BODIES = Gate(reason="bodies", says="the number of the object's large pieces", measure=bodies)
TOP = Gate(reason="head_cut", says="the share of the picture's upper edge that the object covers", measure=top, most=1)
