"""Tools, instruments and vehicles: hard edges, holes and thin parts."""

import numpy as np

from factory.sources.procedural.canvas import Canvas
from factory.sources.procedural.palette import INK, METAL, SNOW, WOOD, rgb, tone
from factory.sources.procedural.registry import object_class
from factory.sources.procedural.shapes import arc, box, circle, ellipse, mirrored, points, smooth, turned


@object_class("gear", turn=45)
def gear(canvas: Canvas) -> None:
    rng = canvas.rng
    n = int(rng.integers(8, 13))
    a = np.arange(n)[:, None] * 2 * np.pi / n + np.array([-0.52, -0.3, 0.3, 0.52]) * np.pi / n
    r = np.tile(np.array([0.76, 1.0, 1.0, 0.76]), (n, 1))
    teeth = np.stack([(r * np.cos(a)).ravel(), (r * np.sin(a)).ravel()], axis=1)
    holes = [circle(0, 0, rng.uniform(0.16, 0.22))]
    if rng.random() < 0.6:
        holes += [turned(circle(0.48, 0, 0.14), 60.0 * k) for k in range(6)]
    canvas.fill(teeth, canvas.lit(canvas.colour, 0.4), holes)
    canvas.stroke(circle(0, 0, 0.69)[np.r_[0:72, 0]], 0.045, tone(canvas.colour, -0.4))
    canvas.stroke(circle(0, 0, 0.29)[np.r_[0:72, 0]], 0.045, tone(canvas.colour, -0.4))


@object_class("key", turn=35)
def key(canvas: Canvas) -> None:
    rng = canvas.rng
    metal = canvas.lit(canvas.colour, 0.4)
    bow = rng.uniform(0.4, 0.48)
    teeth = [
        box(0.0, y, 0.12 + reach, y + 0.12)
        for y, reach in zip((0.52, 0.7, 0.88), rng.permutation([0.2, 0.28, 0.34]), strict=True)
    ]
    canvas.fill([box(-0.1, -0.4, 0.1, 1.05, 0.04), *teeth], metal)
    canvas.fill(ellipse(0, -0.58, bow, bow * 0.98), metal, [circle(0, -0.6, bow * 0.5)])
    canvas.fill(box(-0.17, -0.14, 0.17, -0.02, 0.03), canvas.lit(tone(canvas.colour, -0.3)))
    canvas.stroke(arc(0, -0.58, bow * 0.76, bow * 0.76, 150, 290, 20), 0.05, tone(canvas.colour, 0.55))


@object_class("scissors", turn=30, article=False)
def scissors(canvas: Canvas) -> None:
    open_angle = canvas.rng.uniform(9, 19)
    blade = points((-0.11, 0.12), (-0.1, -0.5), (0.02, -1.1), (0.1, -0.45), (0.11, 0.12))
    for side in (-1.0, 1.0):
        canvas.fill(turned(blade, side * open_angle), canvas.lit(tone(METAL, 0.15 * side), 0.3))
        ring = turned(ellipse(-side * 0.2, 0.72, 0.29, 0.36), side * open_angle)
        hole = turned(ellipse(-side * 0.2, 0.72, 0.155, 0.22), side * open_angle)
        arm = turned(
            points((-0.1, 0.05), (0.1, 0.05), (-side * 0.2 + 0.1, 0.5), (-side * 0.2 - 0.1, 0.5)), side * open_angle
        )
        canvas.fill([ring, arm], canvas.lit(tone(canvas.colour, 0.06 * side), 0.35), [hole])
    canvas.fill(circle(0, 0.05, 0.07), rgb(70, 72, 80))


@object_class("hammer", turn=35)
def hammer(canvas: Canvas) -> None:
    """The colour is the head's and the grip's."""
    canvas.fill(box(-0.085, -0.7, 0.085, 1.1, 0.07), canvas.tube(WOOD, canvas.u / 0.085))
    canvas.fill(box(-0.15, 0.2, 0.15, 1.1, 0.1), canvas.tube(canvas.colour, canvas.u / 0.15))
    head = np.concatenate(
        [
            points((0.66, -1.06), (0.66, -0.38), (0.4, -0.46), (-0.15, -0.46)),
            smooth([(-0.3, -0.52), (-0.6, -0.45), (-0.9, -0.12), (-0.76, -0.62), (-0.3, -0.98)], closed=False),
            points((0.4, -0.98)),
        ]
    )
    canvas.fill(head, canvas.lit(canvas.colour, 0.4))
    canvas.stroke(points((-0.1, -0.8), (0.35, -0.82)), 0.06, tone(canvas.colour, 0.5))


