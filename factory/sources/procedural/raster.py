"""Drawing on the fine grid: outlines, lines and ribbons in fine pixels (pixel i's centre at i), into a 0/255 mask.

cv2 also sets every pixel that a border runs through, which makes shapes about half a pixel too big on each side;
everything is drawn that much smaller, so that covered areas come out right.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
Fine = NDArray[np.float64]  # (..., 2) coordinates on the fine grid
RIM = 0.65
THINNEST = 0.1  # half width that is left of the finest line
FRACTION_BITS = 4  # cv2 draws in fixed point: sixteenths of a fine pixel


def draw_outline(mask: Mask, outline: Fine, value: int) -> None:
    """Fill one closed outline (N, 2)."""
    edge = np.roll(outline, -1, axis=0) - outline
    inward = _normals(edge) * np.sign(_twice_area(outline))
    before = np.roll(inward, 1, axis=0)
    sharpness = np.maximum(1 + np.sum(inward * before, axis=1), 0.25)[:, None]
    smaller = outline + (inward + before) / sharpness * RIM
    cv2.fillPoly(mask, [_fixed(smaller)], value, cv2.LINE_AA, FRACTION_BITS)


def draw_line(mask: Mask, line: Fine, half_width: float) -> None:
    """Fill a line (N, 2) of one width with round joints and ends."""
    half = max(half_width - RIM, THINNEST)
    side = _normals(np.diff(line, axis=0)) * half
    a, b = line[:-1], line[1:]
    for quad in _fixed(np.stack([a + side, b + side, b - side, a - side], axis=1)):
        cv2.fillConvexPoly(mask, quad, 255, cv2.LINE_AA, FRACTION_BITS)
    radius = round(half * (1 << FRACTION_BITS))
    for x, y in _fixed(line).tolist():
        cv2.circle(mask, (x, y), radius, 255, -1, cv2.LINE_AA, FRACTION_BITS)


def ribbon_outlines(lines: Fine, half_width: NDArray[np.float64]) -> Fine:
    """(N, K, 2) lines with a half width (K,) along them to (N, 2K, 2) outlines, ready for `draw_ribbons`."""
    side = _normals(np.gradient(lines, axis=1)) * np.maximum(half_width - RIM, THINNEST)[:, None]
    return np.concatenate([lines + side, (lines - side)[:, ::-1]], axis=1)


def draw_ribbons(mask: Mask, outlines: Fine) -> None:
    """Fill many outlines from `ribbon_outlines`, already drawn smaller."""
    for outline in _fixed(outlines):
        cv2.fillPoly(mask, [outline], 255, cv2.LINE_AA, FRACTION_BITS)


def _normals(direction: Fine) -> Fine:
    length = np.maximum(np.hypot(direction[..., 0], direction[..., 1]), 1e-9)[..., None]
    return np.stack([-direction[..., 1], direction[..., 0]], axis=-1) / length


def _twice_area(outline: Fine) -> float:
    after = np.roll(outline, -1, axis=0)
    return float(np.sum(outline[:, 0] * after[:, 1] - outline[:, 1] * after[:, 0]))


def _fixed(fine: Fine) -> NDArray[np.int32]:
    return np.rint(fine * (1 << FRACTION_BITS)).astype(np.int32)
