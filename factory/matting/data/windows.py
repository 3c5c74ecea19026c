"""A window: where the pixels of a crop lie in a picture, and what is seen through it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[Any]  # (H, W) or (H, W, 3), uint8 or float32
Border: TypeAlias = Literal["repeated", "mirrored", "empty"]

_BORDERS = {"repeated": cv2.BORDER_REPLICATE, "mirrored": cv2.BORDER_REFLECT_101, "empty": cv2.BORDER_CONSTANT}
SHRINKS = 1.02  # scale from which on pixels are averaged
NEARLY = 1e-6  # of a pixel


@dataclass(frozen=True)
class Window:
    """side: of the crop.  matrix: (2, 3), from the centre (x, y, 1) of a crop's pixel to a place in the picture."""

    side: int
    matrix: NDArray[np.float64]

    @cached_property
    def scale(self) -> float:
        """Pixels of the picture for one of the crop, along a side."""
        (a, b, _), (c, d, _) = self.matrix.tolist()
        return float(abs(a * d - b * c) ** 0.5)

    def widened(self, margin: int) -> "Window":
        """The same with so many pixels more on each side."""
        corner = self.matrix @ (-margin, -margin, 1)
        return Window(self.side + 2 * margin, np.column_stack([self.matrix[:, :2], corner]))


def window_at(centre: tuple[float, float], side: int, linear: NDArray[np.float64]) -> Window:
    """The window whose middle lies at a place (x, y) of the picture.  linear: (2, 2), picture from crop."""
    middle = np.full(2, (side - 1) / 2)
    return Window(side, np.column_stack([linear, np.asarray(centre) - linear @ middle]))


def square_window(left: int, top: int, size: int, mirrored: bool, side: int) -> Window:
    """The window of whole pixels from (left, top) on, seen from right to left where it is mirrored."""
    middle = (size - 1) / 2
    return window_at((left + middle, top + middle), side, np.diag([-size if mirrored else size, size]) / side)


def seen(picture: Pixels, window: Window, border: Border = "repeated", averages: float = SHRINKS) -> Pixels:
    """(side, side, …) of the picture's kind: averaged where it shrinks, else interpolated.

    border: what lies beyond the picture: its outermost pixels, the picture mirrored, or 0.
    averages: from which scale on; up to 2 interpolation skips no pixel, but has them count unequally.
    """
    view = _view(picture.shape, window, averages)
    return view.of(picture[view.part], border)


def seen_colours(foreground: Pixels, alpha: Pixels, window: Window) -> Pixels:
    """A straight foreground through a window: (side, side, 3), levels 0..255, uint8 or float32.

    Where it shrinks, colours are averaged by their α, so that αF is averaged; by α + 1/255, so that F is defined
    everywhere.  foreground, alpha: uint8.
    """
    view = _view(alpha.shape, window, SHRINKS)
    if not view.shrinks:
        return view.of(foreground[view.part])
    weights = np.add(alpha[view.part], 1, dtype=np.float32)
    weighted = cv2.multiply(foreground[view.part], cv2.merge([weights] * 3), dtype=cv2.CV_32F)
    colours: Pixels = cv2.divide(view.of(weighted), cv2.merge([view.of(weights)] * 3))
    return colours


@dataclass(frozen=True)
class _View:
    """part: of the picture, what a window needs.  matrix: the window's in the part; None where it is all of it."""

    window: Window
    part: tuple[slice, slice]
    matrix: NDArray[np.float64] | None
    shrinks: bool

    def of(self, part: Pixels, border: Border = "repeated") -> Pixels:
        side, scale = self.window.side, self.window.scale
        way = cv2.INTER_AREA if self.shrinks else cv2.INTER_LINEAR
        result: Pixels
        if self.matrix is None:
            result = cv2.resize(part, (side, side), interpolation=way)
            return cv2.flip(result, 1) if self.window.matrix[0, 0] < 0 else result
        height, width = part.shape[:2]
        if self.shrinks:
            size = max(1, round(width / scale)), max(1, round(height / scale))
            part = cv2.resize(part, size, interpolation=way)
        ratio = np.array([[part.shape[1] / width], [part.shape[0] / height]])
        matrix = self.matrix * ratio
        matrix[:, 2:] += ratio / 2 - 0.5  # between the pixels' centres
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        result = cv2.warpAffine(part, matrix, (side, side), flags=flags, borderMode=_BORDERS[border])
        return result


def _view(shape: tuple[int, ...], window: Window, averages: float) -> _View:
    last = window.side - 0.5
    corners = window.matrix @ np.array([[-0.5, last, -0.5, last], [-0.5, -0.5, last, last], [1, 1, 1, 1]])
    (left, top), (right, bottom) = (corners.min(1) + 0.5).tolist(), (corners.max(1) + 0.5).tolist()
    shrinks = window.scale >= averages
    whole = all(abs(edge - round(edge)) < NEARLY for edge in (left, top, right, bottom))
    upright = window.matrix[0, 1] == window.matrix[1, 0] == 0 < window.matrix[1, 1]
    if upright and whole and min(left, top) > -NEARLY and right < shape[1] + 0.5 and bottom < shape[0] + 0.5:
        return _View(window, (slice(round(top), round(bottom)), slice(round(left), round(right))), None, shrinks)
    more = window.scale / 2 + 1
    columns, rows = _span(left - more, right + more, shape[1]), _span(top - more, bottom + more, shape[0])
    matrix = window.matrix - np.array([[0, 0, columns.start], [0, 0, rows.start]])
    return _View(window, (rows, columns), matrix, shrinks)


def _span(begin: float, end: float, size: int) -> slice:
    """What of it lies in the picture: one pixel at least."""
    first = min(max(0, int(np.floor(begin))), size - 1)
    return slice(first, max(first + 1, min(size, int(np.ceil(end)))))
