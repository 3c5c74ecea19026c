"""How surfaces of the benchmark's objects look: outlines, noise, relief, light."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from factory.sources.greenbench.sheet import Field, Paint, Patch, Points, Sheet

LIGHT = np.array([-0.45, -0.65, 0.62]) / np.linalg.norm([-0.45, -0.65, 0.62])  # from above, left, in front


def colour(*levels: float) -> Paint:
    """A colour in 8-bit levels as a paint."""
    return np.asarray(np.asarray(levels, np.float32) / 255, np.float32)


def varied(paint: ArrayLike, random: Generator, by: float = 0.06) -> Paint:
    """The colour a little off in hue and brightness."""
    off = random.normal(0, by * 0.5, 3) + random.normal(0, by)
    return np.asarray(np.clip(np.asarray(paint) * (1 + off), 0, 1), np.float32)


def circle(x: float, y: float, r: float, *, flat: float = 1.0, turn: float = 0.0, n: int = 72) -> Points:
    """An ellipse: half axes r and r·flat, turned by radians."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    across, down = r * np.cos(t), r * flat * np.sin(t)
    return np.stack(
        [x + across * np.cos(turn) - down * np.sin(turn), y + across * np.sin(turn) + down * np.cos(turn)], 1
    )


def box(left: float, top: float, right: float, bottom: float, r: float = 0.0) -> Points:
    """A rectangle with round corners of radius r."""
    if r <= 0:
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
    t = np.linspace(0, np.pi / 2, 8)
    corners = [(right - r, top + r, -np.pi / 2), (right - r, bottom - r, 0), (left + r, bottom - r, np.pi / 2)]
    corners.append((left + r, top + r, np.pi))
    round_ones = [np.stack([x + r * np.cos(t + a), y + r * np.sin(t + a)], 1) for x, y, a in corners]
    return np.asarray(np.concatenate(round_ones), np.float64)


def rounded(points: ArrayLike, *, closed: bool = True, n: int = 12) -> Points:
    """A smooth curve through the points (Catmull-Rom), n steps between two."""
    p = np.asarray(points, np.float64)
    p = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0, 1, n, endpoint=False)[:, None]
    parts = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True)
    ]
    return np.asarray(np.concatenate(parts if closed else [*parts, p[-2:-1]]), np.float64)


def moved(points: ArrayLike, x: float = 0, y: float = 0, *, turn: float = 0, scale: float = 1) -> Points:
    """Points turned by radians about the origin, scaled, then moved."""
    c, s = np.cos(turn) * scale, np.sin(turn) * scale
    return np.asarray(np.asarray(points, np.float64) @ np.array([[c, s], [-s, c]]) + np.array([x, y]))


def mirrored(points: ArrayLike) -> Points:
    """A half outline, top to bottom on the right side, closed by its mirror image."""
    p = np.asarray(points, np.float64)
    return np.concatenate([p, (p * (-1, 1))[::-1]])


def clouds(shape: tuple[int, int], cells: float, random: Generator, octaves: int = 4) -> Field:
    """Smooth noise of several sizes, about 0..1. cells: of the coarsest across the height."""
    total, weight = np.zeros(shape, np.float32), 0.0
    for octave in range(octaves):
        number = max(2, round(cells * 2**octave))
        grid = random.random((number + 3, round(number * shape[1] / shape[0]) + 3)).astype(np.float32)
        total += cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC) * 0.5**octave
        weight += 0.5**octave
    return np.asarray(np.clip(total / np.float32(weight), 0, 1), np.float32)


def step(low: float, high: float, x: Field) -> Field:
    """From 0 at low to 1 at high, smoothly; low may lie above high."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def relief(sheet: Sheet, patch: Patch, depth: float, soft: float = 0.02) -> Field:
    """Normals (h, w, 3) of a shape as if it were blown up: round over `depth` units from its rim, flat inside.

    z looks at the viewer. soft: units over which edges inside it are smoothed.
    """
    inside = np.pad((patch.cover > 0.5).astype(np.uint8), 1)
    reach = max(depth * sheet.unit, 1.0)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    distance = np.sqrt(np.rint(distance * distance))  # its last bits vary from call to call; squares are integers
    t = np.clip(1 - distance / reach, 0, 1)
    height = np.sqrt(np.maximum(1 - t * t, 0)).astype(np.float32) * np.float32(reach)
    sigma = max(soft * sheet.unit, 0.8)
    height = cv2.GaussianBlur(height, (0, 0), sigma)
    return normals(height)


def turned(patch: Patch) -> Field:
    """Normals (h, w, 3) of a body turned on a lathe that stands upright: each row of it is round."""
    inside = patch.cover > 0.5
    width = inside.shape[1]
    left = inside.argmax(axis=1)[:, None]
    right = (width - 1 - inside[:, ::-1].argmax(axis=1))[:, None]
    across = (np.arange(width) - (left + right) / 2) / np.maximum((right - left) / 2, 1)
    x = np.clip(across, -0.98, 0.98).astype(np.float32)
    return np.dstack([x, np.zeros_like(x), np.sqrt(1 - x * x)])


def normals(height: Field) -> Field:
    """Normals (h, w, 3) of a surface given by its height in fine pixels."""
    x = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=1 / 8)
    y = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=1 / 8)
    n = np.dstack([-x, -y, np.ones_like(x)])
    return np.asarray(n / np.linalg.norm(n, axis=2, keepdims=True), np.float32)


def lit(paint: ArrayLike, n: Field, *, gloss: float = 0.0, ambient: float = 0.42) -> Paint:
    """A matt surface under the studio's light, with a highlight. n: its normals (h, w, 3)."""
    diffuse = np.clip(n @ LIGHT.astype(np.float32), 0, 1)
    half = LIGHT + np.array([0, 0, 1])
    half /= np.linalg.norm(half)
    spark = np.clip(n @ half.astype(np.float32), 0, 1) ** 40
    light = ambient + (1.12 - ambient) * diffuse
    return np.asarray(
        np.clip(np.asarray(paint, np.float32) * light[..., None] + gloss * spark[..., None], 0, 1), np.float32
    )


def grained(sheet: Sheet, patch: Patch, cells: float, by: float) -> Field:
    """(h, w, 1) factor about 1 for a paint: cloth, skin, bark. A piece of the sheet's one noise of that size."""
    if cells not in sheet.grains:
        sheet.grains[cells] = clouds((sheet.side, sheet.side), cells, sheet.random, 3)
    down, across = (int(s * sheet.side) for s in sheet.random.random(2))
    rows = (np.arange(patch.rows.start, patch.rows.stop) + down) % sheet.side
    cols = (np.arange(patch.cols.start, patch.cols.stop) + across) % sheet.side
    return np.asarray(1 + by * (2 * sheet.grains[cells][np.ix_(rows, cols)] - 1), np.float32)[..., None]


def solid(
    sheet: Sheet, patch: Patch, paint: ArrayLike, depth: float = 0.2, *, gloss: float = 0.0, grain: float = 0.05
) -> None:
    """A round, opaque thing of one colour, lit."""
    n = relief(sheet, patch, depth)
    sheet.lay(patch, lit(np.asarray(paint, np.float32) * grained(sheet, patch, 14, grain), n, gloss=gloss))