@object_class("anchor", turn=15)
def anchor(canvas: Canvas) -> None:
    iron = canvas.lit(canvas.colour, 0.35)
    canvas.stroke(circle(0, -0.78, 0.18)[np.r_[0:72, 0]], 0.11, iron)
    canvas.stroke(points((0, -0.6), (0, 0.85)), 0.17, iron)
    canvas.stroke(points((-0.42, -0.4), (0.42, -0.4)), 0.14, iron)
    canvas.stroke(arc(0, 0.12, 0.76, 0.74, 8, 172, 32), 0.15, iron)
    barb = points((0.76, -0.12), (0.98, 0.32), (0.5, 0.28))
    canvas.fill([barb, mirrored(barb)], iron)
    canvas.stroke(points((-0.03, -0.52), (-0.03, 0.7)), 0.04, tone(canvas.colour, 0.5))


@object_class("guitar", turn=30)
def guitar(canvas: Canvas) -> None:
    neck = rgb(84, 52, 32) if canvas.colour.mean() > 0.3 else rgb(176, 124, 72)
    canvas.fill(box(-0.075, -0.95, 0.075, 0.2), canvas.lit(neck))
    canvas.fill(points((-0.13, -1.22), (0.13, -1.22), (0.09, -0.92), (-0.09, -0.92)), tone(neck, -0.3))
    half = smooth(
        [(0, -0.12), (0.28, -0.14), (0.4, 0.08), (0.29, 0.33), (0.52, 0.68), (0.38, 1.02), (0, 1.12)], closed=False
    )
    body = np.concatenate([half, mirrored(half)[::-1]])
    canvas.fill(body, tone(canvas.colour, -0.5))
    canvas.fill((body - (0, 0.5)) * 0.91 + (0, 0.5), canvas.lit(canvas.colour, 0.4))
    canvas.fill(circle(0, 0.3, 0.16), INK if canvas.colour.mean() > 0.2 else WOOD)
    canvas.fill(box(-0.2, 0.72, 0.2, 0.8), tone(neck, -0.3))
    canvas.stroke([points((x, -0.95), (x, 0.75)) for x in (-0.04, 0.04)], 0.018, rgb(236, 230, 214))
    canvas.fill([circle(s * 0.17, y, 0.045) for s in (-1, 1) for y in (-1.16, -1.03)], METAL)


@object_class("rocket", patterns=("striped",), turn=25)
def rocket(canvas: Canvas) -> None:
    trim = rgb(230, 50, 50) if np.abs(canvas.colour - rgb(230, 50, 50)).sum() > 0.6 else rgb(240, 240, 244)
    fire = smooth([(-0.2, 0.6), (-0.22, 0.85), (0, 1.25), (0.22, 0.85), (0.2, 0.6)])
    canvas.fill(fire, rgb(255, 150, 30))
    canvas.fill(fire * (0.5, 0.7) + (0, 0.2), rgb(255, 232, 110))
    fin = points((0.28, 0.15), (0.66, 0.55), (0.62, 0.85), (0.25, 0.62))
    canvas.fill([fin, mirrored(fin)], canvas.lit(trim))
    half = smooth([(0, -1.0), (0.27, -0.6), (0.36, -0.05), (0.26, 0.66)], closed=False)
    canvas.fill(np.concatenate([half, mirrored(half)[::-1]]), canvas.tube(canvas.patterned(0.9), canvas.u / 0.38, 0.4))
    nose = half[half[:, 1] < -0.58]
    canvas.fill(np.concatenate([nose, mirrored(nose)[::-1]]), canvas.lit(trim))
    canvas.fill(circle(0, -0.2, 0.2), tone(METAL, 0.3))
    canvas.fill(circle(0, -0.2, 0.14), canvas.ball(rgb(70, 140, 220), 0, -0.2, 0.16, 0.8))


