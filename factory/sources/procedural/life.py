"""Animals and other friendly shapes."""

import numpy as np

from factory.sources.procedural.canvas import Canvas
from factory.sources.procedural.palette import INK, SNOW, Paint, rgb, tone
from factory.sources.procedural.registry import object_class
from factory.sources.procedural.shapes import arc, bezier, circle, ellipse, mirrored, points, ribbon, smooth


def _contrast(canvas: Canvas) -> Paint:
    """A tone of the object's colour that stands out on it."""
    return tone(canvas.colour, 0.55) if canvas.colour.mean() < 0.6 else tone(canvas.colour, -0.45)


def _eye(canvas: Canvas, x: float, y: float, r: float) -> None:
    canvas.fill(circle(x, y, r), SNOW)
    canvas.fill(circle(x, y, r * 0.62), INK)


@object_class("butterfly", patterns=("spotted",), turn=20)
def butterfly(canvas: Canvas) -> None:
    rng = canvas.rng
    tip = rng.uniform(0.85, 1.0)
    upper = smooth([(0.05, -0.1), (0.3, -0.55), (tip, -0.85), (1.0, -0.45), (0.75, 0.0), (0.05, 0.08)])
    lower = smooth([(0.05, 0.0), (0.6, 0.05), (0.78, 0.35), (0.6, 0.8), (0.3, 0.72), (0.06, 0.3)])
    edge = tone(canvas.colour, -0.65) if canvas.colour.mean() > 0.2 else tone(canvas.colour, 0.35)
    wings = [upper, lower, mirrored(upper), mirrored(lower)]
    canvas.fill(wings, edge)
    plain = canvas.patterned(0.8)
    for wing in wings:
        middle = wing.mean(axis=0)
        canvas.fill((wing - middle) * 0.8 + middle, canvas.lit(plain, 0.3))
    for x, y, r in ((0.72, -0.5, 0.1), (0.48, 0.45, 0.1)):
        canvas.fill([circle(s * x, y, r) for s in (-1, 1)], _contrast(canvas))
    canvas.stroke(
        [smooth([(0, -0.42), (s * 0.12, -0.75), (s * 0.3, -0.92)], closed=False) for s in (-1, 1)],
        0.04,
        INK if canvas.colour.mean() > 0.2 else rgb(90, 90, 96),
    )
    canvas.fill([ellipse(0, 0.1, 0.085, 0.46), circle(0, -0.4, 0.11)], rgb(44, 36, 40))


@object_class("fish", patterns=("striped", "spotted"), turn=12)
def fish(canvas: Canvas) -> None:
    rng = canvas.rng
    tall = rng.uniform(0.42, 0.56)
    fin = canvas.lit(tone(canvas.colour, -0.3))
    canvas.fill(smooth([(-0.5, 0), (-0.98, -0.5), (-0.86, 0), (-0.98, 0.5)], steps=6), fin)
    canvas.fill(smooth([(-0.2, -tall * 0.8), (0.0, -tall - 0.28), (0.35, -tall - 0.1), (0.4, -tall * 0.7)]), fin)
    canvas.fill(smooth([(-0.05, tall * 0.8), (-0.1, tall + 0.25), (0.25, tall * 0.9)]), fin)
    canvas.fill(
        smooth(
            [
                (-0.66, 0),
                (-0.2, -tall * 0.8),
                (0.3, -tall),
                (0.8, -tall * 0.5),
                (0.98, 0.02),
                (0.8, tall * 0.55),
                (0.3, tall),
                (-0.2, tall * 0.8),
            ]
        ),
        canvas.body(0.35),
    )
    canvas.stroke(arc(0.36, 0, 0.16, tall * 0.66, -70, 70, 16), 0.05, tone(canvas.colour, -0.4))
    canvas.fill(smooth([(0.1, 0.02), (-0.22, -0.1), (-0.28, 0.16), (-0.1, 0.22)]), fin)
    _eye(canvas, 0.66, -0.13, 0.13)
    canvas.stroke(arc(0.98, 0.12, 0.2, 0.1, 100, 180, 8), 0.04, tone(canvas.colour, -0.5))


