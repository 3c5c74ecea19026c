"""Things about the house, and signs."""

from itertools import pairwise

import numpy as np

from factory.sources.procedural.canvas import Canvas
from factory.sources.procedural.palette import INK, METAL, SNOW, WOOD, rgb, tone
from factory.sources.procedural.registry import object_class
from factory.sources.procedural.shapes import (
    Points,
    arc,
    bezier,
    box,
    circle,
    ellipse,
    mirrored,
    placed,
    points,
    rays,
    smooth,
)

CLOTH = ("striped", "spotted")


def _loop(p: Points) -> Points:
    return np.concatenate([p, p[:1]])


@object_class("umbrella", patterns=("spotted",), turn=12)
def umbrella(canvas: Canvas) -> None:
    n = int(canvas.rng.integers(4, 7))
    canvas.stroke(
        np.concatenate([points((0, -0.3), (0, 0.85)), arc(0.16, 0.85, 0.16, 0.17, 180, 20, 14)[1:]]),
        0.075,
        canvas.lit(WOOD if canvas.colour.mean() < 0.9 else INK),
    )
    x = np.linspace(0.98, -0.98, n + 1)
    hem = np.concatenate([arc((a + b) / 2, 0.06, (a - b) / 2, 0.13, 0, -180, 10) for a, b in pairwise(x)])
    canvas.fill(np.concatenate([arc(0, 0.06, 0.98, 0.98, 180, 360, 48), hem]), canvas.body(0.4))
    seam = tone(canvas.colour, -0.4) if canvas.colour.mean() > 0.2 else tone(canvas.colour, 0.4)
    canvas.stroke(
        [
            np.stack(
                [xe * np.sin(np.linspace(0, np.pi / 2, 12)), 0.06 - 0.98 * np.cos(np.linspace(0, np.pi / 2, 12))],
                axis=1,
            )
            for xe in x[1:-1]
        ],
        0.035,
        seam,
    )
    canvas.stroke(points((0, -0.92), (0, -1.06)), 0.07, seam)


@object_class("balloon", patterns=CLOTH, turn=15)
def balloon(canvas: Canvas) -> None:
    rng = canvas.rng
    sway = rng.uniform(-0.15, 0.15)
    canvas.stroke(bezier(np.array([[0, 0.5], [sway, 0.75], [-sway, 0.95], [sway, 1.25]]), 20), 0.032, rgb(90, 90, 96))
    half = smooth([(0, -1.0), (0.45, -0.87), (0.68, -0.42), (0.5, 0.12), (0.16, 0.42), (0.0, 0.48)], closed=False)
    canvas.fill(points((0, 0.42), (0.13, 0.6), (-0.13, 0.6)), tone(canvas.colour, -0.3))
    canvas.fill(np.concatenate([half, mirrored(half)[::-1]]), canvas.ball(canvas.patterned(), 0, -0.32, 0.82, 0.85))
    canvas.fill(ellipse(-0.28, -0.62, 0.09, 0.15), SNOW, opacity=0.7)


@object_class("mug", patterns=CLOTH, turn=8)
def mug(canvas: Canvas) -> None:
    rng = canvas.rng
    w, top = 0.56, rng.uniform(-0.72, -0.55)
    canvas.stroke(
        arc(w, 0.06, rng.uniform(0.34, 0.42), 0.38, -88, 88, 24), 0.16, canvas.lit(tone(canvas.colour, -0.15))
    )
    side = np.concatenate(
        [
            points((-w, top)),
            arc(-w + 0.14, 0.66, 0.14, 0.14, 180, 90, 8),
            arc(w - 0.14, 0.66, 0.14, 0.14, 90, 0, 8),
            points((w, top)),
        ]
    )
    canvas.fill(side, canvas.tube(canvas.patterned(), canvas.u / w))
    canvas.fill(ellipse(0, top, w, 0.15), canvas.lit(tone(canvas.colour, 0.3 if canvas.colour.mean() < 0.8 else -0.1)))
    canvas.fill(ellipse(0, top + 0.01, w * 0.86, 0.11), rgb(74, 42, 24))


@object_class("donut", colours=("pink", "brown", "white", "yellow", "orange", "purple", "blue", "red", "cyan"), turn=30)
def donut(canvas: Canvas) -> None:
    rng = canvas.rng
    canvas.fill(circle(0, 0, 1.0), canvas.lit(rgb(206, 146, 84), 0.3), [circle(0, 0, 0.3)])
    wave = smooth(rays(9, 0.84, rng.uniform(0.9, 0.95, 9).tolist()))
    ring = np.hypot(canvas.u, canvas.v)
    bulge = np.exp(-(((ring - 0.58) / 0.2) ** 2)) * 0.22 - 0.08
    canvas.fill(wave, canvas.lit(tone(canvas.colour, bulge), 0.25), [circle(0, 0, 0.36)])
    n = 26
    a, r, turn = np.arange(n) * 2.4 + rng.normal(0, 0.1, n), rng.uniform(0.46, 0.8, n), rng.uniform(0, np.pi, n)
    centre = np.stack([r * np.cos(a), r * np.sin(a)], axis=1)
    d = 0.065 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    tints = [SNOW, rgb(250, 220, 60), rgb(230, 60, 70), rgb(70, 140, 240)]
    for k, tint in enumerate(tints):
        if np.abs(tint - canvas.colour).sum() > 0.45:
            canvas.stroke([np.stack([c - e, c + e]) for c, e in zip(centre[k::4], d[k::4], strict=True)], 0.06, tint)


