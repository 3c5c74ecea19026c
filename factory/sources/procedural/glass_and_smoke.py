"""Things one can see through: glass, soap, smoke, fire. Their mattes are fractional inside."""

import numpy as np

from factory.sources.procedural.canvas import Canvas
from factory.sources.procedural.palette import METAL, SNOW, WOOD, Field, mix, rgb, tone
from factory.sources.procedural.registry import object_class
from factory.sources.procedural.shapes import (
    Points,
    arc,
    bezier,
    box,
    circle,
    ellipse,
    mirrored,
    points,
    ribbon,
    smooth,
)

TINTS = ("blue", "cyan", "brown", "purple", "pink", "red", "orange", "white", "gray", "yellow")


def _symmetric(half: Points) -> Points:
    return np.concatenate([half, mirrored(half)[::-1]])


def _glass_opacity(canvas: Canvas, half_width: float, clear: float) -> Field:
    """Glass is seen edge-on at its sides: opaque there, clear in the middle."""
    return (clear + (1 - clear) * 0.85 * np.clip(np.abs(canvas.u) / half_width, 0, 1) ** 4).astype(np.float32)


@object_class("bottle", colours=TINTS, turn=12)
def bottle(canvas: Canvas) -> None:
    rng = canvas.rng
    w, neck, shoulder = rng.uniform(0.36, 0.46), rng.uniform(0.12, 0.15), rng.uniform(-0.4, -0.15)
    half = np.concatenate(
        [
            points((0, -0.98), (neck, -0.98), (neck, shoulder - 0.2)),
            smooth([(neck, shoulder - 0.15), (w * 0.7, shoulder + 0.02), (w, shoulder + 0.25)], closed=False),
            arc(w - 0.1, 0.9, 0.1, 0.1, 0, 90, 6),
            points((0, 1.0)),
        ]
    )
    shape = _symmetric(half)
    canvas.fill(shape, canvas.lit(canvas.colour, 0.25), opacity=_glass_opacity(canvas, w, rng.uniform(0.5, 0.65)))
    level = rng.uniform(0.0, 0.35)
    if rng.random() < 0.6:
        canvas.fill(box(-w * 0.9, level, w * 0.9, 0.95, 0.1), tone(canvas.colour, -0.2), opacity=0.5)
    canvas.stroke(np.concatenate([shape, shape[:1]]), 0.05, canvas.lit(tone(canvas.colour, -0.3)), opacity=0.85)
    canvas.stroke(
        [
            points((-w * 0.62, shoulder + 0.35), (-w * 0.62, 0.8)),
            points((-neck * 0.4, -0.85), (-neck * 0.4, shoulder - 0.2)),
        ],
        0.075,
        SNOW,
        opacity=0.8,
    )
    if rng.random() < 0.5:
        canvas.fill(box(-w * 0.96, 0.3, w * 0.96, 0.68), canvas.lit(rgb(240, 232, 214)))
        canvas.stroke([points((-w * 0.6, y), (w * 0.6, y)) for y in (0.42, 0.55)], 0.035, tone(canvas.colour, -0.4))
    canvas.fill(box(-neck * 1.25, -1.15, neck * 1.25, -0.94, 0.03), canvas.tube(WOOD, canvas.u / neck / 1.25))


@object_class(
    "wine glass",
    colours=("red", "purple", "yellow", "orange", "pink", "blue", "cyan", "white", "gold", "brown"),
    turn=8,
)
def wine_glass(canvas: Canvas) -> None:
    """A clear glass; the colour is the drink's."""
    rng = canvas.rng
    w, deep = rng.uniform(0.5, 0.6), rng.uniform(0.0, 0.15)
    half = smooth([(w * 0.8, -1.0), (w, -0.5), (w * 0.8, -0.1), (0.06, deep + 0.08)], closed=False)
    bowl = _symmetric(half)
    pane = rgb(214, 224, 236)
    canvas.fill(bowl, pane, opacity=_glass_opacity(canvas, w * 1.05, 0.32))
    level = rng.uniform(-0.72, -0.55)
    drink = half[half[:, 1] > level] * (0.92, 1) - (0, 0.03)
    canvas.fill(
        _symmetric(np.concatenate([[(drink[0, 0], level)], drink])), canvas.lit(canvas.colour, 0.3), opacity=0.86
    )
    canvas.fill(ellipse(0, level, drink[0, 0], 0.07), tone(canvas.colour, 0.3), opacity=0.8)
    canvas.fill(
        _symmetric(points((0.06, deep), (0.045, 0.8), (0.12, 0.88))),
        canvas.tube(pane, canvas.u / 0.1, 0.8),
        opacity=0.85,
    )
    canvas.fill(ellipse(0, 0.92, 0.42, 0.1), canvas.lit(pane), opacity=0.75)
    canvas.stroke(
        [
            half,
            mirrored(half),
            ellipse(0, -1.0, w * 0.8, 0.07)[np.r_[0:72, 0]],
            ellipse(0, 0.92, 0.42, 0.1)[np.r_[0:72, 0]],
        ],
        0.04,
        rgb(150, 160, 178),
        opacity=0.9,
    )
    canvas.stroke(arc(0, -0.5, w * 0.72, 0.42, 160, 210, 12), 0.07, SNOW, opacity=0.85)


