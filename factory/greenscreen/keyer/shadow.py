"""The shadow that an object throws on its screen: the share s of the plate's light that it takes away.

A keyed picture is I = αF + (1 − α)(1 − s)B. A keyer that knows no s takes shadow for a thin black thing, which in one
pixel is the same. What tells them apart is that shadow has the screen's own hue, is wide, and fades into the lit
screen: hair, creases and marks are narrow, and a green thing has an edge around it. Black smoke is shadow by these
marks.

A screen's light behind an object is not seen: s goes on beneath the object's soft edge from beside it, and is 0 where α
is 1. Who wants the shadow on another background multiplies that by 1 − s.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.keyer.screen import BLACK, STRAY, chroma_length, dot
from factory.greenscreen.morphology import dilated, disc, eroded, square
from factory.greenscreen.plates import scaled

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

DARKEST = 0.7  # share of the light that a shadow takes at the most
HUE = 0.5  # of how far a screen's pixels may stray from its hue, a shadow's may
BLACKER = 0.08  # α by which a keyer may go beyond the light that is missing, where it takes shadow for a black thing
SMOOTH = 1.5  # σ in pixels at 512 at which a shadow is looked at
STEEP = 0.06  # of the light, a pixel at 512, by which an edge changes and a shadow does not
NARROW = 5.0  # pixels at 512: what is no wider than twice that is hair, a crease or a mark
OPEN = 0.4  # of a shadow's outline, along which it must fade into the screen
UNDER = 6.0  # σ in pixels at 512 by which a shadow goes on beneath the object's edge
FAINTEST = 0.015  # share of the light that a plate may be wrong by, and …
NOISE = 0.3  # … standard deviations of the screen's noise, as a share of its light, below which there is no shadow
LEAST = 1e-3  # weight that only keeps an empty place from being divided by 0


def shadow_apart(picture: Floats, plate: Floats, alpha: Floats, noise: float) -> tuple[Floats, Floats]:
    """The shadow s and the α that is left of the object, both (H, W) in 0..1.

    picture, plate: (H, W, 3) in 0..1.  alpha: (H, W), of object and shadow.  noise: σ of the screen, in 0..1.
    """
    pixel = min(alpha.shape) / 512
    smooth = np.asarray(cv2.GaussianBlur(picture, (0, 0), max(0.6, SMOOTH * pixel)), np.float32)
    strength = np.maximum(dot(plate, plate), np.float32(BLACK))
    light = dot(smooth, plate) / strength
    away = np.abs(smooth - light[..., None] * plate).max(axis=-1)
    slope = pixel * np.hypot(*(cv2.Sobel(light, cv2.CV_32F, 1 - i, i, scale=1 / 8) for i in (0, 1)))
    screen = (away <= HUE * STRAY * chroma_length(plate) * np.clip(light, 0, 1)) & (slope < STEEP)
    taken = np.asarray(np.clip(1 - light, 0, 1), np.float32)
    nothing = FAINTEST + NOISE * noise / np.sqrt(strength)
    dark = screen & (taken > nothing) & (taken < DARKEST) & (alpha < taken + BLACKER)
    kernel = disc(scaled(NARROW, alpha.shape))
    shaded = _fading(dark & dilated(eroded(dark, kernel), kernel), screen & ~dark)
    shadow = np.where(shaded, np.minimum(taken, 2 * (taken - nothing)), 0)  # no step at the faintest
    left = np.where(shaded, 0, alpha).astype(np.float32)
    told = (shaded | (screen & (left == 0))).astype(np.float32)
    under = _spread(shadow * told, told, max(1.0, UNDER * pixel))
    return np.asarray(np.where(told > 0, shadow, under) * (left < 1), np.float32), left


def _fading(shaded: Mask, lit: Mask) -> Mask:
    """The parts that go over into the lit screen: a thing of the screen's own hue has an edge around it."""
    number, label = cv2.connectedComponents(shaded.view(np.uint8), connectivity=4)
    around = cv2.dilate(label.astype(np.float32), square(1)).astype(np.int32)
    ring = ~shaded & (around > 0)
    edge = np.bincount(around[ring], minlength=number)
    open_edge = np.bincount(around[ring & lit], minlength=number)
    fades = open_edge >= OPEN * np.maximum(edge, 1)
    fades[0] = False
    return np.asarray(fades[label], np.bool_)


def _spread(values: Floats, weight: Floats, sigma: float) -> Floats:
    """What is known, averaged over it and carried on beside it; 0 far away."""
    mass = cv2.GaussianBlur(weight, (0, 0), sigma)
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma) / np.maximum(mass, LEAST), np.float32)
