"""Bringing an object and its matte into a square frame: resize, place, and colour beyond the edge."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.sample import Matte, Picture


def pad_colour(foreground: Picture, alpha: Matte) -> Picture:
    """Straight colour that goes on smoothly under alpha 0 (pull–push pyramid); unchanged where alpha > 0.

    A foreground must be defined everywhere: resizing or re-compositing it must never drag black into the edge.
    """
    if not alpha.any():
        return foreground
    known = (alpha > 0).astype(np.float32)
    padded = _pull_push(foreground.astype(np.float32) * known[..., None], known)
    levels = np.rint(np.clip(padded, 0, 255)).astype(np.uint8)
    levels[alpha > 0] = foreground[alpha > 0]
    return levels


def _pull_push(ink: NDArray[np.floating[Any]], weight: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Colour ÷ weight where there is weight, else from the next coarser level (half the size)."""
    height, width = weight.shape
    colour = ink / np.maximum(weight, 1e-6)[..., None]
    if min(weight.min(), 1) > 0 or max(height, width) == 1:
        return colour
    half = ((width + 1) // 2, (height + 1) // 2)
    coarse = _pull_push(
        cv2.resize(ink, half, interpolation=cv2.INTER_AREA), cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    )
    coarser = cv2.resize(coarse.reshape(half[1], half[0], 3), (width, height), interpolation=cv2.INTER_LINEAR)
    hole = weight <= 0
    colour[hole] = coarser[hole]
    return colour


def bounds(alpha: Matte) -> tuple[int, int, int, int]:
    """left, top, right, bottom (exclusive) of everything that is not fully transparent; alpha must not be empty."""
    x, y, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    return x, y, x + width, y + height


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
    return foreground[source], alpha[source]


def _step(towards: float, room_before: float, room_after: float) -> int:
    return round(towards * max(room_before if towards < 0 else room_after, 0.0))
