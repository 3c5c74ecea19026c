"""Outlines and lines in object coordinates (x right, y down, the object within about −1..1): arrays (N, 2)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]


def points(*pairs: tuple[float, float]) -> Points:
    """Corners as written."""
    return np.array(pairs, np.float64)


def ellipse(x: float, y: float, rx: float, ry: float, n: int = 72) -> Points:
    """A closed ellipse about (x, y)."""
    a = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([x + rx * np.cos(a), y + ry * np.sin(a)], axis=1)


def circle(x: float, y: float, r: float) -> Points:
    """A closed circle about (x, y)."""
    return ellipse(x, y, r, r)


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float, n: int = 32) -> Points:  # noqa: PLR0917
    """An open elliptic arc; angles in degrees, clockwise on the screen from the positive x axis."""
    a = np.radians(np.linspace(start, end, n))
    return np.stack([x + rx * np.cos(a), y + ry * np.sin(a)], axis=1)


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> Points:
    """A rectangle, with rounded corners where a radius is given."""
    if radius <= 0:
        return points((left, top), (right, top), (right, bottom), (left, bottom))
    corners = (
        (right - radius, top + radius, -90),
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 90),
        (left + radius, top + radius, 180),
    )
    return np.concatenate([arc(x, y, radius, radius, a, a + 90, 8) for x, y, a in corners])


def smooth(corners: ArrayLike, closed: bool = True, steps: int = 8) -> Points:
    """A Catmull–Rom curve through the corners."""
    p = np.asarray(corners, np.float64)
    ends = (p[-1:], p[:2]) if closed else (2 * p[:1] - p[1:2], 2 * p[-1:] - p[-2:-1])
    q = np.concatenate([ends[0], p, ends[1]])
    a, b, c, d = q[:-3, None], q[1:-2, None], q[2:-1, None], q[3:, None]
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    line: Points = curve.reshape(-1, 2)
    return line if closed else np.concatenate([line, p[-1:]])


def rays(n: int, inner: float, outer: float | Sequence[float], phase: float = 0.0) -> Points:
    """(2n, 2) corners that alternate between two radii: stars, cogs, petals."""
    a = np.radians(phase) - np.pi / 2 + np.arange(2 * n) * np.pi / n
    r = np.empty(2 * n)
    r[0::2], r[1::2] = outer, inner
    return np.stack([r * np.cos(a), r * np.sin(a)], axis=1)


def turned(p: ArrayLike, degrees: float, about: tuple[float, float] = (0.0, 0.0)) -> Points:
    """Rotated clockwise on the screen about a point; works on (..., 2)."""
    a = np.radians(degrees)
    rotation = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    moved: Points = (np.asarray(p, np.float64) - about) @ rotation.T + about
    return moved


def placed(p: ArrayLike, x: float, y: float, scale: float = 1.0, degrees: float = 0.0) -> Points:
    """Turned and scaled about the origin, then moved to (x, y)."""
    return turned(p, degrees) * scale + (x, y)


def mirrored(p: ArrayLike) -> Points:
    """Reflected in the vertical axis."""
    return np.asarray(p, np.float64) * (-1, 1)


def bezier(controls: ArrayLike, n: int = 12) -> Points:
    """Cubic Bézier curves: controls (..., 4, 2) to points (..., n, 2)."""
    t = np.linspace(0, 1, n)[:, None]
    weights = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3], axis=1)
    curve: Points = weights @ np.asarray(controls, np.float64)
    return curve


def ribbon(line: Points, width: ArrayLike) -> Points:
    """The outline of a line with a width (one number, or one per point)."""
    along = np.gradient(line, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.hypot(along[:, 0], along[:, 1])[:, None]
    side = normal * np.broadcast_to(np.asarray(width, np.float64), len(line))[:, None] / 2
    return np.concatenate([line + side, (line - side)[::-1]])
