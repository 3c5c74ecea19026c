"""Nets, grids, lace and wire: thin lines with the screen showing through."""

import numpy as np

from factory.sources.procedural.canvas import Canvas
from factory.sources.procedural.palette import INK, METAL, WOOD, rgb, tone
from factory.sources.procedural.registry import object_class
from factory.sources.procedural.shapes import Points, arc, box, circle, ellipse, points, rays, smooth, turned

PALE = ("white", "gray", "black", "gold", "cyan", "pink", "yellow", "red", "purple", "blue")


def _spokes(n: int, inner: float, outer: float, phase: float = 0.0) -> list[Points]:
    a = phase + np.arange(n) * 2 * np.pi / n
    d = np.stack([np.cos(a), np.sin(a)], axis=1)
    return [np.stack([inner * e, outer * e]) for e in d]


@object_class("spider web", colours=PALE, turn=20)
def spider_web(canvas: Canvas) -> None:
    rng = canvas.rng
    n = int(rng.integers(8, 12))
    a = np.arange(n + 1) * 2 * np.pi / n + rng.normal(0, 0.06, n + 1)
    a[-1] = a[0] + 2 * np.pi
    reach = rng.uniform(0.88, 1.0, n)
    reach = np.append(reach, reach[0])
    tips = np.stack([np.cos(a), np.sin(a)], axis=1) * reach[:, None]
    ink = canvas.lit(canvas.colour, 0.2)
    canvas.stroke([np.stack([np.zeros(2), t]) for t in tips], 0.035, ink)
    rings = []
    for r in np.linspace(0.2, 0.9, int(rng.integers(5, 7))):
        for p, q in zip(tips[:-1] * r, tips[1:] * r, strict=True):
            sag = (p + q) / 2 * 0.84
            t = np.linspace(0, 1, 7)[:, None]
            rings.append((1 - t) ** 2 * p + 2 * t * (1 - t) * sag + t * t * q)
    canvas.stroke(rings, 0.028, ink)
    if rng.random() < 0.5:
        _spider(canvas, float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-0.2, 0.3)))


def _spider(canvas: Canvas, x: float, y: float) -> None:
    dark = INK if canvas.colour.mean() > 0.2 else rgb(150, 30, 30)
    legs = [
        smooth([(x, y), (x + s * 0.16, y + d - 0.08), (x + s * 0.24, y + d * 2)], closed=False)
        for s in (-1, 1)
        for d in (-0.1, -0.02, 0.06, 0.13)
    ]
    canvas.stroke(legs, 0.03, dark)
    canvas.fill([ellipse(x, y + 0.07, 0.1, 0.13), circle(x, y - 0.08, 0.07)], dark)


@object_class(
    "fence", colours=("gray", "white", "black", "red", "blue", "gold", "brown", "purple", "cyan", "orange"), turn=4
)
def fence(canvas: Canvas) -> None:
    rng = canvas.rng
    n = int(rng.integers(4, 7))
    step = 1.7 / n
    diagonals = []
    for k in range(-n, n + 1):
        x = -0.85 + np.array([k, k + n]) * step
        low, high = np.clip(x, -0.85, 0.85)
        rise = points((low, -0.75 + low - x[0]), (high, -0.75 + high - x[0]))
        diagonals += [rise * (1, 0.93), rise * (-1, 0.93)]
    canvas.stroke([d for d in diagonals if np.ptp(d[:, 0]) > 1e-6], 0.045, canvas.lit(tone(canvas.colour, 0.1), 0.2))
    canvas.stroke([points((-0.9, y), (0.9, y)) for y in (-0.72, 0.84)], 0.08, canvas.lit(canvas.colour))
    for post in (-0.9, 0.9):
        body = box(post - 0.08, -0.95, post + 0.08, 1.0, 0.07)
        canvas.fill(body, canvas.tube(canvas.colour, (canvas.u - post) / 0.08))


@object_class("doily", colours=PALE, turn=45)
def doily(canvas: Canvas) -> None:
    rng = canvas.rng
    n = int(rng.integers(9, 14))
    a = np.arange(n) * 2 * np.pi / n
    spread = np.pi / n
    cloth = canvas.lit(canvas.colour, 0.2)
    scallops = [circle(0.82 * np.cos(t), 0.82 * np.sin(t), 0.84 * np.sin(spread) * 1.12) for t in a]
    holes = [circle(0.86 * np.cos(t), 0.86 * np.sin(t), 0.11) for t in a]
    holes += [
        ellipse(0, 0, 0.13, 0.06) @ np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])
        + 0.62 * np.array([np.cos(t), np.sin(t)])
        for t in a + spread
    ]
    holes += [circle(0.4 * np.cos(t), 0.4 * np.sin(t), 0.07) for t in a[: n - n % 2 : 1]]
    petals = np.arange(6) * np.pi / 3
    holes += [
        ellipse(0, 0, 0.09, 0.045) @ np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])
        + 0.18 * np.array([np.cos(t), np.sin(t)])
        for t in petals
    ]
    canvas.fill([circle(0, 0, 0.84), *scallops], cloth, holes)
    seam = tone(canvas.colour, -0.28 if canvas.colour.mean() > 0.3 else 0.3)
    canvas.stroke([circle(0, 0, r)[np.r_[0:72, 0]] for r in (0.29, 0.5, 0.75)], 0.022, seam)


