"""Bringing an object and its matte into a square frame: resize, place, and colour beyond the edge."""

import math
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError
from factory.greenscreen.filling import around
from factory.sample import Matte, Picture

Floats = NDArray[np.floating[Any]]
Side: TypeAlias = Literal["left", "top", "right", "bottom"]
Sides: TypeAlias = frozenset[Side]
Box: TypeAlias = tuple[int, int, int, int]
Placement: TypeAlias = tuple[Box, Box]  # left, top, right, bottom in the picture; x, y, width, height in the frame

UNIT = np.arange(256, dtype=np.float32) / 255  # 8-bit levels as 0..1
AT_ONCE = 40_000_000  # pixels of an object that are resized in one go, at 27 bytes each
BAND = 256  # finished lines of a band
TOUCHING = 0.01  # share of a side, in units of full coverage, from which on the object counts as cut by it


def pad_colour(foreground: Picture, alpha: Matte) -> Picture:
    """Straight colour that goes on smoothly under alpha 0 (`filling.around`); unchanged where alpha > 0.

    A foreground must be defined everywhere: resizing or re-compositing it must never drag black into the edge.
    """
    known = (alpha > 0).view(np.uint8)
    if not known.any() or known.all():
        return foreground
    ink = np.asarray(cv2.copyTo(foreground, known), np.float32)
    padded = around(ink, known.astype(np.float32))
    return np.asarray(cv2.copyTo(foreground, known, cv2.convertScaleAbs(padded)), np.uint8)


def bounds(alpha: Matte) -> tuple[int, int, int, int]:
    """left, top, right, bottom (exclusive) of everything that is not fully transparent; alpha must not be empty."""
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(alpha))
    return x, y, x + width, y + height


def resized(foreground: Picture, alpha: Matte, height: int, width: int) -> tuple[Picture, Matte]:
    """Resize an object with its matte: colour weighted by coverage, so that what lies under alpha 0 has no say.

    Area average along an axis that shrinks, bicubic where it grows. The colour under the new alpha 0 is anything: see
    `pad_colour`.
    """
    a = np.asarray(cv2.LUT(np.ascontiguousarray(alpha), UNIT), np.float32)
    ink = cv2.multiply(foreground, cv2.merge([a, a, a]), dtype=cv2.CV_32F)
    old_height, old_width = alpha.shape
    # two steps, because one interpolation must not both shrink one axis and enlarge the other
    for size in ((min(width, old_width), min(height, old_height)), (width, height)):
        if size != (a.shape[1], a.shape[0]):
            way = cv2.INTER_AREA if size != (width, height) or _shrinks(a.shape, size) else cv2.INTER_CUBIC
            a = np.asarray(cv2.resize(a, size, interpolation=way), np.float32)
            ink = cv2.resize(ink, size, interpolation=way)
    levels = cv2.convertScaleAbs(np.clip(a, 0, 1), alpha=255)
    weight = cv2.merge([np.maximum(a, 1 / 510)] * 3)
    colour = cv2.convertScaleAbs(np.maximum(cv2.divide(ink, weight), 0))  # rounds to the nearest, half to even
    return np.asarray(colour, np.uint8), np.asarray(levels, np.uint8)