@object_class(
    "cat",
    colours=("black", "gray", "white", "orange", "brown", "gold", "pink", "blue", "purple"),
    patterns=("striped",),
    turn=5,
)
def cat(canvas: Canvas) -> None:
    """A sitting cat seen from the front, its tail round one side."""
    coat, edge = canvas.body(0.3), canvas.lit(tone(canvas.colour, -0.22))
    canvas.stroke(bezier(np.array([[0.3, 0.86], [1.05, 0.95], [1.0, 0.3], [0.78, 0.15]]), 20), 0.18, edge)
    canvas.fill(
        smooth(
            [(0, -0.2), (0.38, 0.1), (0.55, 0.62), (0.46, 0.98), (0, 1.0), (-0.46, 0.98), (-0.55, 0.62), (-0.38, 0.1)]
        ),
        coat,
    )
    canvas.stroke([points((x, 0.55), (x, 0.92)) for x in (-0.16, 0.16)], 0.045, _contrast(canvas))
    ear = points((-0.5, -0.35), (-0.52, -1.0), (-0.08, -0.68))
    canvas.fill([ear, mirrored(ear)], coat)
    inner = (ear - ear.mean(axis=0)) * 0.5 + ear.mean(axis=0)
    canvas.fill([inner, mirrored(inner)], rgb(240, 160, 170))
    canvas.fill(ellipse(0, -0.36, 0.54, 0.44), canvas.body(0.3))
    iris = rgb(250, 210, 60) if canvas.colour.mean() < 0.72 else rgb(60, 130, 220)
    canvas.fill([ellipse(x, -0.42, 0.125, 0.125) for x in (-0.22, 0.22)], iris)
    canvas.fill([ellipse(x, -0.42, 0.055, 0.11) for x in (-0.22, 0.22)], INK)
    canvas.fill(points((-0.07, -0.24), (0.07, -0.24), (0, -0.16)), rgb(240, 140, 150))
    line = _contrast(canvas)
    canvas.stroke([arc(s * 0.09, -0.16, 0.09, 0.08, 0, 180, 8) for s in (-1, 1)], 0.03, line)
    canvas.stroke(
        [points((s * 0.2, -0.2 + d), (s * 0.72, -0.24 + 2.4 * d)) for s in (-1, 1) for d in (-0.03, 0.05)], 0.022, line
    )


@object_class(
    "bird",
    colours=("red", "yellow", "blue", "orange", "pink", "purple", "white", "gray", "brown", "black", "cyan"),
    turn=8,
)
def bird(canvas: Canvas) -> None:
    coat = canvas.lit(canvas.colour, 0.35)
    legs = [points((x, 0.6), (x + 0.02, 0.95), (x + 0.14, 0.97)) for x in (-0.02, 0.2)]
    canvas.stroke(legs, 0.055, rgb(236, 140, 30))
    canvas.fill(
        points((-0.45, 0.1), (-1.05, -0.12), (-1.0, 0.12), (-0.88, 0.3), (-0.4, 0.45)),
        canvas.lit(tone(canvas.colour, -0.3)),
    )
    canvas.fill(
        points((0.72, -0.5), (1.05, -0.36), (0.7, -0.26)),
        rgb(246, 152, 20) if canvas.colour[1] > 0.72 or canvas.colour[1] < 0.4 else rgb(250, 214, 50),
    )
    canvas.fill(
        smooth(
            [
                (0.3, -0.76),
                (0.66, -0.66),
                (0.8, -0.36),
                (0.62, -0.05),
                (0.5, 0.4),
                (0.1, 0.66),
                (-0.35, 0.55),
                (-0.62, 0.2),
                (-0.2, -0.1),
                (0.05, -0.5),
            ]
        ),
        coat,
    )
    canvas.fill(
        smooth([(0.5, 0.05), (0.45, 0.38), (0.1, 0.58), (0.1, 0.3)]),
        tone(canvas.colour, 0.5 if canvas.colour.mean() < 0.85 else -0.12),
    )
    canvas.fill(
        smooth([(0.16, -0.06), (-0.1, 0.32), (-0.62, 0.36), (-0.4, 0.0), (-0.1, -0.16)]),
        canvas.lit(tone(canvas.colour, -0.32)),
    )
    _eye(canvas, 0.48, -0.46, 0.115)


