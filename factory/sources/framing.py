"""Bringing an object and its matte into a square frame: resize, place, and colour beyond the edge."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.sample import Matte, Picture

Floats = NDArray[np.floating[Any]]


def pad_colour(foreground: Picture, alpha: Matte) -> Picture:
    """Straight colour that goes on smoothly under alpha 0 (pull–push pyramid); unchanged where alpha > 0.

    A foreground must be defined everywhere: resizing or re-compositing it must never drag black into the edge.
    """
    known = alpha > 0
    if not known.any() or known.all():
        return foreground
    weight = known.astype(np.float32)
    padded = _pull_push(foreground.astype(np.float32) * weight[..., None], weight)
    levels: Picture = np.rint(np.clip(padded, 0, 255)).astype(np.uint8)
    levels[known] = foreground[known]
    return levels


def _pull_push(ink: Floats, weight: Floats) -> Floats:
    """Colour ÷ weight where there is weight, else from the next coarser level (half the size)."""
    height, width = weight.shape
    colour: Floats = ink / np.maximum(weight, 1e-6)[..., None]
    hole = weight <= 0
    if not hole.any():
        return colour
    half = ((width + 1) // 2, (height + 1) // 2)
    coarse = _pull_push(_shrink(ink, half), _shrink(weight, half))
    coarser = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    colour[hole] = coarser[hole]
    return colour


def _shrink(picture: Floats, size: tuple[int, int]) -> Floats:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def bounds(alpha: Matte) -> tuple[int, int, int, int]:
    """left, top, right, bottom (exclusive) of everything that is not fully transparent; alpha must not be empty."""
    x, y, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    return x, y, x + width, y + height


def resized(foreground: Picture, alpha: Matte, height: int, width: int) -> tuple[Picture, Matte]:
    """Resize an object with its matte: colour weighted by coverage, so that what lies under alpha 0 has no say.

    Area average along an axis that shrinks, bicubic where it grows. Colour is padded under the new alpha 0.
    """
    a: Floats = alpha.astype(np.float32) / 255
    ink: Floats = foreground.astype(np.float32) * a[..., None]
    old_height, old_width = alpha.shape
    # two steps, because one interpolation must not both shrink one axis and enlarge the other
    for size in ((min(width, old_width), min(height, old_height)), (width, height)):
        if size != (a.shape[1], a.shape[0]):
            way = cv2.INTER_AREA if size != (width, height) or _shrinks(a.shape, size) else cv2.INTER_CUBIC
            a = np.asarray(cv2.resize(a, size, interpolation=way), np.float32)
            ink = np.asarray(cv2.resize(ink, size, interpolation=way), np.float32)
    levels: Matte = np.rint(np.clip(a, 0, 1) * 255).astype(np.uint8)
    colour = np.clip(ink / np.maximum(a, 1 / 510)[..., None], 0, 255)
    return pad_colour(np.rint(colour).astype(np.uint8), levels), levels


def _shrinks(old: tuple[int, ...], new_size: tuple[int, int]) -> bool:
    return new_size[0] <= old[1] and new_size[1] <= old[0]


def framed(foreground: Picture, alpha: Matte, size: int, margin: float) -> tuple[Picture, Matte]:
    """The object cut to its bounds, scaled to fit a square frame and put in its middle.

    margin: share of the frame kept free at each border.  Returns (size, size, 3) and (size, size).
    """
    left, top, right, bottom = bounds(alpha)
    room = max(round(size * (1 - 2 * margin)), 1)
    scale = room / max(right - left, bottom - top)
    width, height = max(round((right - left) * scale), 1), max(round((bottom - top) * scale), 1)
    inner, matte = resized(foreground[top:bottom, left:right], alpha[top:bottom, left:right], height, width)
    x, y = (size - width) // 2, (size - height) // 2
    canvas, coverage = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)
    canvas[y : y + height, x : x + width] = inner
    coverage[y : y + height, x : x + width] = matte
    return pad_colour(canvas, coverage), coverage


def moved_within(foreground: Picture, alpha: Matte, across: float, down: float, margin: float) -> tuple[Picture, Matte]:
    """Shift an object by whole pixels and keep it whole.

    across, down: −1..1, how much of the way to the margin on that side.  margin: share of the frame kept free.
    Where the object already reaches into the margin it is not moved that way.
    """
    height, width = alpha.shape
    left, top, right, bottom = bounds(alpha)
    x = _step(across, left - margin * width, width - margin * width - right)
    y = _step(down, top - margin * height, height - margin * height - bottom)
    source = np.clip(np.arange(height) - y, 0, height - 1)[:, None], np.clip(np.arange(width) - x, 0, width - 1)[None]
    matte = np.zeros_like(alpha)
    matte[top + y : bottom + y, left + x : right + x] = alpha[top:bottom, left:right]
    return foreground[source], matte


def _step(towards: float, room_before: float, room_after: float) -> int:
    return round(towards * max(room_before if towards < 0 else room_after, 0.0))