def shrunk_in_bands(foreground: Picture, alpha: Matte, factor: int) -> tuple[Picture, Matte]:
    """As `resized` to a `factor`-th of both sides, some lines at a time: in float a large picture takes gigabytes."""
    height, width = alpha.shape
    bands = []
    for y in range(0, height, BAND * factor):
        end = min(y + BAND * factor, height)
        bands.append(resized(foreground[y:end], alpha[y:end], -(-(end - y) // factor), -(-width // factor)))
    colours, mattes = zip(*bands, strict=True)
    return np.concatenate(colours), np.concatenate(mattes)


def _shrinks(old: tuple[int, ...], new_size: tuple[int, int]) -> bool:
    return new_size[0] <= old[1] and new_size[1] <= old[0]


def cut_sides(alpha: Matte) -> Sides:
    """The sides of a picture that cut its object: those along whose two outermost lines it covers 1 % or more.

    Two lines, because many mattes fade or are blank on the very last one; a single hair that leaves is no cut.
    """
    outermost: dict[Side, Matte] = {"left": alpha[:, :2].T, "top": alpha[:2], "right": alpha[:, -2:].T}
    outermost["bottom"] = alpha[-2:]
    return frozenset(side for side, lines in outermost.items() if lines.max(axis=0).mean() >= TOUCHING * 255)


def mirrored(sides: Sides) -> Sides:
    """The same sides after a left–right flip."""
    swapped: dict[Side, Side] = {"left": "right", "right": "left"}
    return frozenset(swapped.get(side, side) for side in sides)


def framed(
    foreground: Picture, alpha: Matte, size: int, margin: float, flush: Sides = frozenset()
) -> tuple[Picture, Matte]:
    """The object cut to its bounds, scaled to fit a square frame and put in its middle.

    margin: share of the frame kept free at each border.  flush: sides where there is no margin, because the object
    was cut off there. It is kept whole unless two opposite sides are flush: then it spans the frame from one to the
    other, and what is too long for the frame goes over another flush side.  Returns (size, size, 3) and (size, size).
    Raises DataError("cut") if there is no such other side.
    """
    left, top, right, bottom = bounds(alpha)
    if (factor := math.ceil(math.sqrt((right - left) * (bottom - top) / AT_ONCE))) > 1:
        foreground, alpha = shrunk_in_bands(foreground[top:bottom, left:right], alpha[top:bottom, left:right], factor)
    (left, top, right, bottom), (x, y, width, height) = placement(alpha, size, margin, flush)
    inner, matte = resized(foreground[top:bottom, left:right], alpha[top:bottom, left:right], height, width)
    canvas, coverage = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)
    canvas[y : y + height, x : x + width] = inner
    coverage[y : y + height, x : x + width] = matte
    return pad_colour(canvas, coverage), coverage


def placement(alpha: Matte, size: int, margin: float, flush: Sides) -> Placement:
    """Which part of a picture `framed` takes, and where it lays it. Raises DataError("cut") as it does."""
    left, top, right, bottom = bounds(alpha)
    wide, high = _room(size, margin, flush, "left", "right"), _room(size, margin, flush, "top", "bottom")
    across, down = wide / (right - left), high / (bottom - top)
    spans = {"left", "right"} <= flush, {"top", "bottom"} <= flush
    scale = {(False, False): min(across, down), (True, False): across, (False, True): down}.get(
        spans, max(across, down)
    )
    left, right = _shortened(left, right, wide / scale, "left" in flush, "right" in flush)
    top, bottom = _shortened(top, bottom, high / scale, "top" in flush, "bottom" in flush)
    width = wide if spans[0] else max(round((right - left) * scale), 1)
    height = high if spans[1] else max(round((bottom - top) * scale), 1)
    x = 0 if "left" in flush else size - width if "right" in flush else (size - width) // 2
    y = 0 if "top" in flush else size - height if "bottom" in flush else (size - height) // 2
    return (left, top, right, bottom), (x, y, width, height)


def laid_beside(layer: Matte, placed: Placement, size: int, steps: tuple[int, ...], beyond: int) -> Matte:
    """A layer of the picture as its object lies in the frame (size, size), with what of it lies about the object.

    Within the object's bounds exactly as its α, beyond them to half a pixel.
    steps: pixels across and down by which the object was moved in the frame.  beyond: what is where the picture ends.
    """
    (left, top, right, bottom), (x, y, width, height) = placed
    across, down = width / (right - left), height / (bottom - top)
    new_size = tuple(max(1, round(side * scale)) for side, scale in zip(layer.shape[::-1], (across, down), strict=True))
    way = cv2.INTER_AREA if min(across, down) < 1 else cv2.INTER_LINEAR
    whole = cv2.resize(np.ascontiguousarray(layer), new_size, interpolation=way)
    shift = [round(x + steps[0] - left * across), round(y + steps[1] - top * down)]
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float64)
    laid = cv2.warpAffine(whole, move, (size, size), flags=cv2.INTER_NEAREST, borderValue=beyond)
    inside = np.ascontiguousarray(layer[top:bottom, left:right])
    exact, _ = resized(np.asarray(cv2.merge([inside] * 3), np.uint8), np.full_like(inside, 255), height, width)
    laid[y + steps[1] : y + steps[1] + height, x + steps[0] : x + steps[0] + width] = exact[..., 0]
    return np.asarray(laid, np.uint8)


def _room(size: int, margin: float, flush: Sides, low: Side, high: Side) -> int:
    """Pixels between the margins of one axis."""
    return max(round(size * (1 - margin * (2 - (low in flush) - (high in flush)))), 1)


def _shortened(start: int, end: int, most: float, cut_low: bool, cut_high: bool) -> tuple[int, int]:
    """A stretch of at most `most` pixels of start..end, by cutting further where the picture has cut already."""
    too_long = end - start - int(most + 1e-6)
    if too_long <= 0:
        return start, end
    if cut_low and cut_high:
        return start + too_long // 2, end - (too_long - too_long // 2)
    if not cut_low and not cut_high:
        raise DataError("cut", "opposite sides of its picture cut the object, and the rest is too long for a square")
    return (start + too_long, end) if cut_low else (start, end - too_long)


def moved_within(foreground: Picture, alpha: Matte, across: float, down: float, margin: float) -> tuple[Picture, Matte]:
    """Shift an object by whole pixels and keep it whole.

    across, down: −1..1, how much of the way to the margin on that side.  margin: share of the frame kept free.
    Where the object already reaches into the margin it is not moved that way.
    """
    height, width = alpha.shape
    left, top, right, bottom = bounds(alpha)
    x = _step(across, left - margin * width, width - margin * width - right)
    y = _step(down, top - margin * height, height - margin * height - bottom)
    matte = np.zeros_like(alpha)
    matte[top + y : bottom + y, left + x : right + x] = alpha[top:bottom, left:right]
    kept = foreground[max(-y, 0) : height - max(y, 0), max(-x, 0) : width - max(x, 0)]
    around = max(y, 0), max(-y, 0), max(x, 0), max(-x, 0)
    return np.asarray(cv2.copyMakeBorder(kept, *around, cv2.BORDER_REPLICATE), np.uint8), matte


def _step(towards: float, room_before: float, room_after: float) -> int:
    return round(towards * max(room_before if towards < 0 else room_after, 0.0))
