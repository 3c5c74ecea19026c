"""Leaves, flowers, trees and fruit."""

import numpy as np

from factory.sources.procedural.canvas import Canvas
from factory.sources.procedural.palette import SNOW, WOOD, Paint, rgb, tone
from factory.sources.procedural.registry import object_class
from factory.sources.procedural.shapes import Points, bezier, circle, ellipse, mirrored, placed, points, ribbon, smooth

AUTUMN = ("red", "orange", "yellow", "brown", "purple", "pink", "gold", "blue", "white")
BLOOM = ("red", "orange", "yellow", "blue", "purple", "pink", "white", "cyan", "black")


def _leaf_outline(wide: float) -> Points:
    half = smooth([(0, -1.0), (wide * 0.5, -0.6), (wide, -0.05), (wide * 0.75, 0.4), (0, 0.72)], closed=False)
    return np.concatenate([half, mirrored(half)[::-1]])


@object_class("leaf", colours=AUTUMN, turn=40)
def leaf(canvas: Canvas) -> None:
    rng = canvas.rng
    wide = rng.uniform(0.45, 0.62)
    canvas.stroke(bezier(np.array([[0, 0.6], [0, 0.8], [0.05, 0.9], [0.12, 1.15]])), 0.075, tone(canvas.colour, -0.35))
    canvas.fill(_leaf_outline(wide), canvas.lit(canvas.colour, 0.35))
    vein = tone(canvas.colour, 0.5 if canvas.colour.mean() < 0.7 else -0.3)
    canvas.stroke(points((0, -0.8), (0, 0.66)), 0.05, vein)
    ribs = []
    for y in np.linspace(-0.45, 0.45, 5):
        reach = wide * (0.72 - 0.45 * abs(y + 0.05))
        ribs += [points((0, y), (s * reach, y - 0.24)) for s in (-1, 1)]
    canvas.stroke(ribs, 0.032, vein)


@object_class("maple leaf", colours=("red", "orange", "yellow", "brown", "purple", "gold"), turn=30)
def maple_leaf(canvas: Canvas) -> None:
    half = points(
        (0, -1),
        (0.16, -0.68),
        (0.32, -0.76),
        (0.26, -0.3),
        (0.36, -0.24),
        (0.58, -0.5),
        (0.66, -0.34),
        (0.98, -0.38),
        (0.84, -0.1),
        (0.95, -0.02),
        (0.5, 0.34),
        (0.56, 0.48),
        (0.06, 0.42),
    )
    canvas.fill(np.concatenate([half, mirrored(half)[::-1]]), canvas.lit(canvas.colour, 0.4))
    vein = tone(canvas.colour, -0.38)
    canvas.stroke(points((0, 0.3), (0.02, 1.0)), 0.08, vein)
    canvas.stroke(
        [points((0, 0.42), tip) for tip in ((0, -0.75), (0.62, -0.2), (-0.62, -0.2), (0.4, 0.35), (-0.4, 0.35))],
        0.04,
        vein,
    )


