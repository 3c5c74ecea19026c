"""The object's own colours: the screen taken out of mixed pixels, off spilled ones, and out of the edges."""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.filling import fill
from factory.greenscreen.keyer.light import Backdrop
from factory.greenscreen.keyer.subsampling import LUMA
from factory.greenscreen.keying import dominance, screen_axis
from factory.greenscreen.morphology import square
from factory.greenscreen.resizing import enlarged
from factory.greenscreen.unmixing import unmixed, visible

Floats = NDArray[np.float32]

NO_DOUBT = 1e-9  # square of an α that only keeps 0 from being divided by 0
WARM = 0.2  # factor of what counts as spill on a screen with red in it, which skin and wood share
EDGE = 2  # pixels around within which α must be 1 for a pixel to lie off the edge
FRACTIONAL = 0.25  # 1 − α from which an edge's colour is fully corrected
FRINGE = 0.25  # excess of screen colour over the object near by that is surely a fringe; left: colours 6 % worse, h264


def recovered_colours(
    picture: Floats,
    alpha: Floats,
    small: Floats,
    behind: Backdrop,
    typical: Floats,
    *,
    own: Floats,
    spill: tuple[float, float],
    doubt: float,
) -> Floats:
    """F = (I − (1 − α)B) / α without spill, drawn to the colours around it the less α there is. Returns (H, W, 3).

    picture, alpha: (H, W, 3), (H, W).  small: (h, w, 3) the picture at low resolution.
    typical: (h, w, 3) the object's own mean colour about each place.  own: (h, w) how much of the screen's dominance it
    has of its own by its shape.  spill: share of the screen's colour up to which it is else spill, and from which it
    is the object's own.  doubt: α under which neighbours count more than the pixel.
    """
    coarse = np.asarray(cv2.resize(alpha, small.shape[1::-1], interpolation=cv2.INTER_AREA), np.float32)
    limits = np.asarray(spill, np.float32) * np.float32(WARM if behind.colour[0] > behind.colour.mean() else 1)
    around = unmixed(small, coarse, behind.plate)
    around -= _spill(around, behind.strength, behind.colour, own, limits)[..., None] * behind.plate
    around = np.maximum(around, 0)
    around = fill(around, visible(coarse))
    everywhere = enlarged(around, alpha)
    plate, strength, typical = (enlarged(field, alpha) for field in (behind.plate, behind.strength, typical))
    own = enlarged(own, alpha).ravel()
    # From here on only what is seen of the object: most of a frame is screen, and most of an object is opaque.
    seen = np.flatnonzero(alpha > 0)
    a, plate, strength, around = alpha.ravel()[seen], _at(plate, seen), strength.ravel()[seen], _at(everywhere, seen)
    exact = _at(picture, seen)
    mixed = np.flatnonzero(a < 1)
    exact[mixed] = unmixed(exact[mixed], a[mixed], plate[mixed])
    share = _spill(exact, strength, behind.colour, own[seen], limits)
    spilled = share > 0
    exact[spilled] = np.maximum(exact[spilled] - share[spilled, None] * plate[spilled], 0)
    certain = np.square(a[mixed])
    belief = certain / (certain + np.square(np.float32(doubt) * (1 - a[mixed])) + np.float32(NO_DOUBT))
    exact[mixed] = around[mixed] + belief[:, None] * (exact[mixed] - around[mixed])
    if behind.filmed > 0:
        lowest = np.asarray(cv2.erode(alpha, square(EDGE)), np.float32).ravel()[seen]
        edge = np.flatnonzero(lowest < 1)
        exact[edge] = without_fringe(exact[edge], lowest[edge], _at(typical, seen[edge]), behind.colour)
    everywhere.reshape(-1, 3)[seen] = exact
    return everywhere


def without_fringe(foreground: Floats, lowest: Floats, typical: Floats, colour: Floats) -> Floats:
    """Edges whose colour leans to the screen more than the object does near by take its chroma and keep their light.

    foreground, typical: (N, 3) in 0..1.  lowest: (N,) the least α around each pixel.  colour: (3,) the screen's.
    """
    away = foreground - typical
    excess = away @ screen_axis(colour)
    weight = np.clip((1 - lowest) / FRACTIONAL, 0, 1) * np.clip(excess / FRINGE, 0, 1)
    away -= away @ LUMA.T
    return np.asarray(np.clip(foreground - weight[:, None] * away, 0, 1), np.float32)


def _at(field: Floats, where: NDArray[np.intp]) -> Floats:
    """(N, 3) the pixels of a picture (H, W, 3) at these places."""
    return np.asarray(field.reshape(-1, 3).take(where, axis=0), np.float32)


def _spill(foreground: Floats, strength: Floats, colour: Floats, own: Floats, limits: Floats) -> Floats:
    """(…) the share of the screen's colour that is light which the screen throws on the object.

    What has much of that colour has it of its own, and so has what its shape says to have it.
    """
    share = np.maximum(dominance(foreground, colour) / strength, 0)
    much = np.clip((share - limits[0]) / (limits[1] - limits[0]), 0, 1)
    return np.asarray(share - np.maximum(np.minimum(share, own), share * much * much * (3 - 2 * much)), np.float32)
