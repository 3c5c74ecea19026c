"""Keying: how much of the screen shines through a pixel, for a screen of any colour.

A colour is seen along the screen's own chroma (its colour less its grey): on that axis the screen is 1 and every grey
is 0, and mixing stays linear: e(αF + (1 − α)B) = α·e(F) + (1 − α). So α follows exactly once e(F), the foreground's
own amount of screen colour, is known, and that varies far less over an object than its light and shade do.
For a green screen e is the classic colour difference G − (R + B)/2.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError
from factory.greenscreen.colours import Colour

Floats = NDArray[np.float32]

MIN_CHROMA = 0.12  # length of a screen's chroma (0..1 per channel) under which noise would be 8 times as large in α
LEAST_CONTRAST = 0.25  # 1 − e(F) at the least: nearer to the screen's colour, noise is blown up 4 times and no more
LEAST_ROOM = 0.02  # a plate's distance from black or white at the least: 5 levels beyond it noise is no proof of α


def screen_axis(screen: Floats) -> Floats:
    """(3,) the linear functional e: 1 on the screen's colour, 0 on every grey.

    screen: (3,) the screen's mean colour in 0..1.  Raises DataError("no_screen") on a screen without colour.
    """
    chroma = screen - screen.mean()
    length = float(np.sqrt(chroma @ chroma))
    if length < MIN_CHROMA:
        r, g, b = (round(float(c) * 255) for c in screen)
        raise DataError("no_screen", f"the background is ({r}, {g}, {b}), too grey to be a screen")
    return np.asarray(chroma / (chroma @ screen), np.float32)


def key_channels(key: Colour | Floats) -> tuple[list[int], list[int]]:
    """The channels in which a key colour is strong, and the others: green → [1], [0, 2]; magenta → [0, 2], [1]."""
    colour = np.asarray(key, np.float64)
    strong = [c for c in range(3) if colour[c] > colour.mean()]
    return strong, [c for c in range(3) if c not in strong]


def dominance(picture: Floats, key: Colour | Floats) -> Floats:
    """By how much the key's channels stand above all others, in the picture's units; ≤ 0 where they do not.

    Green: G − max(R, B); magenta: min(R, B) − G. Unlike the screen axis it is 0 for yellow and cyan, which are mixed
    with green but are not it.  picture: (..., 3).  Returns (...).
    """
    strong, weak = key_channels(key)
    low, high = picture[..., strong[0]], picture[..., weak[0]]
    for c in strong[1:]:
        low = np.minimum(low, picture[..., c])
    for c in weak[1:]:
        high = np.maximum(high, picture[..., c])
    return np.asarray(low - high, np.float32)


def screen_share(picture: Floats, plate: Floats, axis: Floats) -> Floats:
    """The functional e of each pixel over that of the plate there. The clean screen has 1, greys 0, its complement < 0.

    picture, plate: (H, W, 3) in 0..1.  axis: (3,) from `screen_axis`.  Returns (H, W).
    """
    return np.asarray(cv2.transform(picture, axis[None]) / cv2.transform(plate, axis[None]), np.float32)


def colour_difference(share: Floats, foreground_share: Floats | float = 0.0) -> Floats:
    """α = (1 − e(I)) / (1 − e(F)), clipped to 0..1.

    share: e(I).  foreground_share: e(F), 0 for foregrounds that are grey along the screen's axis.
    """
    return np.clip((1 - share) / np.maximum(1 - foreground_share, LEAST_CONTRAST), 0, 1)


def least_opacity(picture: Floats, plate: Floats, tolerance: float) -> Floats:
    """The smallest α for which any foreground colour in 0..1 can explain the pixel: a hard lower bound.

    tolerance: deviations from the plate (0..1) that are noise.  Returns (H, W).
    """
    difference = picture - plate
    room = np.where(difference > 0, 1 - plate, plate)
    excess = np.maximum(np.abs(difference) - tolerance, 0) / np.maximum(room, LEAST_ROOM)
    bound = np.maximum(np.maximum(excess[..., 0], excess[..., 1]), excess[..., 2])
    return np.asarray(np.minimum(bound, 1), np.float32)


def clip_ends(alpha: Floats, threshold: float) -> Floats:
    """α within `threshold` of 0 or 1 becomes 0 or 1; it meets the identity at twice the threshold.

    The usual stretch between black and white point would shift every fractional α; this leaves them alone.
    """
    _, falling = cv2.threshold(cv2.addWeighted(alpha, 2, alpha, 0, -2 * threshold), 0, 0, cv2.THRESH_TOZERO)
    low = cv2.min(alpha, falling)
    rising = cv2.addWeighted(low, 2, low, 0, 2 * threshold - 1)
    return np.asarray(cv2.threshold(cv2.max(low, rising), 1, 0, cv2.THRESH_TRUNC)[1], np.float32)