@object_class("star", patterns=CLOTH, turn=20)
def star(canvas: Canvas) -> None:
    corners = rays(5, canvas.rng.uniform(0.4, 0.5), 1.0)
    canvas.fill(corners, canvas.body(0.3))
    if not canvas.pattern:
        for k in range(0, 10, 2):
            canvas.fill(np.stack([np.zeros(2), corners[k], corners[k + 1]]), canvas.lit(tone(canvas.colour, -0.24)))


@object_class("heart", patterns=CLOTH, turn=15)
def heart(canvas: Canvas) -> None:
    deep = canvas.rng.uniform(-0.5, -0.38)
    half = np.concatenate(
        [
            bezier(np.array([[0, deep], [0.1, -0.95], [0.98, -0.98], [0.98, -0.28]]), 20),
            bezier(np.array([[0.98, -0.28], [0.98, 0.2], [0.4, 0.5], [0, 0.95]]), 20),
        ]
    )
    canvas.fill(np.concatenate([half, mirrored(half)[::-1]]), canvas.ball(canvas.patterned(), 0, -0.1, 1.35, 0.3))
    canvas.fill(smooth([(-0.72, -0.42), (-0.6, -0.62), (-0.42, -0.66), (-0.5, -0.5), (-0.6, -0.3)]), SNOW, opacity=0.65)


@object_class("chair", turn=6)
def chair(canvas: Canvas) -> None:
    rng = canvas.rng
    dark, light = canvas.lit(tone(canvas.colour, -0.35)), canvas.lit(canvas.colour)
    canvas.stroke([points((-0.2, 0.1), (-0.24, 0.78)), points((0.56, 0.1), (0.6, 0.78))], 0.1, dark)
    canvas.stroke([points((-0.32, -0.98), (-0.32, 0.25)), points((0.44, -0.98), (0.44, 0.15))], 0.1, light)
    n = int(rng.integers(2, 5))
    if rng.random() < 0.5:
        canvas.stroke([points((-0.32, y), (0.44, y)) for y in np.linspace(-0.88, -0.35, n)], 0.11, light)
    else:
        canvas.stroke([points((-0.32, y), (0.44, y)) for y in (-0.88, -0.28)], 0.11, light)
        canvas.stroke([points((x, -0.88), (x, -0.28)) for x in np.linspace(-0.32, 0.44, n + 2)[1:-1]], 0.07, light)
    canvas.stroke([points((-0.48, 0.3), (-0.56, 1.0)), points((0.36, 0.3), (0.34, 1.0))], 0.11, light)
    canvas.fill(points((-0.36, 0.04), (0.6, 0.04), (0.44, 0.3), (-0.56, 0.3)), canvas.lit(tone(canvas.colour, 0.18)))
    canvas.fill(points((-0.56, 0.3), (0.44, 0.3), (0.44, 0.38), (-0.56, 0.38)), dark)


@object_class("lamp", patterns=CLOTH, turn=5)
def lamp(canvas: Canvas) -> None:
    rng = canvas.rng
    top = rng.uniform(0.3, 0.42)
    foot = WOOD if rng.random() < 0.5 else METAL
    canvas.fill(box(-0.06, -0.2, 0.06, 0.85), canvas.tube(foot, canvas.u / 0.06))
    canvas.fill(ellipse(0, 0.45, 0.19, 0.26), canvas.ball(foot, 0, 0.45, 0.3))
    canvas.fill(smooth([(-0.42, 1.0), (-0.3, 0.86), (0, 0.8), (0.3, 0.86), (0.42, 1.0), (0, 1.02)]), canvas.lit(foot))
    canvas.fill(
        points((-top, -0.98), (top, -0.98), (0.76, 0.02), (-0.76, 0.02)),
        canvas.tube(canvas.patterned(), canvas.u / 0.72, 0.15),
    )
    canvas.stroke(
        [points((-top, -0.96), (top, -0.96)), points((-0.74, 0.0), (0.74, 0.0))], 0.06, tone(canvas.colour, -0.35)
    )