@object_class("bubble", colours=("blue", "pink", "purple", "cyan", "white"), turn=90)
def bubble(canvas: Canvas) -> None:
    """A soap bubble: thin in the middle, coloured bands and a bright rim, a window's reflection."""
    rng = canvas.rng
    r = np.hypot(canvas.u, canvas.v)
    bands = 0.5 + 0.5 * np.sin(9 * canvas.u * rng.uniform(0.6, 1.2) + 7 * canvas.v + 5 * canvas.noise(1.2))
    film = mix(canvas.colour, tone(canvas.colour, 0.65), bands * 0.8)
    opacity = 0.26 + 0.16 * bands + 0.56 * np.clip(r, 0, 1) ** 3.5
    canvas.fill(circle(0, 0, 1.0), film, opacity=opacity.astype(np.float32))
    canvas.stroke(circle(0, 0, 0.97)[np.r_[0:72, 0]], 0.07, canvas.lit(canvas.colour, 0.4), opacity=0.85)
    shine = smooth([(-0.68, -0.3), (-0.5, -0.62), (-0.2, -0.76), (-0.26, -0.6), (-0.46, -0.46), (-0.56, -0.25)])
    canvas.fill(shine, SNOW, opacity=0.92)
    canvas.fill(ellipse(0.5, 0.5, 0.13, 0.09), SNOW, opacity=0.7)


@object_class("light bulb", colours=("yellow", "orange", "white", "blue", "red", "pink", "purple", "cyan"), turn=15)
def light_bulb(canvas: Canvas) -> None:
    half = smooth([(0, -1.0), (0.45, -0.86), (0.66, -0.4), (0.5, 0.05), (0.3, 0.32), (0.27, 0.52)], closed=False)
    glass = _symmetric(half)
    r = np.hypot(canvas.u, canvas.v + 0.35) / 0.66
    canvas.fill(
        glass,
        canvas.ball(tone(canvas.colour, 0.15), 0, -0.35, 0.75, 0.5),
        opacity=(0.68 + 0.27 * np.clip(r, 0, 1) ** 3).astype(np.float32),
    )
    wire = rgb(84, 62, 40)
    x = np.linspace(-0.26, 0.26, 15)
    canvas.stroke(
        [
            points((-0.12, 0.5), (-0.26, -0.25)),
            points((0.12, 0.5), (0.26, -0.25)),
            np.stack([x, -0.25 - 0.1 * (np.arange(15) % 2)], axis=1),
        ],
        0.045,
        wire,
    )
    canvas.stroke(np.concatenate([half, mirrored(half)[::-1]]), 0.045, tone(canvas.colour, -0.3), opacity=0.8)
    canvas.stroke(arc(-0.02, -0.4, 0.46, 0.44, 185, 235, 10), 0.08, SNOW, opacity=0.85)
    canvas.fill(box(-0.27, 0.5, 0.27, 0.9, 0.06), canvas.tube(METAL, canvas.u / 0.27, 0.6))
    canvas.stroke([points((-0.27, y), (0.27, y + 0.06)) for y in (0.58, 0.7, 0.82)], 0.035, tone(METAL, -0.5))
    canvas.fill(ellipse(0, 0.92, 0.13, 0.08), rgb(50, 50, 54))


@object_class(
    "smoke",
    colours=("gray", "white", "black", "purple", "blue", "orange", "pink", "red", "yellow"),
    turn=20,
    article=False,
)
def smoke(canvas: Canvas) -> None:
    """A puff that rises and widens: overlapping soft balls torn by noise."""
    rng = canvas.rng
    density = np.zeros_like(canvas.u)
    light = np.zeros_like(canvas.u)
    n = 16
    reach = []
    for k in range(n):
        t = k / (n - 1)
        x = 0.3 * np.sin(4.2 * t + rng.uniform(-0.3, 0.3)) * t + rng.normal(0, 0.05 + 0.12 * t)
        y, r = 0.95 - 1.6 * t, 0.1 + 0.34 * t**0.9
        d = np.clip(1 - ((canvas.u - x) ** 2 + (canvas.v - y) ** 2) / r**2, 0, 1)
        density = 1 - (1 - density) * (1 - 0.75 * d**1.1)
        light = np.where(d > 0, light * (1 - d) + d * (-(canvas.u - x) * 0.3 - (canvas.v - y) * 1.0) / r, light)
        reach.append(circle(x, y, 0.8 * r))
    torn = 0.6 * canvas.noise(2.6) + 0.4 * canvas.noise(6.0)
    opacity = np.clip(density * 1.5 - 0.75 * torn * (1.25 - density), 0, 0.94)
    canvas.haze(
        opacity, tone(canvas.colour, np.clip(0.42 * light + 0.3 * (torn - 0.5), -0.45, 0.5)), np.concatenate(reach)
    )


