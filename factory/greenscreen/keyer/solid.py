"""What a keyer cannot see in a single pixel: which parts of an object are solid.

An object's own green, its spill and noise lower its apparent opacity just as glass and smoke do. What tells them apart
is the edge: a solid thing is even inside and falls to the screen within a few pixels; smoke and veils thin out.
All at low resolution; lengths are given for a long side of 512 pixels.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.morphology import dilated, square

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

CLEAR = 0.12  # apparent opacity up to which a pixel is screen
HALF_WIDTH = 3.5  # pixels from a plateau's middle to its rim at the least: narrower ones are edges
HALF_WIDTH_CERTAIN = 2  # the same of what is opaque beyond doubt
EVEN_PART = 75  # percentile of a plateau's steepness that must be even: folds and outlines inside it are not
EDGE = 4  # pixels within which a sharp edge has fallen to the screen
DEPTH = 0.15  # how far below its middle a plateau may fall


class Plateau(NamedTuple):
    """From which opacity on an even part with a sharp edge is solid, and how even and how sharp that means."""

    opacity: float
    rules: tuple[tuple[float, float], ...]  # steepness inside (opacity per pixel), softness outside that goes with it
    enclosed: float  # softness of the whole edge up to which a part that solid ones enclose is solid too


PLATEAUS = (
    Plateau(0.4, ((0.028, 0.4), (0.045, 0.1)), 0.3),
    Plateau(0.25, ((0.015, 0.05),), 0.05),  # a painted thing of nearly the screen's colour
)


def solid_parts(opacity: Floats, certain: float, least_clear: float) -> Mask:
    """Interiors that are opaque, whatever their colours suggest.

    opacity: (h, w) apparent, 0..1.  certain: opacity from which every interior is solid.
    least_clear: share of a plateau's edge that must be clear screen (where levels are exact, an even 0.9 is just that).
    """
    zoom = max(opacity.shape) / 512
    half, reach = round(HALF_WIDTH * zoom), max(2, round(EDGE * zoom))
    slope = zoom * np.hypot(*(cv2.Sobel(opacity, cv2.CV_32F, 1 - i, i, scale=1 / 8) for i in (0, 1)))
    sure = _opened(opacity >= certain, HALF_WIDTH_CERTAIN)
    for plateau in PLATEAUS:
        between = _opened(_opened(opacity >= plateau.opacity, half) & (opacity < certain), half).astype(np.uint8)
        number, label, stats, _ = cv2.connectedComponentsWithStats(between, connectivity=4)
        for i in range(1, number):
            left, top, across, down = (int(v) for v in stats[i][:4])
            part = (slice(max(top - reach, 0), top + down + reach), slice(max(left - reach, 0), left + across + reach))
            inside, here = label[part] == i, opacity[part]
            outside = here[dilated(inside, square(reach)) & ~dilated(inside, square(reach - 1))]
            if _is_solid(plateau, float(np.percentile(slope[part][inside], EVEN_PART)), outside, least_clear):
                sure[part] |= inside & (here > (certain - DEPTH) * np.median(here[inside]))
    return np.asarray(cv2.morphologyEx(sure.astype(np.uint8), cv2.MORPH_CLOSE, square(1)) > 0)


def _is_solid(plateau: Plateau, steepness: float, outside: Floats, least_clear: float) -> bool:
    """Whether an even part is a solid thing of its own colour. outside: (N,) the opacity just beyond its edge."""
    clear = np.count_nonzero(outside < CLEAR)
    soft = np.count_nonzero((outside >= CLEAR) & (outside < plateau.opacity))
    if clear < least_clear * outside.size:
        return False
    if steepness <= plateau.rules[0][0] and soft <= plateau.enclosed * outside.size:
        return True
    return any(steepness <= steep and soft <= share * (soft + clear) for steep, share in plateau.rules)


def shrunk_by(mask: Mask, pixels: int) -> Floats:
    """The mask as 0 and 1, less so many pixels from its rim."""
    return np.asarray(cv2.erode(mask.astype(np.float32), square(pixels)), np.float32)


def _opened(mask: Mask, radius: int) -> Mask:
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, square(radius)) > 0)
