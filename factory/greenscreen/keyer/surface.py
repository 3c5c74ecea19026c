"""What tells a screen from a sky, a sea, leaves and hair: it is flat, of one colour in any light, and has a rim."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.morphology import square

Floats = NDArray[np.float32]

INSIDE = 2  # pixels from the rim at which a surface is looked at
FINE, COARSE = 1.0, 5.0  # σ in pixels between which texture lies: finer is noise, coarser is light
WIDE = 0.1  # σ, as a share of the long side, of what changes as lamps and a moving camera change it
MOST_OF_IT = 0.8  # of a surface, which must keep to its colour
BOUNDED = 0.9  # of the frame's border, from which it tells the drift of the whole
RIM = 3  # pixels within which colours have changed from the screen's to an object's
FAR = 4.0  # deviation beyond which a colour is simply another one
ENOUGH = 64  # pixels from which a surface can be judged
LEAST = 1e-3  # weight that only keeps an empty place from being divided by 0


class Surface(NamedTuple):
    """What is seen of a surface in one colour, at about 320 pixels of the picture's long side.

    texture: how light changes within a few pixels, the median, as a share of the light.
    drift: deviation from the colour, whatever the light, that most of it keeps to; 1 is the most a screen's pixel may.
    If it holds nearly all of the picture's border, no more than what most of that keeps to.
    rim: by how much the deviation rises within a few pixels at its edge, the median.
    unrest: how its light changes from frame to frame, other than by a wide gradient; a share of the light. 0 of one
    picture. Waves run; a screen hangs, whatever the camera and the lamps do.
    """

    texture: float
    drift: float
    rim: float
    unrest: float = 0.0


def surface(deviation: Sequence[Floats], light: Sequence[Floats]) -> Surface:
    """The surface that the pixels of deviation ≤ 1 are, in one picture or over the frames of a clip: the medians.

    deviation, light: (H, W) of each frame, see `screen.deviation`. Frames that show too little of it have no say.
    """
    seen = [found for pair in zip(deviation, light, strict=True) if (found := _in_frame(*pair)) is not None]
    if not seen:
        return Surface(0, 0, 0)
    texture, drift, rim, _ = (float(np.median(values)) for values in zip(*seen, strict=True))
    return Surface(texture, drift, rim, _unrest(deviation, light))


def _in_frame(deviation: Floats, light: Floats) -> Surface | None:
    on_it = (deviation <= 1).astype(np.uint8)
    inside = cv2.erode(on_it, square(INSIDE), borderValue=1) > 0
    if np.count_nonzero(inside) < ENOUGH:
        return None
    texture = np.abs(_smoothed(light, inside, FINE) - _smoothed(light, inside, COARSE))[inside]
    drift = float(np.quantile(deviation[inside], MOST_OF_IT))
    border = np.concatenate([deviation[[0, -1]].ravel(), deviation[:, [0, -1]].ravel()])
    if np.mean(border <= 1) > BOUNDED:  # there a sky's hue changes, too, but no object stands
        drift = min(drift, float(np.quantile(border[border <= 1], MOST_OF_IT)))
    edge = (on_it > 0) & (cv2.erode(on_it, square(1), borderValue=1) == 0)
    bounded = np.minimum(deviation, FAR)
    rise = cv2.dilate(bounded, square(RIM)) - cv2.erode(bounded, square(RIM))
    return Surface(
        texture=float(np.median(texture)),
        drift=drift,
        rim=float(np.median(rise[edge])) if edge.any() else FAR,
    )


def _unrest(deviation: Sequence[Floats], light: Sequence[Floats]) -> float:
    """The median over pairs of frames that follow each other. What is in front of the surface in either has no say."""
    found = []
    for (one, before), (other, after) in pairwise(zip(deviation, light, strict=True)):
        both = cv2.erode(((one <= 1) & (other <= 1)).astype(np.uint8), square(INSIDE), borderValue=1) > 0
        if np.count_nonzero(both) >= ENOUGH:
            change = _smoothed(after - before, both, FINE)
            wide = _smoothed(change, both, WIDE * max(change.shape))
            found.append(float(np.median(np.abs(change - wide)[both]) / max(np.median(before[both]), LEAST)))
    return float(np.median(found)) if found else 0.0


def _smoothed(light: Floats, inside: NDArray[np.bool_], sigma: float) -> Floats:
    """Light averaged over what lies inside."""
    weight = inside.astype(np.float32)
    mass = cv2.GaussianBlur(weight, (0, 0), sigma)
    return np.asarray(cv2.GaussianBlur(light * weight, (0, 0), sigma) / np.maximum(mass, LEAST), np.float32)
