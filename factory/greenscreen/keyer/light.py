"""What a single frame does to its screen: shadow and flicker that the clean plate does not have, noise and coding."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.filling import blurred, fill
from factory.greenscreen.keyer.screen import Screen, along_border, dot, screen_pixels
from factory.greenscreen.keying import dominance
from factory.greenscreen.morphology import dilated, square
from factory.greenscreen.plates import SIGMA_OF_MEDIAN

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

BORDER = 0.08  # width of the border, as a share of each side: there the screen is judged, for subjects keep away
ENOUGH = 32  # pixels of screen from which anything can be told of it
EVEN = 0.006  # robust σ of light along the border up to which a screen is even: then nothing darkens it but an object
LIGHTS = 8.0  # standard deviations of the border's light that shadow and glare may reach …
DARKEST = 0.5  # … but never below this share of the plate
SMOOTH = 3.0  # σ in low-resolution pixels of what counts as light; finer things are objects
CODED = (0.01, 0.05)  # share of the screen beside an object that is purer than the screen: none of it means drawn
KEPT = 0.25  # share of a place's surroundings that must show the screen for its own light to be kept as it is
BLACK = 1e-4  # square of the length of a plate's colour (0..1 per channel) under which its light cannot be told
OBJECT = 0.5  # dominance over the plate's, under which a pixel is the object's …
UNMIXED = 0.9  # … and from which it is screen alone
RINGING = 8  # pixels from an object in which a codec may ring: as wide as its blocks
LEVEL = 1 / 255  # what rounding makes purer
MOST_OF_IT = 0.9  # share of the border's clear screen that haze is told from; the rest may be objects' soft edges
LEAST_CLEAR = 1 / 8  # of the border that must be clear for haze to be told
WEAKEST = 0.02  # dominance (0..1) that a plate is taken to have at the least
CLEAN = 0.02  # haze up to which a screen is as clean as they get
HAZE = 0.25  # apparent opacity of what may still be dirt on the screen
FILMED = (0.1, 0.5)  # levels of noise: of a drawn screen, of a surely filmed one


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The screen of one frame at low resolution."""

    plate: Floats  # (h, w, 3), 0..1, under this frame's light
    colour: Floats  # (3,) the screen's, 0..1
    strength: Floats  # (h, w) by how much the plate's own colour dominates, > 0
    seen: Mask  # (h, w) where the screen itself is surely seen, under whatever light
    haze: float  # α that the screen's dirt, creases and glare make of nothing, along the border
    filmed: float  # 0: drawn or computed, every level of it exact; 1: filmed or coded, with noise, spill and artefacts


def backdrop(small: Floats, plate: Floats, screen: Screen) -> Backdrop:
    """The plate as this frame lights it.

    small, plate: (h, w, 3) in 0..1, the frame at low resolution and its clean plate.
    """
    colour = screen.unit
    border = along_border(plate.shape[:2], BORDER)
    exposed = _exposed(small, plate, border & screen_pixels(small, plate))
    on_screen = screen_pixels(small, exposed)
    relit = np.clip(exposed * _light(small, exposed, on_screen, border)[..., None], 0, 1)
    strength = np.maximum(dominance(relit, colour), WEAKEST)
    apparent = np.asarray(cv2.GaussianBlur(1 - dominance(small, colour) / strength, (0, 0), SMOOTH), np.float32)
    filmed = max(_ramp(screen.noise, FILMED), _coded(small, relit, colour))
    return Backdrop(relit, colour, strength, on_screen, _haze(apparent[border]), filmed)


def _exposed(small: Floats, plate: Floats, seen: Mask) -> Floats:
    """The plate at this frame's exposure and white balance: a gain for all, then an offset per channel."""
    if np.count_nonzero(seen) < ENOUGH:
        return plate
    here, clean = small[seen], plate[seen]
    gain = float(np.median(dot(here, clean) / dot(clean, clean)))
    return np.asarray(plate * gain + np.median(here - clean * gain, axis=0), np.float32)


def _light(small: Floats, plate: Floats, on_screen: Mask, border: Mask) -> Floats:
    """(h, w) share of the plate's light that reaches each place of the screen in this frame."""
    share = np.asarray(dot(small, plate) / np.maximum(dot(plate, plate), np.float32(BLACK)), np.float32)
    lit = (on_screen & (share > DARKEST)).astype(np.float32)
    known = np.asarray(cv2.erode(lit, square(1)), np.float32)  # less the rim, whose pixels are mixed
    near, mass = blurred((share - 1)[..., None], known, SMOOTH)
    seen = border & (known > 0)
    if np.count_nonzero(seen) < ENOUGH:
        return np.ones_like(share)
    spread = SIGMA_OF_MEDIAN * float(np.median(np.abs(near[seen] - np.median(near[seen]))))
    reach = LIGHTS * max(0.0, spread - EVEN)
    if reach == 0:
        return np.ones_like(share)
    light = fill(near, np.asarray(np.minimum(1, mass / KEPT), np.float32))[..., 0]
    return np.asarray(1 + np.clip(light, max(-reach, DARKEST - 1), reach), np.float32)


def _haze(border: Floats) -> float:
    """What most of the border's clear screen stays below. border: (N,) apparent opacity."""
    clear = border[border < HAZE]
    haze = float(np.quantile(clear, MOST_OF_IT)) if len(clear) > LEAST_CLEAR * len(border) else 0.0
    return haze if haze > CLEAN else 0.0


def _coded(small: Floats, plate: Floats, colour: Floats) -> float:
    """0..1: whether the screen beside objects is purer than the clean screen in places, as only ringing makes it."""
    purity = dominance(small, colour) / np.maximum(dominance(plate, colour), WEAKEST)
    beside = dilated(purity < OBJECT, square(RINGING))
    beside &= purity > UNMIXED
    if not beside.any():
        return 0.0
    share = float(np.mean(purity[beside] > 1 + LEVEL))
    return _ramp(share, CODED)


def _ramp(value: float, ends: tuple[float, float]) -> float:
    return float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0, 1))
