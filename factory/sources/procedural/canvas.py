"""Painting objects in layers: alpha on a grid 8×8 times finer, colour at the picture's own resolution.

Layers are put over each other on the fine grid, so abutting parts leave no seam and stacked panes of glass are exact;
the colour of a pixel is the average of the parts that cover it, so nothing bleeds in from behind the object.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from factory.greenscreen.compositing import as_levels
from factory.greenscreen.framing import pad_colour
from factory.sample import Matte, Picture
from factory.sources.procedural.palette import SNOW, Field, Paint, mix, tone
from factory.sources.procedural.raster import Mask, draw_roughly, fill_union, line_outlines, ribbon_outlines
from factory.sources.procedural.shapes import Points

SUPERSAMPLING = 8
FINENESS_IN_MOTION = 4  # the instants of an exposure sample between each other's grid points
EDGE = 1e-4  # coverage below this has no colour of its own


@dataclass(frozen=True, slots=True)
class View:
    """How an object stands before the canvas.

    projection: (3, 3) homography from object coordinates to pixels (0..size from edge to edge).
    light: unit vector in the picture's plane towards the light.
    """

    projection: NDArray[np.float64]
    light: tuple[float, float]

    def project(self, p: ArrayLike) -> NDArray[np.float64]:
        """Object coordinates (..., 2) to pixels."""
        q = np.asarray(p, np.float64) @ self.projection[:, :2].T + self.projection[:, 2]
        return q[..., :2] / q[..., 2:]

    def scale(self) -> float:
        """Pixels per object unit at the object's origin."""
        return float(np.sqrt(abs(np.linalg.det(self.projection[:2, :2]))))