@object_class("ghost", colours=("white", "gray", "blue", "purple", "pink", "yellow", "black", "orange", "cyan"), turn=8)
def ghost(canvas: Canvas) -> None:
    waves = int(canvas.rng.integers(3, 5))
    x = np.linspace(0.64, -0.64, waves * 8 + 1)
    hem = np.stack([x, 0.86 + 0.12 * np.cos(np.linspace(0, 2 * np.pi * waves, len(x)))], axis=1)
    body = np.concatenate([arc(0, -0.32, 0.64, 0.66, 180, 360, 32), hem])
    canvas.fill([body, ellipse(0.68, 0.2, 0.2, 0.12), ellipse(-0.68, 0.2, 0.2, 0.12)], canvas.lit(canvas.colour, 0.3))
    hollow = INK if canvas.colour.mean() > 0.25 else SNOW
    canvas.fill([ellipse(s * 0.24, -0.32, 0.12, 0.17) for s in (-1, 1)], hollow)
    canvas.fill(ellipse(0, 0.08, 0.13, 0.17), hollow)


@object_class("starfish", colours=("orange", "red", "pink", "purple", "yellow", "blue", "brown", "gold"), turn=36)
def starfish(canvas: Canvas) -> None:
    a = np.radians(-90 + 72 * np.arange(5))
    corners = []
    for t in a:
        d, n = np.array([np.cos(t), np.sin(t)]), np.array([-np.sin(t), np.cos(t)])
        corners += [
            0.34 * np.array([np.cos(t - 0.63), np.sin(t - 0.63)]),
            0.62 * d - 0.17 * n,
            0.97 * d - 0.06 * n,
            0.97 * d + 0.06 * n,
            0.62 * d + 0.17 * n,
        ]
    canvas.fill(smooth(corners), canvas.lit(canvas.colour, 0.35))
    dots = [circle(r * np.cos(t), r * np.sin(t), 0.065 * (1.25 - 0.6 * r)) for t in a for r in (0.24, 0.45, 0.66, 0.84)]
    canvas.fill([*dots, circle(0, 0, 0.08)], _contrast(canvas))


@object_class("octopus", colours=("red", "purple", "pink", "orange", "blue", "brown", "cyan", "yellow"), turn=8)
def octopus(canvas: Canvas) -> None:
    rng = canvas.rng
    for k, x in enumerate((-0.5, 0.5, -0.36, 0.36, -0.2, 0.2, -0.06, 0.06)):
        side = np.sign(x)
        reach = (1.0, 0.78, 0.52, 0.25)[k // 2] * rng.uniform(0.92, 1.05)
        curl = rng.uniform(0.15, 0.3) if k < 6 else 0.05
        arm = bezier(
            np.array(
                [[x, 0.2], [side * reach * 0.7, 0.55], [side * reach, 0.98], [side * (reach + curl * 0.3), 0.9 - curl]]
            ),
            18,
        )
        canvas.fill(ribbon(arm, np.linspace(0.26, 0.07, 18)), canvas.lit(tone(canvas.colour, -0.3 if k < 4 else -0.08)))
    canvas.fill(
        smooth(
            [
                (0, -1.0),
                (0.5, -0.8),
                (0.62, -0.35),
                (0.42, 0.1),
                (0.4, 0.4),
                (-0.4, 0.4),
                (-0.42, 0.1),
                (-0.62, -0.35),
                (-0.5, -0.8),
            ]
        ),
        canvas.ball(canvas.colour, 0, -0.3, 0.9, 0.3),
    )
    for x in (-0.2, 0.2):
        _eye(canvas, x, -0.02, 0.15)
    canvas.stroke(arc(0, 0.2, 0.12, 0.08, 20, 160, 8), 0.045, tone(canvas.colour, -0.6))