@object_class(
    "crown", colours=("gold", "yellow", "red", "blue", "purple", "pink", "white", "gray", "orange", "black"), turn=12
)
def crown(canvas: Canvas) -> None:
    n = int(canvas.rng.integers(3, 6))
    x = np.linspace(-0.92, 0.92, 2 * n - 1)
    y = np.where(np.arange(2 * n - 1) % 2 == 0, -0.55, 0.05) - 0.12 * (1 - np.abs(x))
    spikes = np.stack([x, y], axis=1)
    canvas.fill(np.concatenate([spikes, points((0.78, 0.72), (-0.78, 0.72))]), canvas.lit(canvas.colour, 0.4))
    canvas.fill(
        [circle(a, b - 0.06, 0.11) for a, b in spikes[::2]], canvas.ball(tone(canvas.colour, 0.2), 0, -0.6, 0.7, 0)
    )
    canvas.stroke(points((-0.77, 0.62), (0.77, 0.62)), 0.16, canvas.lit(tone(canvas.colour, -0.25)))
    jewels = [rgb(220, 40, 60), rgb(60, 110, 240), rgb(250, 250, 255)]
    for k, a in enumerate((-0.5, 0.0, 0.5)):
        jewel = jewels[k]
        if np.abs(jewel - canvas.colour).sum() < 0.5:
            jewel = INK
        canvas.fill(ellipse(a, 0.34, 0.1, 0.12), canvas.ball(jewel, a, 0.34, 0.12, 0.8))


@object_class("glasses", turn=10, article=False)
def glasses(canvas: Canvas) -> None:
    """Spectacles: an opaque frame, lenses one sees through."""
    rng = canvas.rng
    r, square = rng.uniform(0.36, 0.42), rng.random() < 0.4
    lens = box(-r, -r * 0.8, r, r * 0.8, 0.14) if square else circle(0, 0, r)
    frame = canvas.lit(canvas.colour, 0.35)
    for side in (-1, 1):
        rim = placed(lens, side * 0.52, 0)
        canvas.fill(rim, rgb(200, 220, 245), opacity=0.28)
        canvas.stroke(points((side * 0.52 - 0.16, 0.1), (side * 0.52 + 0.08, -0.16)), 0.05, SNOW, opacity=0.7)
        canvas.stroke(_loop(rim), 0.11, frame)
        canvas.stroke(points((side * (0.5 + r), -0.1), (side * 1.06, -0.2), (side * 1.12, 0.08)), 0.09, frame)
    canvas.stroke(arc(0, -0.02, 0.14, 0.12, 200, 340, 12), 0.1, frame)


@object_class("hat", turn=10)
def hat(canvas: Canvas) -> None:
    """A top hat with a band."""
    w = canvas.rng.uniform(0.48, 0.56)
    high = canvas.rng.uniform(0.85, 1.05)
    canvas.fill(ellipse(0, 0.5, 1.0, 0.26), canvas.lit(tone(canvas.colour, -0.2)))
    bottom = arc(0, 0.42, w, 0.15, 0, 180, 20)
    canvas.fill(
        np.concatenate([bottom, points((-w * 1.1, 0.42 - high)), points((w * 1.1, 0.42 - high))]),
        canvas.tube(canvas.colour, canvas.u / w, 0.4),
    )
    canvas.fill(ellipse(0, 0.42 - high, w * 1.1, 0.14), canvas.lit(tone(canvas.colour, 0.16)))
    band = rgb(200, 40, 50) if np.abs(canvas.colour - rgb(200, 40, 50)).sum() > 0.5 else INK
    canvas.fill(
        np.concatenate([arc(0, 0.4, w * 1.01, 0.15, 0, 180, 20), arc(0, 0.2, w * 1.03, 0.15, 180, 0, 20)]),
        canvas.lit(band),
    )


@object_class("house", turn=4)
def house(canvas: Canvas) -> None:
    rng = canvas.rng
    wall, roof = (
        canvas.lit(canvas.colour, 0.25),
        tone(canvas.colour, -0.55) if canvas.colour.mean() > 0.25 else rgb(150, 50, 40),
    )
    canvas.fill(box(0.34, -0.92, 0.54, -0.3), rgb(130, 74, 60))
    canvas.fill(points((-0.72, -0.25), (0.72, -0.25), (0.72, 0.95), (-0.72, 0.95)), wall)
    canvas.fill(points((0, -1.0), (1.0, -0.16), (-1.0, -0.16)), canvas.lit(roof, 0.2))
    door = WOOD if np.abs(canvas.colour - WOOD).sum() > 0.4 else SNOW
    x = rng.choice([-0.34, 0.0, 0.34])
    canvas.fill(box(x - 0.19, 0.3, x + 0.19, 0.95), canvas.lit(door))
    canvas.fill(circle(x + 0.11, 0.64, 0.035), rgb(250, 210, 60))
    pane = rgb(190, 226, 250) if canvas.colour[0] < 0.9 or canvas.colour[2] < 0.6 else rgb(70, 100, 150)
    for a in (-0.42, 0.42):
        canvas.fill(box(a - 0.17, -0.06, a + 0.17, 0.24), pane)
        canvas.stroke(
            [
                points((a, -0.06), (a, 0.24)),
                points((a - 0.17, 0.09), (a + 0.17, 0.09)),
                _loop(box(a - 0.17, -0.06, a + 0.17, 0.24)),
            ],
            0.04,
            SNOW if canvas.colour.mean() < 0.9 else INK,
        )
