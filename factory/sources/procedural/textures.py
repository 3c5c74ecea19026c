"""Surfaces of drawn objects with the statistics of photographs: power falls with frequency, colours go together.

Plain colours teach a matting network that objects are plain. Natural pictures have amplitudes of about 1/f (Field,
"Relations between the statistics of natural images and the response properties of cortical cells", JOSA A, 1987);
noise of several octaves has them too.
"""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from factory.sample import Matte, Picture
from factory.sources.procedural.palette import Field, Paint

COARSEST = 3  # cells of the first octave along the shorter side
DARKEST, LIGHTEST = 0.35, 1.8  # of the drawing's own light and shade, against its mean
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # Rec. 709


def textured(foreground: Picture, alpha: Matte, rng: Generator) -> Picture:
    """The object in colours of a texture, with its own light and shade.

    foreground: (H, W, 3) uint8 straight colour, defined everywhere.  alpha: (H, W) uint8; stays what it is.
    """
    size = foreground.shape[:2]
    first, second, grain = (_noise(size, rng) for _ in range(3))
    base, one, other = (_colour(rng) for _ in range(3))
    contrast = rng.uniform(0.2, 1.0)
    paint: Paint = base + contrast * (first[..., None] * (one - base) + second[..., None] * (other - base))
    paint = paint + rng.uniform(0, 0.25) * grain[..., None]
    lit = foreground.astype(np.float32) @ LUMINANCE
    mean = float((lit * alpha).sum()) / max(float(alpha.sum(dtype=np.int64)), 1.0)
    shade = np.clip((lit + 8) / (mean + 8), DARKEST, LIGHTEST) ** rng.uniform(0.3, 1.0)
    return np.asarray(np.clip(paint * shade[..., None], 0, 1) * 255 + 0.5, np.uint8)


def _colour(rng: Generator) -> Paint:
    """Any brightness; mostly pale, as most of what is photographed."""
    colour = rng.uniform(0.02, 0.98, 3).astype(np.float32)
    grey = colour @ LUMINANCE
    return np.asarray(grey + (colour - grey) * rng.uniform(0, 1), np.float32)


def _noise(size: tuple[int, int], rng: Generator) -> Field:
    """(H, W) about −1..1: octaves of noise whose cells are stretched one way, as cloth, fur and wood are."""
    height, width = size
    fall, stretch, angle = rng.uniform(0.4, 0.9), np.exp(rng.uniform(-1.2, 1.2)), rng.uniform(0, 180)
    side = int(np.ceil(np.hypot(height, width)))
    across, down = (max(2, round(COARSEST * by)) for by in (stretch**0.5, stretch**-0.5))
    field: NDArray[np.float32] = rng.standard_normal((down, across), np.float32)
    weight = 1.0
    while max(across, down) < side:
        across, down, weight = 2 * across, 2 * down, weight * fall
        coarse = np.asarray(cv2.resize(field, (across, down), interpolation=cv2.INTER_CUBIC), np.float32)
        field = coarse + np.float32(weight) * rng.standard_normal((down, across), np.float32)
    square = cv2.resize(field, (side, side), interpolation=cv2.INTER_AREA)
    turn = np.asarray(cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, 1.0), np.float64)
    turn[:, 2] += np.array([width - side, height - side]) / 2
    turned = cv2.warpAffine(square, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(np.tanh(turned / (2 * float(turned.std()) + 1e-6)), np.float32)