@object_class("sailboat", patterns=("striped",), turn=8)
def sailboat(canvas: Canvas) -> None:
    """The colour is the sails' and the line's on the hull."""
    canvas.stroke(points((0, -1.0), (0, 0.5)), 0.07, canvas.lit(WOOD))
    canvas.fill(
        smooth([(0.07, -0.92), (0.5, -0.3), (0.78, 0.34), (0.4, 0.36), (0.07, 0.34)], steps=4), canvas.body(0.35)
    )
    canvas.fill(points((-0.07, -0.75), (-0.07, 0.34), (-0.66, 0.34)), canvas.lit(tone(canvas.colour, -0.18), 0.3))
    hull = WOOD if np.abs(canvas.colour - WOOD).sum() > 0.5 else SNOW
    canvas.fill(
        np.concatenate(
            [
                points((-0.92, 0.48), (0.98, 0.48)),
                smooth([(0.75, 0.82), (0.5, 0.95), (-0.5, 0.95), (-0.72, 0.82)], closed=False),
            ]
        ),
        canvas.lit(hull),
    )
    canvas.stroke(points((-0.8, 0.62), (0.84, 0.62)), 0.08, canvas.colour)


@object_class("car", turn=4)
def car(canvas: Canvas) -> None:
    rng = canvas.rng
    cabin = smooth([(-0.62, -0.02), (-0.42, -0.46), (0.22, -0.48), (0.56, -0.02)], steps=6, closed=False)
    canvas.fill(cabin, canvas.lit(tone(canvas.colour, -0.12)))
    pane = rgb(176, 214, 242) if rng.random() < 0.6 else rgb(52, 60, 78)
    canvas.fill(
        [
            points((-0.48, -0.06), (-0.34, -0.38), (-0.08, -0.38), (-0.08, -0.06)),
            points((0.02, -0.06), (0.02, -0.38), (0.18, -0.38), (0.4, -0.06)),
        ],
        pane,
    )
    canvas.fill(
        smooth(
            [
                (-0.95, 0.1),
                (-0.8, -0.06),
                (0, -0.08),
                (0.6, -0.04),
                (0.92, 0.08),
                (1.0, 0.3),
                (0.92, 0.42),
                (-0.92, 0.42),
                (-1.0, 0.3),
            ]
        ),
        canvas.lit(canvas.colour, 0.4),
    )
    canvas.stroke(
        points((-0.9, 0.18), (0.9, 0.18)),
        0.035,
        tone(canvas.colour, -0.4) if canvas.colour.mean() > 0.2 else tone(canvas.colour, 0.4),
    )
    canvas.fill(ellipse(0.9, 0.14, 0.08, 0.07), rgb(255, 240, 150))
    for x in (-0.54, 0.54):
        canvas.fill(circle(x, 0.42, 0.24), rgb(34, 34, 38))
        canvas.fill(circle(x, 0.42, 0.115), canvas.lit(METAL, 0.4))


@object_class(
    "bell", colours=("gold", "yellow", "red", "blue", "gray", "white", "purple", "orange", "pink", "black"), turn=18
)
def bell(canvas: Canvas) -> None:
    canvas.stroke(circle(0, -0.85, 0.12)[np.r_[0:72, 0]], 0.08, canvas.lit(tone(canvas.colour, -0.2)))
    canvas.fill(circle(0, 0.78, 0.17), canvas.ball(tone(canvas.colour, -0.45), 0, 0.78, 0.18, 0.6))
    half = smooth([(0, -0.75), (0.3, -0.66), (0.44, -0.25), (0.52, 0.25), (0.84, 0.66)], closed=False)
    canvas.fill(np.concatenate([half, mirrored(half)[::-1]]), canvas.tube(canvas.colour, canvas.u / 0.62, 0.7))
    canvas.stroke(points((-0.8, 0.66), (0.8, 0.66)), 0.13, canvas.lit(tone(canvas.colour, -0.22)))
    canvas.stroke(points((-0.46, 0.12), (0.46, 0.12)), 0.05, tone(canvas.colour, -0.35))
