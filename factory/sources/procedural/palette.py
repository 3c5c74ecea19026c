"""The named colours of procedural objects, and light and shade on them."""

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]  # (H, W)
Paint = NDArray[np.floating[Any]]  # one colour (3,) or a picture (H, W, 3); straight colour in 0..1

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (212, 32, 36),
    "orange": (246, 126, 20),
    "yellow": (252, 222, 44),
    "blue": (36, 78, 222),
    "purple": (128, 46, 176),
    "pink": (252, 128, 186),
    "brown": (122, 72, 38),
    "black": (30, 30, 34),
    "white": (246, 246, 244),
    "gray": (142, 142, 148),
    "cyan": (48, 200, 228),
    "gold": (206, 158, 48),
}
"""8-bit sRGB. No green: it would vanish in the default screen."""

VANISHING: dict[str, tuple[str, ...]] = {"green": (), "blue": ("blue", "purple"), "magenta": ("pink", "purple")}
"""Colour names to leave out on a screen of each key colour."""


def rgb(red: int, green: int, blue: int) -> Paint:
    """One colour from 8-bit levels."""
    return np.array([red, green, blue], np.float32) / 255


WOOD, METAL, INK, SNOW = rgb(150, 98, 52), rgb(168, 172, 182), rgb(28, 26, 30), rgb(248, 248, 248)


def jittered(name: str, rng: Generator) -> Paint:
    """A shade of the named colour that a person still calls by that name."""
    base = np.array(COLOURS[name], np.float32) / 255
    spread = 0.006 + 0.03 * float(np.ptp(base))  # black, white and gray must not take on a hue
    shade = base * rng.uniform(0.92, 1.06) + rng.uniform(-spread, spread, 3)
    return np.clip(shade, 0.02, 0.98).astype(np.float32)


def tone(colour: Paint, t: float | Field) -> Paint:
    """Lighter towards white for t > 0, darker for t < 0; t in −1..1, a number or a field (H, W)."""
    up, down = np.clip(t, 0, 1), np.clip(t, -1, 0)
    scale = np.asarray((1 + 0.8 * down) * (1 - up), np.float32)[..., None]
    return colour * scale + np.asarray(up, np.float32)[..., None]


def mix(a: Paint, b: Paint, t: float | Field) -> Paint:
    """From a (t = 0) to b (t = 1); t a number or a field (H, W)."""
    w = np.asarray(t, np.float32)[..., None]
    return a * (1 - w) + b * w
