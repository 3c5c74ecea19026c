"""Drawing on the fine grid: outlines, lines and ribbons in fine pixels (pixel i's centre at i), into a 0/255 mask."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
Fine = NDArray[np.float64]  # (..., 2) coordinates on the fine grid
ROUND = (
    np.stack([np.cos(np.arange(16) * np.pi / 8), np.sin(np.arange(16) * np.pi / 8)], axis=1) * 1.013
)  # a disc's area
FRACTION_BITS = 4  # cv2 draws in fixed point: sixteenths of a fine pixel


def fill_union(mask: Mask, outlines: Sequence[Fine], value: int) -> None:
    """Set every pixel whose centre lies inside any of the closed outlines (N, 2).

    Each scan line adds up how often outlines, all turned the same way round, are entered and left (winding numbers).
    Unlike cv2.fillPoly it is without bias, down to hairs thinner than a fine pixel.
    """
    height, width = mask.shape
    start = np.concatenate(outlines)
    end = np.concatenate([np.concatenate([p[1:], p[:1]]) for p in outlines])
    lengths = [len(p) for p in outlines]
    twice_area = np.add.reduceat(start[:, 0] * end[:, 1] - start[:, 1] * end[:, 0], np.cumsum([0, *lengths[:-1]]))
    first = np.clip(np.ceil(np.minimum(start[:, 1], end[:, 1])), 0, height).astype(np.int64)
    crossings = np.clip(np.ceil(np.maximum(start[:, 1], end[:, 1])), 0, height).astype(np.int64) - first
    edge = np.repeat(np.arange(len(start)), crossings)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(crossings) - crossings - first, crossings)
    drop = end[:, 1] - start[:, 1]
    slope = (end[:, 0] - start[:, 0]) / np.where(drop == 0, 1, drop)
    x = (start[:, 0] - slope * start[:, 1])[edge] + slope[edge] * row
    column = np.clip(np.ceil(x), 0, width).astype(np.int64)
    sense = (np.sign(drop) * np.repeat(np.sign(twice_area), lengths)).astype(np.int16)
    winding = np.zeros((height, width + 1), np.int16)
    np.add.at(winding.reshape(-1), row * (width + 1) + column, sense[edge])
    np.cumsum(winding, axis=1, out=winding)
    mask[winding[:, :-1] != 0] = value


def line_outlines(line: Fine, half_width: float) -> list[Fine]:
    """A line (N, 2) of one width with round joints and ends, as convex outlines."""
    side = _normals(np.diff(line, axis=0)) * half_width
    a, b = line[:-1], line[1:]
    return [*np.stack([a + side, b + side, b - side, a - side], axis=1), *(line[:, None] + half_width * ROUND)]


def ribbon_outlines(lines: Fine, half_width: NDArray[np.float64]) -> Fine:
    """(N, K, 2) lines with a half width (K,) along them to (N, 2K, 2) outlines."""
    side = _normals(np.gradient(lines, axis=1)) * half_width[:, None]
    return np.concatenate([lines + side, (lines - side)[:, ::-1]], axis=1)


def draw_roughly(mask: Mask, outlines: Fine) -> None:
    """Fill many outlines (N, M, 2) with cv2's rim: quick, good enough for where a colour goes."""
    for outline in _fixed(outlines):
        cv2.fillPoly(mask, [outline], 255, cv2.LINE_8, FRACTION_BITS)


def _normals(direction: Fine) -> Fine:
    length = np.maximum(np.hypot(direction[..., 0], direction[..., 1]), 1e-9)[..., None]
    return np.stack([-direction[..., 1], direction[..., 0]], axis=-1) / length


def _fixed(fine: Fine) -> NDArray[np.int32]:
    return np.rint(fine * (1 << FRACTION_BITS)).astype(np.int32)
