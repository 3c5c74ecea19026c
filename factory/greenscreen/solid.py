"""What a keyer cannot see in a single pixel: which parts of an object are solid, and what belongs to no object.

An object's own green, its spill and noise lower its apparent opacity just as glass and smoke do. What tells them apart is
the edge: a solid thing falls to the screen within a few pixels, smoke and veils thin out. All at low resolution.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

SOLID = 0.8  # apparent opacity from which an interior is solid
PLATEAU = 0.4  # … and from which it is, if its edge is sharp
CLEAR = 0.12  # apparent opacity up to which a pixel is screen
WIDTH = 7  # pixels that a plateau is wide at the least: narrower ones are edges
VERBOSE = 0
FLAT = 0.028
ENCLOSED = 0.3
EDGE = 4  # pixels within which a sharp edge has fallen to the screen
SOFT = 0.4  # share of soft pixels among those outside a plateau's edge, up to which the edge is sharp


def solid_parts(opacity: Floats, SOLID) -> Mask:
    """Interiors that are opaque whatever their colours suggest. opacity: (h, w) apparent, 0..1."""
    sure = _opened(opacity >= SOLID, 5)
    plateau = _opened(opacity >= PLATEAU, WIDTH) & (opacity < SOLID)
    slope = np.hypot(cv2.Sobel(opacity, cv2.CV_32F, 1, 0, scale=1/8), cv2.Sobel(opacity, cv2.CV_32F, 0, 1, scale=1/8))
    number, label, stats, _ = cv2.connectedComponentsWithStats(_opened(plateau, WIDTH).astype(np.uint8), connectivity=4)
    for i in range(1, number):
        left, top, width, height, area = (int(v) for v in stats[i])
        if area < WIDTH * WIDTH:
            continue
        part = (slice(max(top - EDGE, 0), top + height + EDGE), slice(max(left - EDGE, 0), left + width + EDGE))
        inside = (label[part] == i).astype(np.uint8)
        ring = (cv2.dilate(inside, _square(2 * EDGE + 1)) > 0) & (cv2.dilate(inside, _square(2 * EDGE - 1)) == 0)
        level = opacity[part][ring]
        steep = np.percentile(slope[part][inside > 0], 75)
        if VERBOSE: print(i, stats[i], 'slope', steep.round(4), 'clear', np.count_nonzero(level < CLEAR), 'soft', np.count_nonzero((level >= CLEAR) & (level < PLATEAU)), 'level', np.median(opacity[part][inside>0]))
        if steep > FLAT:
            continue
        clear = np.count_nonzero(level < CLEAR)
        soft = np.count_nonzero((level >= CLEAR) & (level < PLATEAU))
        if soft <= max(SOFT * (soft + clear), ENCLOSED * level.size):
            level = opacity[part]
            sure[part] |= (inside > 0) & (level > (SOLID - 0.15) * np.median(level[inside > 0]))
    return np.asarray(cv2.morphologyEx(sure.astype(np.uint8), cv2.MORPH_CLOSE, _square(3)) > 0)


def _opened(mask: Mask, size: int) -> Mask:
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _square(size)) > 0)


def _square(size: int) -> NDArray[np.uint8]:
    return np.ones((size, size), np.uint8)