class Canvas:
    """One object in the making. Functions that draw a class use its methods, `rng`, `colour` and `pattern`.

    colour: the shade the caption names.  pattern: "", "striped" or "spotted".
    `u`, `v`: object coordinates of every pixel centre, (size, size) float32.
    `low`, `high`: bounds, in pixels, of all that was drawn, also beyond the canvas.
    """

    def __init__(
        self,
        size: int,
        view: View,
        rng: Generator,
        colour: Paint,
        *,
        pattern: str = "",
        fineness: int = SUPERSAMPLING,
    ) -> None:
        self._fineness = fineness  # fine pixels per pixel
        self.size, self.view, self.rng, self.colour, self.pattern = size, view, rng, colour, pattern
        self.low, self.high = np.full(2, np.inf), np.full(2, -np.inf)
        self._cover = np.zeros((size * self._fineness, size * self._fineness), np.uint8)  # alpha on the fine grid
        self._ink = np.zeros((size, size, 3), np.float32)  # premultiplied
        self._weight = np.zeros((size, size), np.float32)
        back = np.linalg.inv(view.projection)
        centres = np.arange(size) + 0.5
        x, y = np.meshgrid(centres, centres)
        w = back[2, 0] * x + back[2, 1] * y + back[2, 2]
        self.u: Field = ((back[0, 0] * x + back[0, 1] * y + back[0, 2]) / w).astype(np.float32)
        self.v: Field = ((back[1, 0] * x + back[1, 1] * y + back[1, 2]) / w).astype(np.float32)
        towards = np.linalg.inv(view.projection[:2, :2]) @ view.light
        self._light = towards / np.linalg.norm(towards)  # in object coordinates

    # colour

    def lit(self, colour: Paint, strength: float = 0.3) -> Paint:
        """The colour brighter on the side of the light and darker on the other."""
        along = self._light[0] * self.u + self._light[1] * self.v
        return tone(colour, np.clip(along * strength, -0.6, 0.45))

    def body(self, strength: float = 0.3) -> Paint:
        """The object's colour under the light, with its pattern."""
        return self.lit(self.patterned(), strength)

    def patterned(self, scale: float = 1.0) -> Paint:
        """The object's colour with stripes or spots in a contrasting tone that leave most of it free."""
        if not self.pattern:
            return self.colour
        accent = SNOW if float(self.colour.mean()) < 0.62 else tone(self.colour, -0.72)
        phase, period = self.rng.uniform(0, 1, 2), 0.42 * scale
        soft = 2.2 / max(self.view.scale() * period, 1.0)  # one pixel's ramp, in periods
        if self.pattern == "striped":
            wave = np.abs((self.v * 0.94 + self.u * 0.34) / period + phase[0]) % 1
            mark = np.abs(wave - 0.5) * -1 + 0.16
        else:
            row = np.floor(self.v / period + phase[1])
            across = (self.u / period + phase[0] + 0.5 * row) % 1 - 0.5
            down = (self.v / period + phase[1]) % 1 - 0.5
            mark = 0.29 - np.hypot(across, down)
        return mix(self.colour, accent, np.clip(mark / soft + 0.5, 0, 1))

    def ball(self, colour: Paint, x: float, y: float, r: float, gloss: float = 0.5) -> Paint:
        """The colour on a sphere about (x, y): shade away from the light and a highlight."""
        du, dv = (self.u - x) / r, (self.v - y) / r
        up = np.sqrt(np.clip(1 - du * du - dv * dv, 0, 1))
        facing = 0.62 * (self._light[0] * du + self._light[1] * dv) + 0.78 * up
        shine = np.exp((np.clip(facing, 0, 1) - 1) * 90) * gloss
        return tone(tone(colour, np.clip((facing - 0.62) * 0.75, -0.7, 0.25)), shine)

    def tube(self, colour: Paint, across: Field, gloss: float = 0.35) -> Paint:
        """The colour on a cylinder; across runs from −1 to 1 over its width."""
        side = 1.0 if self._light[0] > 0 else -1.0
        t = np.clip(across * side, -1, 1)
        return tone(tone(colour, -0.36 * np.abs(t - 0.3) + 0.1), gloss * np.exp(-(((t - 0.45) / 0.13) ** 2)))

    def noise(self, cells: float, x: float = 0.0, y: float = 0.0) -> Field:
        """Smooth random values in 0..1 fixed to the object; `cells` of them to a unit, moved by (x, y)."""
        grid = self.rng.random((32, 32)).astype(np.float32)
        place = [
            np.mod((self.u + x) * cells, 30).astype(np.float32),
            np.mod((self.v + y) * cells, 30).astype(np.float32),
        ]
        return np.clip(cv2.remap(grid, place[0], place[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT), 0, 1)

    # layers

    def fill(
        self,
        outlines: Points | Sequence[Points],
        paint: Paint,
        holes: Sequence[Points] = (),
        opacity: float | Field = 1.0,
    ) -> None:
        """Paint the union of closed outlines, less the holes. opacity < 1 lets the screen and older layers through."""
        parts = [outlines] if isinstance(outlines, np.ndarray) else outlines
        fine = [self._fine(p) for p in parts]
        region = self._region(fine)
        if region is None:
            return
        mask, corner = self._blank(region)
        fill_union(mask, [p - corner for p in fine], 255)
        if holes:
            fill_union(mask, [self._fine(hole) - corner for hole in holes], 0)
        self._layer(region, mask, paint, opacity)

    def stroke(
        self, lines: Points | Sequence[Points], width: float, paint: Paint, opacity: float | Field = 1.0
    ) -> None:
        """Paint lines of one width (object units) with round joints and ends."""
        parts = [lines] if isinstance(lines, np.ndarray) else lines
        half = width * self.view.scale() * self._fineness / 2
        fine = [self._fine(p) for p in parts]
        region = self._region(fine, half)
        if region is None:
            return
        mask, corner = self._blank(region)
        fill_union(mask, [part for p in fine for part in line_outlines(p - corner, half)], 255)
        self._layer(region, mask, paint, opacity)

    def strands(self, lines: Points, width: ArrayLike, paints: Sequence[Paint]) -> None:
        """Paint many tapering hairs: lines (N, K, 2), width (K,) or one number; one layer per paint, in order."""
        n, k, _ = lines.shape
        half = np.broadcast_to(np.asarray(width, np.float64), (k,)) * (self.view.scale() * self._fineness / 2)
        outlines = ribbon_outlines(self._fine(lines), half)
        region = self._region(list(outlines))
        if region is None:
            return
        mask, corner = self._blank(region)
        outlines -= corner
        for part, paint in zip(np.array_split(np.arange(n), len(paints)), paints, strict=True):
            mask[:] = 0
            draw_roughly(mask, outlines[part])
            self._blend(region, self._coverage(region, mask), paint)
        fill_union(self._fine_window(region), list(outlines), 255)

    def haze(self, opacity: Field, paint: Paint, reach: Points) -> None:
        """Paint a soft layer given by its opacity at every pixel; reach: points that bound where it is seen."""
        self._widen(self.view.project(reach))
        self._veil(opacity, paint)

    def exposure(self, draw: Callable[["Canvas"], None], views: Sequence[View]) -> None:
        """Motion blur: the average of what `draw` paints in each view. `draw` must not use the rng."""
        alpha, ink = np.zeros_like(self._weight), np.zeros_like(self._ink)
        for view in views:
            frame = Canvas(self.size, view, self.rng, self.colour, pattern=self.pattern, fineness=FINENESS_IN_MOTION)
            draw(frame)
            a = frame._alpha()
            alpha += a / len(views)
            ink += frame._straight() * (a / len(views))[..., None]
            self._widen(np.stack([frame.low, frame.high]))
        self._veil(alpha, ink / np.maximum(alpha, EDGE)[..., None])

    def finish(self) -> tuple[Picture, Matte]:
        """The straight colour, defined everywhere, and the matte."""
        alpha = as_levels(self._alpha())
        return pad_colour(as_levels(self._straight()), alpha), alpha

    # inside

    def _alpha(self) -> Field:
        return cv2.resize(self._cover, (self.size, self.size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255

    def _straight(self) -> Paint:
        return self._ink / np.maximum(self._weight, EDGE)[..., None]

    def _fine(self, p: Points) -> NDArray[np.float64]:
        q = self.view.project(p)
        self._widen(q)
        return q * self._fineness - 0.5

    def _widen(self, pixels: NDArray[np.float64]) -> None:
        flat = pixels.reshape(-1, 2)
        self.low = np.minimum(self.low, flat.min(axis=0))
        self.high = np.maximum(self.high, flat.max(axis=0))

    def _region(self, fine: Sequence[NDArray[np.float64]], margin: float = 0.0) -> tuple[slice, slice] | None:
        """Rows and columns, in pixels, that the fine points touch; None outside the canvas."""
        every = np.concatenate(fine)
        low, high = every.min(axis=0) - margin - 1, every.max(axis=0) + margin + 1
        if margin:
            self._widen(np.stack([low, high]) / self._fineness)
        left, top = np.clip(np.floor(low / self._fineness), 0, self.size).astype(int).tolist()
        right, bottom = np.clip(np.ceil(high / self._fineness) + 1, 0, self.size).astype(int).tolist()
        return (slice(top, bottom), slice(left, right)) if bottom > top and right > left else None

    def _blank(self, region: tuple[slice, slice]) -> tuple[Mask, NDArray[np.float64]]:
        rows, cols = region
        shape = ((rows.stop - rows.start) * self._fineness, (cols.stop - cols.start) * self._fineness)
        return np.zeros(shape, np.uint8), np.array([cols.start, rows.start], np.float64) * self._fineness

    def _fine_window(self, region: tuple[slice, slice]) -> Mask:
        """A view of the alpha on the fine grid."""
        rows, cols = (slice(s.start * self._fineness, s.stop * self._fineness) for s in region)
        return self._cover[rows, cols]

    def _coverage(self, region: tuple[slice, slice], mask: Mask) -> Field:
        rows, cols = region
        shape = (cols.stop - cols.start, rows.stop - rows.start)
        return cv2.resize(mask, shape, interpolation=cv2.INTER_AREA).astype(np.float32) / 255

    def _layer(self, region: tuple[slice, slice], mask: Mask, paint: Paint, opacity: float | Field) -> None:
        rows, cols = region
        cover = self._fine_window(region)
        coverage = self._coverage(region, mask)
        if isinstance(opacity, float) and opacity >= 1:
            cv2.bitwise_or(cover, mask, cover)
        else:
            share = np.full(coverage.shape, opacity) if isinstance(opacity, float) else opacity[rows, cols]
            _over(cover, np.minimum(_enlarged(share, self._fineness), mask))
            coverage = coverage * share
        self._blend(region, coverage, paint)

    def _veil(self, opacity: Field, paint: Paint) -> None:
        """A translucent layer over the whole canvas."""
        _over(self._cover, _enlarged(opacity, self._fineness))
        self._blend((slice(0, self.size), slice(0, self.size)), np.clip(opacity, 0, 1), paint)

    def _blend(self, region: tuple[slice, slice], coverage: Field, paint: Paint) -> None:
        rows, cols = region
        layer = paint[rows, cols] if paint.ndim == 3 else paint
        keep = 1 - coverage
        self._ink[rows, cols] = self._ink[rows, cols] * keep[..., None] + layer * coverage[..., None]
        self._weight[rows, cols] = self._weight[rows, cols] * keep + coverage


def _over(cover: Mask, layer: Mask) -> None:
    """Alpha of a layer over what is there, in place: 1 − (1 − a)(1 − b)."""
    left = cv2.multiply(cv2.bitwise_not(cover), cv2.bitwise_not(layer), scale=1 / 255)
    cv2.bitwise_not(left, cover)


def _enlarged(opacity: Field, times: int) -> Mask:
    levels = as_levels(opacity)
    size = (levels.shape[1] * times, levels.shape[0] * times)
    return np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_NEAREST), np.uint8)
