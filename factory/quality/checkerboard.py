"""A gate on painted transparency: models that were asked for a transparent background like to paint a checkerboard.

It is grey, of two even shades, and its shades change places at every step of one width. It is off unless a recipe sets
it, or a generator tells its own alpha.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.quality.gate import Gate
from factory.sample import Sample

GREY = 12  # levels between a pixel's channels up to which it is grey
STEPS = range(3, 65)  # pixels of a field's side
APART = (6, 90)  # levels between the two shades
EVEN = 4.0  # levels by which a field may differ from the one two steps on
SEEN = 128  # α from which a pixel counts
LONG_SIDE = 512  # pixels at which it is looked for


def checkerboard(sample: Sample) -> float:
    """The share of the picture that is opaque and a checkerboard, by the width that fits most; −1 without a matte."""
    if sample.alpha is None or sample.foreground is None:
        return -1.0
    scale = min(1.0, LONG_SIDE / max(sample.alpha.shape))
    size = (max(1, round(sample.alpha.shape[1] * scale)), max(1, round(sample.alpha.shape[0] * scale)))
    colours = np.asarray(cv2.resize(sample.foreground, size, interpolation=cv2.INTER_NEAREST), np.int16)
    opaque = cv2.resize(sample.alpha, size, interpolation=cv2.INTER_NEAREST) >= SEEN
    grey = opaque & (colours.max(axis=-1) - colours.min(axis=-1) <= GREY)
    light = colours.mean(axis=-1)
    return max(_share(light, grey, step) for step in STEPS)


def _share(light: NDArray[np.floating], grey: NDArray[np.bool_], step: int) -> float:
    """Pixels whose neighbours one step on, across and down, have the other shade, and those two steps on their own."""
    height, width = light.shape
    if min(height, width) <= 2 * step:
        return 0.0
    inner = (slice(0, height - 2 * step), slice(0, width - 2 * step))
    here, fits = light[inner], grey[inner].copy()
    for axis in (0, 1):
        for steps, other in ((1, True), (2, False)):
            away = tuple(
                slice(steps * step * (axis == of), length - 2 * step + steps * step * (axis == of))
                for of, length in enumerate((height, width))
            )
            apart = np.abs(here - light[away])
            fits &= grey[away] & ((apart >= APART[0]) & (apart <= APART[1]) if other else apart <= EVEN)
    return float(fits.sum()) / fits.size


CHECKERBOARD = Gate(
    reason="checkerboard", says="the share of the picture that is a painted checkerboard", measure=checkerboard, most=1
)