@object_class("fern", colours=("brown", "red", "orange", "purple", "gold", "blue", "white", "black"), turn=25)
def fern(canvas: Canvas) -> None:
    rng = canvas.rng
    stem = bezier(
        np.array([[0, 1.1], [0.05, 0.4], [rng.uniform(-0.1, 0.15), -0.4], [rng.uniform(0.05, 0.3), -1.0]]), 40
    )
    shades: list[Paint] = [canvas.lit(tone(canvas.colour, t), 0.2) for t in (-0.22, 0.12)]
    for i in range(5, 39, 2):
        length = 0.62 * (1 - i / 40) ** 0.75 * (0.6 + 0.4 * min(1.0, i / 12)) + 0.05
        for side in (-1.0, 1.0):
            end = stem[i] + (side * length, -0.34 * length)
            middle = (stem[i] + end) / 2 + (0, -0.1 * length)
            line = smooth(np.stack([stem[i], middle, end]), closed=False, steps=5)
            width = 0.085 * np.sin(np.linspace(0.35, np.pi * 0.98, len(line)))
            canvas.fill(ribbon(line, width), shades[i // 2 % 2])
    canvas.fill(ribbon(stem, np.linspace(0.075, 0.02, 40)), tone(canvas.colour, -0.35))


@object_class("tree", colours=("red", "orange", "yellow", "brown", "pink", "purple", "white", "gold", "blue"), turn=4)
def tree(canvas: Canvas) -> None:
    rng = canvas.rng
    bark = canvas.lit(rgb(96, 62, 40), 0.3)
    canvas.fill(points((-0.1, 0.0), (0.1, 0.0), (0.13, 0.8), (0.24, 1.0), (-0.24, 1.0), (-0.13, 0.8)), bark)
    canvas.stroke([points((0, 0.35), (-0.4, -0.05)), points((0, 0.3), (0.42, -0.1))], 0.08, bark)
    n = 150
    a, r = rng.uniform(0, 2 * np.pi, n), np.sqrt(rng.random(n))
    x, y = 0.72 * r * np.cos(a), -0.35 + 0.58 * r * np.sin(a)
    order = np.argsort(-y + 0.3 * rng.random(n))
    for k, part in enumerate(np.array_split(order, 10)):
        clumps = [
            smooth(placed(_clump(), x[i], y[i], rng.uniform(0.1, 0.17), rng.uniform(0, 360)), steps=2) for i in part
        ]
        canvas.fill(clumps, canvas.lit(tone(canvas.colour, -0.42 + 0.075 * k + rng.uniform(-0.08, 0.08)), 0.2))


def _clump() -> Points:
    a = np.arange(10) * np.pi / 5
    r = np.array([1.0, 0.7] * 5)
    return np.stack([r * np.cos(a), r * np.sin(a)], axis=1)


@object_class("palm tree", colours=("brown", "orange", "yellow", "red", "purple", "pink", "gold", "blue"), turn=6)
def palm_tree(canvas: Canvas) -> None:
    rng = canvas.rng
    lean = rng.uniform(0.1, 0.35)
    trunk = bezier(np.array([[-lean, 1.1], [-lean * 0.6, 0.5], [0, 0.1], [0, -0.4]]), 20)
    canvas.fill(ribbon(trunk, np.linspace(0.2, 0.11, 20)), canvas.lit(rgb(140, 100, 62)))
    rings = [points((p[0] - 0.07, p[1]), (p[0] + 0.07, p[1])) for p in trunk[2:-2:2]]
    canvas.stroke(rings, 0.03, rgb(92, 62, 38))
    for k, angle in enumerate(rng.permutation(np.linspace(-205, 25, 8))):
        a = np.radians(angle + rng.uniform(-6, 6))
        d = np.array([np.cos(a), np.sin(a)])
        spine = bezier(
            np.array(
                [
                    [0, -0.4],
                    (0, -0.4) + d * 0.4 + (0, -0.12),
                    (0, -0.4) + d * 0.75 + (0, 0.02),
                    (0, -0.4) + d * 0.85 + (0, 0.36),
                ]
            ),
            14,
        )
        shade = canvas.lit(tone(canvas.colour, -0.3 + 0.08 * k), 0.2)
        canvas.fill(ribbon(spine, 0.2 * np.sin(np.linspace(0.3, np.pi - 0.05, 14))), shade)
        canvas.stroke(spine, 0.025, tone(canvas.colour, -0.55))
    canvas.fill([circle(-0.08, -0.32, 0.08), circle(0.09, -0.3, 0.08)], rgb(90, 54, 30))


@object_class("flower", colours=BLOOM, turn=15)
def flower(canvas: Canvas) -> None:
    rng = canvas.rng
    stem = bezier(np.array([[0, -0.3], [0.08, 0.2], [-0.06, 0.6], [rng.uniform(-0.15, 0.15), 1.25]]), 20)
    twig = rgb(116, 82, 58)
    canvas.fill(ribbon(stem, 0.09), canvas.lit(twig))
    canvas.fill(placed(_leaf_outline(0.45), 0.28, 0.55, 0.34, 62), canvas.lit(tone(twig, 0.12)))
    n = int(rng.integers(5, 9))
    wide = 0.42 * np.pi / n + 0.06
    for k in range(n):
        petal = placed(
            smooth([(0, -0.05), (wide, -0.4), (wide * 0.8, -0.68), (0, -0.76), (-wide * 0.8, -0.68), (-wide, -0.4)]),
            0,
            -0.35,
            1.0,
            360 * k / n,
        )
        canvas.fill(petal, canvas.lit(tone(canvas.colour, 0.12 if k % 2 else -0.16), 0.3))
    heart = (
        rgb(250, 200, 30) if abs(float(canvas.colour[0] - 0.95)) + float(canvas.colour[2]) > 0.5 else rgb(110, 60, 30)
    )
    canvas.fill(circle(0, -0.35, 0.2), canvas.ball(heart, 0, -0.35, 0.22, 0.2))


@object_class(
    "mushroom",
    colours=("red", "orange", "brown", "purple", "blue", "pink", "yellow", "gold", "black", "cyan"),
    patterns=("spotted",),
    turn=12,
)
def mushroom(canvas: Canvas) -> None:
    rng = canvas.rng
    stalk = rgb(240, 228, 206)
    w = rng.uniform(0.19, 0.28)
    canvas.fill(
        smooth(
            [(-w, -0.1), (-w * 0.85, 0.45), (-w * 1.3, 0.85), (0, 0.95), (w * 1.3, 0.85), (w * 0.85, 0.45), (w, -0.1)]
        ),
        canvas.tube(stalk, canvas.u / (w * 1.3), 0.1),
    )
    canvas.fill(ellipse(0, 0.02, 0.72, 0.16), tone(stalk, -0.35))
    high = rng.uniform(0.75, 1.0)
    cap = smooth(
        [
            (-0.95, 0.02),
            (-0.8, -0.45 * high),
            (0, -0.95 * high),
            (0.8, -0.45 * high),
            (0.95, 0.02),
            (0.5, 0.1),
            (0, 0.0),
            (-0.5, 0.1),
        ]
    )
    canvas.fill(cap, canvas.ball(canvas.colour, 0, -0.1, 1.1, 0.3))
    if canvas.pattern:
        for x, y, r in (
            (-0.5, -0.3, 0.13),
            (0.05, -0.62, 0.16),
            (0.5, -0.28, 0.15),
            (-0.08, -0.22, 0.13),
            (0.78, -0.06, 0.08),
            (-0.78, -0.06, 0.08),
        ):
            canvas.fill(ellipse(x, y * high, r, r * 0.85), SNOW)


@object_class("apple", colours=("red", "yellow", "orange", "pink", "gold", "purple", "blue", "white"), turn=12)
def apple(canvas: Canvas) -> None:
    half = smooth(
        [(0, -0.5), (0.3, -0.68), (0.75, -0.52), (0.88, -0.02), (0.68, 0.58), (0.32, 0.86), (0, 0.78)], closed=False
    )
    canvas.fill(np.concatenate([half, mirrored(half)[::-1]]), canvas.ball(canvas.colour, 0, 0.08, 0.98, 0.6))
    canvas.fill(ellipse(0, -0.5, 0.2, 0.07), tone(canvas.colour, -0.5))
    canvas.stroke(bezier(np.array([[0, -0.5], [0, -0.7], [0.04, -0.85], [0.12, -1.0]])), 0.1, WOOD)
    canvas.fill(placed(_leaf_outline(0.5), 0.38, -0.86, 0.32, 65), canvas.lit(rgb(150, 104, 60)))


@object_class(
    "cherries", colours=("red", "black", "purple", "pink", "orange", "yellow", "blue"), turn=15, article=False
)
def cherries(canvas: Canvas) -> None:
    rng = canvas.rng
    top = (rng.uniform(-0.05, 0.25), -1.0)
    for x, y in ((-0.48, 0.5), (0.5, 0.62)):
        canvas.stroke(bezier(np.array([[x, y - 0.3], [x * 0.9, -0.1], [top[0], -0.6], top])), 0.065, rgb(120, 84, 50))
    canvas.fill(placed(_leaf_outline(0.5), top[0] + 0.38, -0.88, 0.42, 75), canvas.lit(rgb(160, 116, 66)))
    for x, y in ((-0.48, 0.5), (0.5, 0.62)):
        canvas.fill(circle(x, y, 0.44), canvas.ball(canvas.colour, x, y, 0.44, 0.9))
