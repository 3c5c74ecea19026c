"""A sheet that objects of the benchmark are painted on, three times finer than the picture that is made of it.

Everything lies on it premultiplied in float32, layer over layer; each pixel is then the mean of its nine parts, so α is
the exact share of the pixel that the object covers and F the exact mean of the colours that cover it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from factory.greenscreen.compositing import as_levels
from factory.greenscreen.framing import pad_colour
from factory.sample import Matte, Picture

FINE = 3  # fine pixels per pixel
BITS = 4  # cv2 draws in sixteenths of a fine pixel
EDGE = 1e-4  # α below this has no colour of its own
HALF = 0.44  # of the picture's side: one unit of object coordinates

Field: TypeAlias = NDArray[np.floating[Any]]  # (h, w)
Paint: TypeAlias = NDArray[np.floating[Any]]  # (3,) or (h, w, 3), 0..1
Points: TypeAlias = NDArray[np.float64]  # (N, 2), object coordinates: about −1..1, x to the right, y down


@dataclass(frozen=True, slots=True)
class Drawn:
    """An object without a screen.

    foreground: straight colour, defined everywhere.  alpha: coverage.
    mirror: (H, W) share of the object's light there, 0..255, that it reflects of the screen; of `foreground` this share
    is what it would reflect in a grey room.
    """

    foreground: Picture
    alpha: Matte
    mirror: Matte


@dataclass(frozen=True, slots=True)
class Patch:
    """A part of the sheet and how far a shape covers it, 0..1."""

    rows: slice
    cols: slice
    cover: Field


class Sheet:
    """One object in the making. Functions that draw a class use its methods and `random`.

    u, v: object coordinates of all fine pixels.  unit: fine pixels per object unit.
    """

    def __init__(self, size: int, random: Generator, pose: NDArray[np.float64]) -> None:
        self.size, self.random = size, random
        self.grains: dict[float, Field] = {}  # what grained() has made
        self.side = size * FINE
        self._pose = pose  # (2, 3): object coordinates → picture, 0..1
        self._ink = np.zeros((self.side, self.side, 4), np.float32)
        self._mirror = np.zeros((self.side, self.side), np.float32)  # premultiplied too
        self.unit = float(np.sqrt(abs(np.linalg.det(pose[:, :2])))) * self.side
        back = np.linalg.inv(pose[:, :2])
        at = (np.arange(self.side) + 0.5) / self.side
        x, y = np.meshgrid(at - pose[0, 2], at - pose[1, 2])
        self.u: Field = (back[0, 0] * x + back[0, 1] * y).astype(np.float32)
        self.v: Field = (back[1, 0] * x + back[1, 1] * y).astype(np.float32)

    # shapes

    def shape(self, *outlines: ArrayLike) -> Patch:
        """What the closed outlines enclose; where two overlap is a hole."""
        fine = [self._fine(outline) for outline in outlines]
        rows, cols = self._window(fine, 2.0)
        mask = np.zeros((rows.stop - rows.start, cols.stop - cols.start), np.uint8)
        if mask.size:
            cv2.fillPoly(mask, [_fixed(line, rows, cols) for line in fine], 255, cv2.LINE_AA, BITS)
        return Patch(rows, cols, mask.astype(np.float32) / 255)

    def stroke(self, line: ArrayLike, width: float | ArrayLike, *, closed: bool = False) -> Patch:
        """A line with round joints. width: in object units, of the whole line or at each of its points."""
        fine = self._fine(line)
        if closed:
            fine = np.concatenate([fine, fine[:1]])
        half = np.broadcast_to(np.asarray(width, np.float64), (len(fine),)) * self.unit / 2
        along = np.gradient(fine, axis=0)
        along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
        side = np.stack([-along[:, 1], along[:, 0]], axis=1) * half[:, None]
        rows, cols = self._window([fine], float(half.max()) + 2)
        mask = np.zeros((rows.stop - rows.start, cols.stop - cols.start), np.uint8)
        if not mask.size:
            return Patch(rows, cols, mask.astype(np.float32))
        quads = np.stack([fine[:-1] + side[:-1], fine[1:] + side[1:], fine[1:] - side[1:], fine[:-1] - side[:-1]], 1)
        for quad in quads:
            cv2.fillConvexPoly(mask, _fixed(quad, rows, cols), 255, cv2.LINE_AA, BITS)
        for point, radius in zip(
            _fixed(fine, rows, cols), np.rint((half - 0.5) * (1 << BITS)).astype(int), strict=True
        ):
            if radius > 1 << BITS:
                cv2.circle(mask, point.tolist(), int(radius), 255, -1, cv2.LINE_AA, BITS)
        return Patch(rows, cols, mask.astype(np.float32) / 255)

    def everywhere(self, cover: Field) -> Patch:
        """A layer given by its cover at all fine pixels."""
        return Patch(slice(0, self.side), slice(0, self.side), np.clip(cover, 0, 1).astype(np.float32))

    # layers

    def lay(self, patch: Patch, paint: ArrayLike, opacity: float | Field = 1.0, mirror: float | Field = 0.0) -> None:
        """A layer over all that is there.  mirror: see Drawn."""
        cover = (patch.cover * opacity).astype(np.float32)
        ink, shown = self._ink[patch.rows, patch.cols], self._mirror[patch.rows, patch.cols]
        ink *= (1 - cover)[..., None]
        ink[..., :3] += np.asarray(paint, np.float32) * cover[..., None]
        ink[..., 3] += cover
        shown *= 1 - cover
        shown += cover * mirror

    def tint(self, patch: Patch, paint: ArrayLike, opacity: float | Field = 1.0) -> None:
        """Colour for what is there already; α stays."""
        cover = (patch.cover * opacity).astype(np.float32)
        ink = self._ink[patch.rows, patch.cols]
        ink[..., :3] *= (1 - cover)[..., None]
        ink[..., :3] += np.asarray(paint, np.float32) * (cover * ink[..., 3])[..., None]

    def darken(self, patch: Patch, by: float | Field) -> None:
        """Shade on what is there already."""
        self._ink[patch.rows, patch.cols, :3] *= (1 - patch.cover * by)[..., None]

    def erase(self, patch: Patch) -> None:
        """A hole through everything."""
        self._ink[patch.rows, patch.cols] *= (1 - patch.cover)[..., None]
        self._mirror[patch.rows, patch.cols] *= 1 - patch.cover

    def strands(self, lines: Sequence[Points], paints: Sequence[ArrayLike], thickness: int = 1) -> None:
        """Hairs one over the other, each of one colour. thickness: in fine pixels."""
        layer = np.zeros((self.side, self.side, 4), np.uint8)
        whole = slice(0, self.side)
        for line, paint in zip(lines, paints, strict=True):
            colour = (*(np.clip(np.asarray(paint), 0, 1) * 255).tolist(), 255)
            cv2.polylines(layer, [_fixed(self._fine(line), whole, whole)], False, colour, thickness, cv2.LINE_AA, BITS)
        self.over(layer.astype(np.float32) / 255)

    def over(self, layer: Field) -> None:
        """A premultiplied layer (side, side, 4) over all that is there."""
        keep = 1 - layer[..., 3]
        self._ink *= keep[..., None]
        self._ink += layer
        self._mirror *= keep

    def part_of(self, patch: Patch, field: Field) -> Field:
        """What of a field of the whole sheet belongs to a patch."""
        return field[patch.rows, patch.cols]

    # the result

    def empty(self) -> "Sheet":
        """Another sheet, for an object that stands alike."""
        return Sheet(self.size, self.random, self._pose)

    def glow(self, other: "Sheet", reach: float, strength: float, most: float) -> None:
        """The light of what is painted on another sheet, blurred over `reach` units, at most so opaque."""
        halo = cv2.GaussianBlur(other._ink, (0, 0), reach * self.unit) * np.float32(strength)
        self.over(halo * np.minimum(1, most / np.maximum(halo[..., 3:], 1e-6)))

    def average(self, sheets: Sequence[Callable[["Sheet"], None]]) -> None:
        """Motion blur: the mean of what each of these paints on an empty sheet, over all that is there."""
        total = np.zeros_like(self._ink)
        for draw in sheets:
            draw(instant := self.empty())
            total += instant._ink
        self.over(total / np.float32(len(sheets)))

    def finish(self) -> Drawn:
        """The object as 8-bit pictures."""
        small = np.asarray(cv2.resize(self._ink, (self.size, self.size), interpolation=cv2.INTER_AREA), np.float32)
        shown = cv2.resize(self._mirror, (self.size, self.size), interpolation=cv2.INTER_AREA)
        weight = np.maximum(small[..., 3], EDGE)
        alpha = as_levels(small[..., 3])
        foreground = pad_colour(as_levels(small[..., :3] / weight[..., None]), alpha)
        return Drawn(foreground, alpha, as_levels(np.clip(shown / weight, 0, 1)))

    def _fine(self, points: ArrayLike) -> Points:
        placed = np.asarray(points, np.float64) @ self._pose[:, :2].T + self._pose[:, 2]
        return np.asarray(placed * self.side - 0.5, np.float64)

    def _window(self, fine: Sequence[Points], margin: float) -> tuple[slice, slice]:
        every = np.concatenate(fine)
        low = np.clip(np.floor(every.min(axis=0) - margin), 0, self.side).astype(int)
        high = np.clip(np.ceil(every.max(axis=0) + margin) + 1, 0, self.side).astype(int)
        return slice(int(low[1]), max(int(high[1]), int(low[1]))), slice(int(low[0]), max(int(high[0]), int(low[0])))


def _fixed(fine: Points, rows: slice, cols: slice) -> NDArray[np.int32]:
    corner = np.array([cols.start, rows.start])
    return np.asarray(np.rint((fine - corner) * (1 << BITS)), np.int32)