@object_class("flame", colours=("orange", "blue", "red", "yellow", "purple", "pink"), turn=6)
def flame(canvas: Canvas) -> None:
    rng = canvas.rng
    lean = rng.uniform(-0.15, 0.15)
    outer = smooth(
        [
            (0, 1.0),
            (-0.52, 0.78),
            (-0.62, 0.3),
            (-0.4, -0.1),
            (-0.36, -0.42),
            (-0.18, -0.2),
            (lean, -1.0),
            (0.26, -0.5),
            (0.34, -0.12),
            (0.48, -0.3),
            (0.62, 0.28),
            (0.5, 0.8),
        ]
    )
    rise = np.clip((canvas.v + 1) / 2, 0, 1)
    edge = tone(canvas.colour, -0.18)
    bright = mix(canvas.colour, rgb(255, 240, 170), 0.6) if canvas.colour[0] > 0.6 else tone(canvas.colour, 0.6)
    canvas.fill(outer, edge, opacity=(0.5 + 0.4 * rise + 0.1 * canvas.noise(2.0)).astype(np.float32))
    canvas.fill(outer * (0.78, 0.82) + (0, 0.16), canvas.colour, opacity=(0.35 + 0.6 * rise).astype(np.float32))
    canvas.fill(outer * (0.48, 0.55) + (0, 0.4), bright, opacity=(0.5 + 0.45 * rise).astype(np.float32))
    canvas.fill(outer * (0.22, 0.28) + (0, 0.66), tone(bright, 0.6), opacity=0.85)


@object_class("cloud", colours=("white", "gray", "pink", "blue", "purple", "orange", "yellow", "black"), turn=4)
def cloud(canvas: Canvas) -> None:
    rng = canvas.rng
    puffs = [
        (-0.62, 0.12, 0.36),
        (0.62, 0.14, 0.34),
        (-0.25, -0.15, 0.46),
        (0.28, -0.05, 0.44),
        (0.0, 0.14, 0.42),
        (-0.34, 0.2, 0.34),
        (0.34, 0.2, 0.34),
    ]
    density = np.zeros_like(canvas.u)
    light = np.zeros_like(canvas.u)
    reach = []
    for place in puffs:
        x, y = place[:2] + rng.normal(0, 0.035, 2)
        r = place[2] * rng.uniform(0.9, 1.12)
        d = np.clip(1 - ((canvas.u - x) ** 2 + ((canvas.v - y) * 1.05) ** 2) / r**2, 0, 1)
        density = np.maximum(density, d)
        light = np.maximum(light, d * 0.5 - (canvas.v - y) / r * d * 0.6)
        reach.append(circle(x, y, r))
    torn = canvas.noise(3.5) * 0.6 + canvas.noise(8.0) * 0.4
    opacity = np.clip(density * 5.5 - 1.3 * torn, 0, 1)
    base = np.clip((canvas.v - 0.1) * 0.7, 0, 0.45)
    canvas.haze(
        opacity,
        tone(canvas.colour, np.clip(light * 0.7 - 0.28 - base + 0.15 * torn, -0.5, 0.45)),
        np.concatenate(reach),
    )


@object_class("jellyfish", colours=("pink", "purple", "blue", "cyan", "orange", "red", "white", "yellow"), turn=15)
def jellyfish(canvas: Canvas) -> None:
    rng = canvas.rng
    for k, x in enumerate(np.linspace(-0.5, 0.5, 7)):
        s = np.linspace(0, 1, 20)
        line = np.stack(
            [x * (1 - 0.1 * s) + 0.09 * np.sin(7 * s + rng.uniform(0, 6)), -0.1 + s * rng.uniform(0.8, 1.15)], axis=1
        )
        thick = k % 3 == 0
        canvas.fill(
            ribbon(line, np.linspace(0.13 if thick else 0.075, 0.02, 20)),
            canvas.lit(tone(canvas.colour, 0.1 if thick else -0.1)),
            opacity=0.72,
        )
    rim = np.linspace(0.68, -0.68, 8)
    bell = np.concatenate(
        [
            bezier(np.array([[-0.68, -0.05], [-0.75, -1.2], [0.75, -1.2], [0.68, -0.05]]), 30),
            np.stack([rim, -0.03 + 0.09 * (np.arange(8) % 2)], axis=1),
        ]
    )
    r = np.hypot(canvas.u, (canvas.v + 0.3) * 1.1)
    canvas.fill(
        bell,
        canvas.ball(canvas.colour, 0, -0.35, 0.85, 0.4),
        opacity=(0.62 + 0.36 * np.clip(r / 0.7, 0, 1) ** 2).astype(np.float32),
    )
    canvas.stroke(
        [bezier(np.array([[x, -0.1], [x * 1.2, -0.5], [x * 0.7, -0.75], [x * 0.2, -0.85]])) for x in (-0.4, 0, 0.4)],
        0.05,
        tone(canvas.colour, 0.55),
        opacity=0.6,
    )
