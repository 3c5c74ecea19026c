"""What an item is made of: objects one behind the other, before a background, each seen through a window."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.matting.data.composing import composite, over, planes
from factory.matting.data.recipes import Jitter, jittered
from factory.matting.data.trimaps import UNKNOWN, banded_trimap
from factory.matting.data.windows import Border, Window, seen, seen_colours
from factory.sample import Matte, Picture

Floats = NDArray[np.float32]

FINE = 1024  # pixels of a side up to which all are searched for unknown ones


@dataclass(frozen=True)
class Layer:
    """An object.  border: what its α is beyond the picture."""

    alpha: Matte
    foreground: Picture
    window: Window
    border: Border
    jitter: Jitter | None


@dataclass(frozen=True)
class Ground:
    """What is behind all objects."""

    picture: Picture
    window: Window


@dataclass(frozen=True)
class Bands:
    """Widths of a trimap's unknown band, in pixels of the crop: within objects and around them."""

    inside: float
    outside: float


@dataclass(frozen=True)
class Shot:
    """One picture with all that it is made of: (C, H, W) float32 in 0..1; trimap exactly 0, 0.5 or 1."""

    image: Floats
    trimap: Floats
    alpha: Floats
    foreground: Floats
    background: Floats

    @property
    def has_unknown(self) -> bool:
        return bool((self.trimap == UNKNOWN).any())


def shot(layers: Sequence[Layer], ground: Ground, bands: Bands) -> Shot:
    """The layers, the first in front, composited as they are seen; trimaps know what lies just beyond the crop."""
    margin = ceil(max(bands.inside, bands.outside))
    inner = np.s_[:, margin:-margin, margin:-margin]
    wide, colours = _layer(layers[0], margin)
    for layer in layers[1:]:
        other, other_colours = _layer(layer, margin)
        colours, _ = over((colours, wide[inner]), (other_colours, other[inner]))
        wide = 1 - (1 - wide) * (1 - other)
    trimap = banded_trimap(wide[0], bands.inside, bands.outside)[None][inner]
    alpha, background = wide[inner], planes(seen(ground.picture, ground.window, "mirrored", averages=2))
    image = composite(colours, alpha, background)
    return Shot(image, np.ascontiguousarray(trimap), np.ascontiguousarray(alpha), colours, background)


def _layer(layer: Layer, margin: int) -> tuple[Floats, Floats]:
    """α with a margin, (1, H + 2m, W + 2m), and F, (3, H, W)."""
    wide = planes(seen(layer.alpha, layer.window.widened(margin), layer.border))
    levels = seen_colours(layer.foreground, layer.alpha, layer.window)
    if layer.jitter:
        there = np.ascontiguousarray(wide[0, margin:-margin, margin:-margin] > 0)
        levels = 255 * jittered(np.divide(levels, 255, dtype=np.float32), there, layer.jitter)
    return wide, planes(levels)


def unknown_place(alpha: Matte, rng: np.random.Generator) -> tuple[int, int] | None:
    """(x, y) of a random pixel that is soft or at a hard edge; None where α is the same everywhere.

    Of large pictures some rows and columns are looked at first.
    """
    step = max(1, min(alpha.shape) // FINE)
    for stride in {step: None, 1: None}:
        few = np.ascontiguousarray(alpha[::stride, ::stride])
        places = np.flatnonzero(few - np.uint8(1) < 254)  # 0 wraps to 255
        if not len(places):
            places = np.flatnonzero(cv2.morphologyEx(few, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)))
        if len(places):
            y, x = divmod(int(places[rng.integers(len(places))]), few.shape[1])
            return x * stride, y * stride
    return None