@object_class("bicycle wheel", turn=30)
def bicycle_wheel(canvas: Canvas) -> None:
    rng = canvas.rng
    canvas.stroke(_spokes(int(rng.integers(12, 19)), 0.08, 0.86, float(rng.random())), 0.026, canvas.lit(METAL, 0.3))
    canvas.fill(circle(0, 0, 1.0), canvas.lit(canvas.colour, 0.35), [circle(0, 0, 0.82)])
    canvas.fill(circle(0, 0, 0.83), canvas.lit(METAL, 0.4), [circle(0, 0, 0.76)])
    canvas.fill(circle(0, 0, 0.14), canvas.ball(canvas.colour, 0, 0, 0.2))
    canvas.fill(circle(0, 0, 0.05), INK)


@object_class("racket", turn=35)
def racket(canvas: Canvas) -> None:
    rng = canvas.rng
    string = rgb(238, 236, 226) if canvas.colour.mean() < 0.85 else rgb(60, 60, 66)
    grid = []
    for t in np.linspace(-1, 1, int(rng.integers(8, 11)))[1:-1]:
        reach = np.sqrt(1 - t * t)
        grid.append(points((0.46 * t, -0.45 - 0.58 * reach), (0.46 * t, -0.45 + 0.58 * reach)))
    for t in np.linspace(-1, 1, int(rng.integers(9, 12)))[1:-1]:
        reach = np.sqrt(1 - t * t)
        grid.append(points((-0.46 * reach, -0.45 + 0.58 * t), (0.46 * reach, -0.45 + 0.58 * t)))
    canvas.stroke(grid, 0.024, string)
    frame = canvas.lit(canvas.colour, 0.35)
    canvas.stroke([points((-0.28, 0.02), (0, 0.42)), points((0.28, 0.02), (0, 0.42))], 0.09, frame)
    canvas.fill(ellipse(0, -0.45, 0.56, 0.68), frame, [ellipse(0, -0.45, 0.45, 0.57)])
    canvas.fill(box(-0.085, 0.36, 0.085, 1.15, 0.05), canvas.tube(canvas.colour, canvas.u / 0.085))
    canvas.stroke(
        [points((-0.075, y), (0.075, y + 0.07)) for y in np.arange(0.62, 1.1, 0.11)], 0.03, tone(canvas.colour, -0.5)
    )


@object_class("ladder", turn=14)
def ladder(canvas: Canvas) -> None:
    n = int(canvas.rng.integers(5, 8))
    foot, head = 0.46, canvas.rng.uniform(0.32, 0.46)
    y = np.linspace(-0.82, 0.82, n)
    x = head + (foot - head) * (y + 1) / 2
    canvas.stroke(
        [points((-a, b), (a, b)) for a, b in zip(x, y, strict=True)], 0.085, canvas.lit(tone(canvas.colour, -0.22), 0.2)
    )
    for side in (-1, 1):
        canvas.stroke(points((side * head, -1), (side * foot, 1)), 0.13, canvas.lit(canvas.colour))


@object_class("comb", patterns=("striped",), turn=25)
def comb(canvas: Canvas) -> None:
    n = int(canvas.rng.integers(13, 19))
    pitch = 1.9 / n
    gaps = [
        box(-0.88 + (k + 0.5) * pitch * 0.98, -0.05, -0.88 + (k + 1.0) * pitch * 0.98, 0.6, 0.02) for k in range(n - 1)
    ]
    back = canvas.rng.uniform(0.35, 0.5)
    body = np.concatenate(
        [
            smooth([(-0.98, -0.1), (-0.9, -back), (0, -back - 0.08), (0.9, -back), (0.98, -0.1)], closed=False),
            points((0.96, 0.5), (-0.96, 0.5)),
        ]
    )
    canvas.fill(body, canvas.body(0.35), gaps)
    canvas.stroke(
        points((-0.8, -0.22), (0.8, -0.22)), 0.04, tone(canvas.colour, 0.5 if canvas.colour.mean() < 0.7 else -0.35)
    )


