"""Small scenes whose screen and α are known, and the keyer with its defaults."""

import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.frame import Keyed, key_frame
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.settings import KeyerSettings

Floats = NDArray[np.float32]
SETTINGS = KeyerSettings()
GREEN, MUTED = (0, 255, 0), (70, 160, 80)
SCREENS = {"green": (10, 200, 40), "blue": (20, 60, 210), "yellow": (215, 205, 20), "magenta": (210, 20, 200)}
H, W = 240, 320


def key(picture: Floats) -> Keyed:
    """A picture keyed of which nothing else is known."""
    screen = find_screen([picture])
    return key_frame(picture, plate_at(clean_plate([picture], screen), *picture.shape[:2]), screen, SETTINGS)


def colour(levels: tuple[float, float, float]) -> Floats:
    return np.asarray(np.array(levels) / 255, np.float32)


def flat(levels: tuple[float, float, float], height: int = H, width: int = W) -> Floats:
    return np.broadcast_to(colour(levels), (height, width, 3)).copy()


def uneven(levels: tuple[float, float, float]) -> Floats:
    """A screen that falls off to one side and to the corners."""
    v, u = np.meshgrid(np.linspace(-1, 1, H), np.linspace(-1, 1, W), indexing="ij")
    return np.asarray((1 + 0.15 * u - 0.08 * v - 0.1 * (u * u + v * v))[..., None] * colour(levels), np.float32)


def disc(x: float = 0.5, y: float = 0.5, radius: float = 0.3, softness: float = 1.0) -> Floats:
    """α of a disc: centre in shares of the frame, radius in shares of its height, edge in pixels."""
    row, column = np.mgrid[:H, :W] + 0.5
    distance = np.hypot(column - x * W, row - y * H)
    return np.asarray(np.clip((radius * H - distance) / softness + 0.5, 0, 1), np.float32)


def noisy(picture: Floats, sigma: float, seed: int = 0) -> Floats:
    noise = np.random.default_rng(seed).normal(0, sigma / 255, picture.shape)
    return as_unit(as_levels(picture + noise.astype(np.float32)))


def exact(picture: Floats) -> Floats:
    """As an 8-bit file would hold it."""
    return as_unit(as_levels(picture))


def error(alpha: Floats, truth: Floats) -> float:
    """MSE × 1000."""
    return float(1e3 * np.mean((alpha - truth) ** 2))
