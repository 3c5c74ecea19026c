"""A window: where the pixels of a crop lie in a picture, and what is seen through it."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[Any]  # (H, W) or (H, W, 3), uint8 or float32
Border: TypeAlias = Literal["repeated", "empty"]

_BORDERS = {"repeated": cv2.BORDER_REPLICATE, "empty": cv2.BORDER_CONSTANT}
SHRINKS = 1.02  # from here on pixels are averaged, for interpolation would skip some


@dataclass(frozen=True)
class Window:
    """side: of the crop.  matrix: (2, 3), from the centre (x, y, 1) of a crop's pixel to a place in the picture."""

    side: int
    matrix: NDArray[np.float64]

    @property
    def scale(self) -> float:
        """Pixels of the picture for one of the crop, along a side."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    def widened(self, margin: int) -> "Window":
        """The same with so many pixels more on each side."""
        corner = self.matrix @ (-margin, -margin, 1)
        return Window(self.side + 2 * margin, np.column_stack([self.matrix[:, :2], corner]))


def window_at(centre: tuple[float, float], side: int, linear: NDArray[np.float64]) -> Window:
    """The window whose middle lies at a place (x, y) of the picture.  linear: (2, 2), picture from crop."""
    middle = np.full(2, (side - 1) / 2)
    return Window(side, np.column_stack([linear, np.asarray(centre) - linear @ middle]))


def seen(picture: Pixels, window: Window, border: Border = "repeated") -> Pixels:
    """(side, side, …) of the picture's kind: averaged where it shrinks, else interpolated.

    border: what lies beyond the picture: its outermost pixels, or 0.
    """
    region, matrix = _region(picture.shape, window)
    return _warped(_shrunk(picture[region], window.scale), picture[region].shape, matrix, window, border)


def seen_colours(foreground: Pixels, alpha: Pixels, window: Window) -> Pixels:
    """A straight foreground through a window: (side, side, 3), levels 0..255, uint8 or float32.

    Where it shrinks, colours are averaged by their α, so that αF is averaged; by α + 1/255, so that F is defined
    everywhere.  foreground, alpha: uint8.
    """
    if window.scale < SHRINKS:
        return seen(foreground, window)
    region, matrix = _region(alpha.shape, window)
    weights = np.add(alpha[region], 1, dtype=np.float32)
    weighted = cv2.multiply(foreground[region], cv2.merge([weights] * 3), dtype=cv2.CV_32F)
    weights = _shrunk(weights, window.scale)
    colours = cv2.divide(_shrunk(weighted, window.scale), cv2.merge([weights] * 3))
    return _warped(colours, alpha[region].shape, matrix, window, "repeated")


def _region(shape: tuple[int, ...], window: Window) -> tuple[tuple[slice, slice], NDArray[np.float64]]:
    """The part of a picture that a window needs, and the window's matrix in there."""
    last = window.side - 1
    corners = window.matrix @ np.array([[0, last, 0, last], [0, 0, last, last], [1, 1, 1, 1]])
    slices, begins = [], []
    for size, places in ((shape[1], corners[0]), (shape[0], corners[1])):
        reach = window.scale / 2 + 1
        begin = min(max(0, int(np.floor(places.min() - reach))), size - 1)
        end = max(begin + 1, min(size, int(np.ceil(places.max() + reach)) + 1))
        slices.append(slice(begin, end))
        begins.append(begin)
    return (slices[1], slices[0]), window.matrix - np.array([[0, 0, begins[0]], [0, 0, begins[1]]])


def _shrunk(region: Pixels, scale: float) -> Pixels:
    if scale < SHRINKS:
        return region
    height, width = (max(1, round(size / scale)) for size in region.shape[:2])
    shrunk: Pixels = cv2.resize(region, (width, height), interpolation=cv2.INTER_AREA)
    return shrunk


def _warped(
    shrunk: Pixels, before: tuple[int, ...], matrix: NDArray[np.float64], window: Window, border: Border
) -> Pixels:
    """matrix: from the crop into the region as it was before it shrank."""
    ratio = np.array([shrunk.shape[1] / before[1], shrunk.shape[0] / before[0]])[:, None]
    matrix = matrix * ratio
    matrix[:, 2] += ratio[:, 0] / 2 - 0.5  # pixel centres
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (window.side, window.side)
    warped: Pixels = cv2.warpAffine(shrunk, matrix, size, flags=flags, borderMode=_BORDERS[border])
    return warped
