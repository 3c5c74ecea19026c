"""How IndexNet's and ViTMatte's authors vary a sample: its window, its colours, its trimap.

IndexNet (Lu et al. 2019): squares of 1, 1.5 or 2 crops about an unknown pixel, mirrored; bands of 1 to 19 pixels, the
same on both sides. ViTMatte (Yao et al. 2023) takes the generator of GCA (Li & Lu 2020): shear, stretch, turns of large
pictures, both mirrors, HSV jitter, a second foreground at a half, discs of up to 29 pixels that erode each side.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.matting.data.settings import Recipe
from factory.matting.data.windows import Border, Window, square_window, window_at

Floats = NDArray[np.float32]
Place = tuple[int, int]
Band = tuple[int, int]

SIDES = (1.0, 1.5, 2.0)  # of IndexNet's squares, in crops
STRETCH, SHEAR, TURN = (0.8, 1.25), 10.0, 30.0  # factor, degrees, degrees
TURNED_FROM = 1024  # pixels of a picture's longer side
WHOLE, WHOLE_SIDE = 0.25, 1.25  # how often the whole picture is brought to so many crops
HUE = 40.0  # degrees
SEEN = 0.5, 1.0  # shares of a background's shorter side


@dataclass(frozen=True)
class Ways:
    """window: (generator, picture's shape, unknown pixel (x, y), crop) → where to look.  border: of α.

    coloured: whether foregrounds change in hue, saturation and value.  inside, outside: bounds of the trimap's bands;
    alike: one width for both.  two_foregrounds: how often.
    """

    window: Callable[[np.random.Generator, tuple[int, ...], Place, int], Window]
    border: Border
    coloured: bool
    inside: Band
    outside: Band
    alike: bool
    two_foregrounds: float


def _indexnet_window(rng: np.random.Generator, shape: tuple[int, ...], place: Place, crop: int) -> Window:
    """A square inside the picture; a picture smaller than the crop is enlarged."""
    side = min(int(rng.choice(SIDES) * crop), *shape[:2])
    mirrored = rng.random() < 0.5
    left, top = (min(max(0, at - side // 2), size - side) for at, size in zip(place, shape[1::-1], strict=True))
    return square_window(left, top, side, mirrored, crop)


def _vitmatte_window(rng: np.random.Generator, shape: tuple[int, ...], place: Place, crop: int) -> Window:
    """Turned, sheared and stretched; it may look beyond the picture."""
    height, width = shape[:2]
    scale = np.full(2, min(1.0, height / crop, width / crop))
    if rng.random() < WHOLE:
        scale = np.array([width, height]) / (WHOLE_SIDE * crop)
    turn, shear, stretch = rng.uniform(-TURN, TURN), rng.uniform(-SHEAR, SHEAR), rng.uniform(*STRETCH, 2)
    linear = affine(turn if max(height, width) >= TURNED_FROM else 0.0, shear, 1 / stretch)
    linear = linear @ np.diag(np.where(rng.random(2) < 0.5, -1.0, 1.0))
    half = scale * crop / 2
    centre = [float(np.clip(at, min(h, size / 2), max(size - h, size / 2)))
              for at, h, size in zip(place, half, (width, height), strict=True)]  # fmt: skip
    return window_at((centre[0], centre[1]), crop, scale[:, None] * linear)


RECIPES: Mapping[Recipe, Ways] = {
    "indexnet": Ways(_indexnet_window, "repeated", False, (1, 19), (1, 19), True, 0.0),
    "vitmatte": Ways(_vitmatte_window, "empty", True, (1, 14), (1, 14), False, 0.5),
}


def affine(turn: float, shear: float, scale: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 2): scaled along its axes, sheared, turned. Degrees."""
    t, s = np.radians(turn), np.tan(np.radians(shear))
    turned = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    return np.asarray(turned @ np.array([[1, s], [0, 1]]) @ np.diag(np.broadcast_to(scale, 2)))


def background_window(rng: np.random.Generator, shape: tuple[int, ...], crop: int) -> Window:
    """A square of half to all of the shorter side, anywhere, mirrored at a half."""
    height, width = shape[:2]
    side = max(1, round(rng.uniform(*SEEN) * min(height, width)))
    left, top = rng.integers((width - side + 1, height - side + 1)).tolist()
    return square_window(left, top, side, rng.random() < 0.5, crop)


@dataclass(frozen=True)
class Jitter:
    """hue: degrees.  saturation, value: in −1..1, of a tenth of what separates their means from 1.1."""

    hue: float
    saturation: float
    value: float


def draw_jitter(rng: np.random.Generator) -> Jitter:
    """GCA's ranges."""
    return Jitter(float(rng.uniform(-HUE, HUE)), *rng.uniform(-1, 1, 2).tolist())


def jittered(foreground: Floats, there: NDArray[np.bool_], jitter: Jitter) -> Floats:
    """The foreground (H, W, 3) in 0..1 with other colours; means are taken where the object is, `there` (H, W)."""
    hsv = cv2.cvtColor(foreground, cv2.COLOR_RGB2HSV)
    means = cv2.mean(hsv, there.view(np.uint8))
    hue, *others = cv2.split(hsv)
    turned = [np.mod(hue + np.float32(jitter.hue), 360)]
    for plane, mean, by in zip(others, means[1:3], (jitter.saturation, jitter.value), strict=True):
        moved = np.abs(plane + np.float32(by * (1.1 - mean) / 10))
        turned.append(np.minimum(moved, 2 - moved))  # what exceeds 1 is reflected there
    return np.asarray(cv2.cvtColor(cv2.merge(turned), cv2.COLOR_HSV2RGB), np.float32)