@object_class("birdcage", turn=6)
def birdcage(canvas: Canvas) -> None:
    rng = canvas.rng
    wire = canvas.lit(canvas.colour, 0.3)
    canvas.stroke([points((-0.62, 0.72), (0.62, 0.72))], 0.06, wire)
    for x in np.linspace(-1, 1, int(rng.integers(7, 10))):
        dome = arc(0, -0.2, 0.62 * abs(x) + 1e-3, 0.62, 270, 360 if x > 0 else 180, 14)
        canvas.stroke(np.concatenate([dome, points((0.62 * x, 0.75))]), 0.042, wire)
    canvas.stroke([arc(0, y, 0.62, 0.07, 0, 180, 20) for y in (-0.2, 0.28)], 0.045, wire)
    canvas.stroke(circle(0, -0.93, 0.1)[np.r_[0:72, 0]], 0.045, wire)
    canvas.fill(box(-0.7, 0.7, 0.7, 0.9, 0.06), canvas.lit(tone(canvas.colour, -0.15)))
    if rng.random() < 0.6:
        bird = rgb(*(int(c) for c in rng.choice([[250, 210, 40], [220, 60, 50], [70, 130, 230]])))
        canvas.fill(
            [ellipse(0, 0.3, 0.2, 0.15), circle(0.14, 0.14, 0.11), points((-0.15, 0.28), (-0.38, 0.42), (-0.12, 0.4))],
            bird,
        )
        canvas.fill(points((0.23, 0.11), (0.34, 0.16), (0.23, 0.19)), rgb(250, 140, 20))
        canvas.fill(circle(0.17, 0.12, 0.025), INK)
        canvas.stroke(points((-0.55, 0.46), (0.55, 0.46)), 0.035, WOOD)


@object_class(
    "net", colours=("white", "red", "yellow", "blue", "orange", "pink", "purple", "cyan", "black", "gray"), turn=12
)
def net(canvas: Canvas) -> None:
    """A butterfly net: a hoop on a pole with a bag of mesh."""
    rng = canvas.rng
    deep = rng.uniform(0.95, 1.15)
    mesh = canvas.lit(canvas.colour, 0.2)
    outline = smooth(
        [(-0.5, -0.5), (-0.4, 0.0), (-0.1, deep - 0.5), (0.1, deep - 0.5), (0.4, 0.0), (0.5, -0.5)], closed=False
    )
    lines = [outline]
    for t in np.linspace(0.12, 0.85, 5):
        half = 0.5 * (1 - t**2.2) ** 0.6
        lines.append(arc(0, -0.5 + deep * t, half, 0.06, 0, 180, 14))
    for x in np.linspace(-0.72, 0.72, 5):
        s = np.linspace(0, 0.96, 10)
        lines.append(np.stack([0.5 * x * (1 - s**2.2) ** 0.6, -0.44 + deep * s], axis=1))
    canvas.stroke(points((0.44, -0.5), (0.95, 1.0)), 0.11, canvas.lit(WOOD))
    canvas.stroke(lines, 0.04, mesh)
    canvas.fill(ellipse(0, -0.5, 0.58, 0.2), canvas.lit(tone(canvas.colour, -0.25)), [ellipse(0, -0.5, 0.48, 0.12)])


@object_class("spring", turn=25)
def spring(canvas: Canvas) -> None:
    """A wire coil: the far half of every turn first, the near half over it."""
    turns, wide = int(canvas.rng.integers(5, 8)), canvas.rng.uniform(0.36, 0.5)
    pitch = 1.7 / turns
    for start, shade in ((180, -0.5), (0, 0.05)):
        halves = []
        for k in range(turns):
            p = arc(0, 0, wide, 0.12, start, start + 180, 18)
            slope = np.linspace(0, 0.5, 18) + (0.5 if start else 0.0)
            halves.append(p + np.stack([np.zeros(18), -0.85 + pitch * (k + slope)], axis=1))
        canvas.stroke(halves, 0.105, canvas.lit(tone(canvas.colour, shade), 0.3))
        if not start:
            canvas.stroke([h[4:12] - (0, 0.025) for h in halves], 0.025, tone(canvas.colour, 0.65))


@object_class("snowflake", colours=("white", "cyan", "blue", "purple", "gray", "pink", "gold", "red"), turn=30)
def snowflake(canvas: Canvas) -> None:
    rng = canvas.rng
    twigs = [points((0, -0.1), (0, -1.0))]
    for y, length in ((0.38, rng.uniform(0.2, 0.32)), (0.62, rng.uniform(0.24, 0.34)), (0.84, rng.uniform(0.1, 0.18))):
        twigs += [points((0, -y), (s * length * 0.86, -y - length * 0.5)) for s in (-1, 1)]
    arms = [turned(t, 60.0 * k) for k in range(6) for t in twigs]
    canvas.stroke(arms, rng.uniform(0.075, 0.1), canvas.lit(canvas.colour, 0.25))
    canvas.stroke(
        [turned(points((0, -0.08), (0, -0.92)), 60.0 * k) for k in range(6)],
        0.025,
        tone(canvas.colour, 0.6 if canvas.colour.mean() < 0.8 else -0.3),
    )
    canvas.fill(rays(6, 0.13, 0.24, 30), canvas.colour)
