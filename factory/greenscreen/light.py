"""What a single frame does to its screen: shadow and flicker that the clean plate does not have, noise and coding."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.filling import fill
from factory.greenscreen.keying import dominance
from factory.greenscreen.screen import Screen, chroma_length, screen_pixels

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

TOLERANCE = 0.3  # that a channel may stray from a multiple of the plate, as a share of its chroma
BORDER = 0.08  # of each side: where the screen's evenness is judged, for subjects keep away from it
EVEN = 0.006  # robust σ of light along the border up to which a screen is even: then nothing darkens it but an object
LIGHTS = 8.0  # standard deviations of the border's light that shadow and glare may reach …
DARKEST = 0.5  # … but never below this share of the plate
SMOOTH = 3.0  # σ in low-resolution pixels of what counts as light; finer things are objects
CODED = (0.01, 0.05)  # share of the screen beside an object that is purer than the screen: none of it means drawn
HAZE = 0.25  # apparent opacity of what may still be dirt on the screen
FILMED = (0.1, 0.5)  # levels of noise: of a drawn screen, of a surely filmed one


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The screen of one frame at low resolution."""

    plate: Floats  # (h, w, 3), 0..1, under this frame's light
    strength: Floats  # (h, w) by how much the plate's own colour dominates, > 0
    seen: Mask  # (h, w) where the screen itself is surely seen, under whatever light
    haze: float  # α that the screen's dirt, creases and glare make of nothing, along the border
    filmed: float  # 0: drawn or computed, every level of it exact; 1: filmed or coded, with noise, spill and artefacts


def backdrop(small: Floats, plate: Floats, screen: Screen) -> Backdrop:
    """The plate as this frame lights it.

    small, plate: (h, w, 3) in 0..1, the frame at low resolution and its clean plate.
    """
    colour = np.asarray(screen.colour, np.float32) / 255
    on_screen = screen_pixels(small, plate, TOLERANCE * chroma_length(colour))
    relit = plate * _light(small, plate, on_screen)[..., None]
    strength = np.maximum(dominance(relit, colour), WEAKEST)
    haze = _haze(1 - dominance(small, colour) / strength)
    return Backdrop(np.clip(relit, 0, 1), strength, on_screen, haze, max(_ramp(screen.noise, FILMED), _coded(small, relit, colour)))


WEAKEST = 0.02  # dominance (0..1) that a plate is taken to have at the least


def _light(small: Floats, plate: Floats, on_screen: Mask) -> Floats:
    """(h, w) share of the plate's light that reaches each place of the screen in this frame."""
    height, width = on_screen.shape
    share = np.asarray(np.sum(small * plate, axis=-1) / np.maximum(np.sum(plate * plate, axis=-1), 1e-4), np.float32)
    known = cv2.erode((on_screen & (share > DARKEST)).astype(np.float32), np.ones((3, 3), np.uint8))
    mass = cv2.GaussianBlur(known, (0, 0), SMOOTH)
    near = cv2.GaussianBlur((share - 1) * known, (0, 0), SMOOTH) / np.maximum(mass, 1e-6)
    rows, columns = max(1, round(BORDER * height)), max(1, round(BORDER * width))
    border = known > 0
    border[rows:-rows, columns:-columns] = False
    if np.count_nonzero(border) < 32:
        return np.ones_like(share)
    spread = 1.4826 * float(np.median(np.abs(near[border] - np.median(near[border]))))
    reach = LIGHTS * max(0.0, spread - EVEN)
    if reach == 0:
        return np.ones_like(share)
    light = fill(near[..., None], np.minimum(1, 4 * mass))[..., 0]
    return np.asarray(1 + np.clip(light, max(-reach, DARKEST - 1), reach), np.float32)


def _haze(apparent: Floats) -> float:
    """What nine tenths of the border's clear screen stay below."""
    rows, columns = (max(1, round(BORDER * side)) for side in apparent.shape)
    border = np.concatenate([side.ravel() for side in (
        apparent[:rows], apparent[-rows:], apparent[rows:-rows, :columns], apparent[rows:-rows, -columns:],
    )])  # fmt: skip
    clear = border[border < HAZE]
    return max(0.0, float(np.quantile(clear, 0.9))) if len(clear) > border.size / 8 else 0.0


def _coded(small: Floats, plate: Floats, colour: Floats) -> float:
    """0..1: whether the screen beside objects is purer than the clean screen in places, as only ringing makes it."""
    purity = dominance(small, colour) / np.maximum(dominance(plate, colour), WEAKEST)
    beside = cv2.dilate((purity < 0.5).astype(np.uint8), np.ones((17, 17), np.uint8)) > 0
    beside &= purity > 0.9
    if not beside.any():
        return 0.0
    share = float(np.mean(purity[beside] > 1 + 1 / 255))
    return _ramp(share, CODED)


def _ramp(value: float, ends: tuple[float, float]) -> float:
    return float(np.clip((value - ends[0]) / (ends[1] - ends[0]), 0, 1))
