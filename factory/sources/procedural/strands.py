"""Hair, bristles and barbs: many thin tapering lines."""

import numpy as np

from factory.sources.procedural.canvas import Canvas
from factory.sources.procedural.palette import INK, METAL, SNOW, WOOD, Paint, rgb, tone
from factory.sources.procedural.registry import HAIR, object_class
from factory.sources.procedural.shapes import Points, bezier, box, circle, ellipse, placed, points, ribbon, smooth

TAPER = (1 - np.linspace(0, 1, 14) ** 2) * 0.96 + 0.04


def _tones(canvas: Canvas, n: int, low: float = -0.5, high: float = 0.32) -> list[Paint]:
    """Some shades of the object's colour in random order, each under the light."""
    steps = canvas.rng.permutation(np.linspace(low, high, n))
    return [canvas.lit(tone(canvas.colour, float(t)), 0.15) for t in steps]


def _locks(canvas: Canvas, n: int, side: float, fall: float, wave: float) -> Points:
    """(n, 14, 2) hairs from the parting over one side of a head down to about y = fall."""
    rng = canvas.rng
    out = rng.random(n)
    start = np.stack([rng.normal(0, 0.05, n), rng.normal(-0.86, 0.015, n)], axis=1)
    over = np.stack([side * (0.50 + 0.34 * out), -0.95 + 0.1 * rng.random(n)], axis=1)
    past = np.stack([side * (0.40 + 0.36 * out), -0.1 + 0.4 * rng.random(n)], axis=1)
    end = np.stack([side * (0.28 + 0.52 * out) + rng.normal(0, 0.06, n), fall - 0.28 * rng.random(n)], axis=1)
    lines = bezier(np.stack([start, over, past, end], axis=1), 14)
    s = np.linspace(0, 1, 14)
    lines[..., 0] += wave * s**1.5 * np.sin(9 * s + rng.normal(0, 0.5, (n, 1)))
    return lines


@object_class("wig", colours=HAIR, turn=6)
def wig(canvas: Canvas) -> None:
    rng = canvas.rng
    fall, wave = rng.uniform(0.6, 1.0), rng.uniform(0.0, 0.1)
    back = smooth(
        [
            (0, -0.9),
            (0.52, -0.7),
            (0.6, -0.1),
            (0.58, fall - 0.25),
            (0, fall - 0.2),
            (-0.58, fall - 0.25),
            (-0.6, -0.1),
            (-0.52, -0.7),
        ]
    )
    canvas.fill(back, canvas.lit(tone(canvas.colour, -0.45)))
    skin = tone(rgb(226, 214, 204), float(rng.uniform(-0.2, 0.2)))  # a mannequin's
    canvas.fill(
        smooth([(-0.15, 0.1), (-0.16, 0.6), (-0.4, 0.98), (0.4, 0.98), (0.16, 0.6), (0.15, 0.1)]),
        canvas.lit(tone(skin, -0.22)),
    )
    canvas.fill(ellipse(0, -0.22, 0.4, 0.52), canvas.lit(skin, 0.25))
    for side in (-1.0, 1.0):
        canvas.strands(_locks(canvas, 70, side, fall, wave), TAPER * 0.045, _tones(canvas, 7))


@object_class("pompom", turn=90)
def pompom(canvas: Canvas) -> None:
    rng = canvas.rng
    for ring, n in ((1.0, 240), (0.74, 150), (0.46, 70)):
        a = rng.uniform(0, 2 * np.pi, n)
        bend = rng.normal(0, 0.2, n)
        reach = ring * rng.uniform(0.8, 1.0, n)
        t = np.linspace(0.04, 1, 8)[None]
        angle = a[:, None] + bend[:, None] * t**2
        lines = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * (reach[:, None] * t)[..., None]
        canvas.fill(circle(0, 0, 0.62 * ring), tone(canvas.colour, -0.3 + 0.25 * (1 - ring)))
        canvas.strands(lines, np.linspace(0.05, 0.008, 8), _tones(canvas, 6, -0.36, 0.25 + 0.2 * (1 - ring)))


@object_class("broom", turn=25)
def broom(canvas: Canvas) -> None:
    rng = canvas.rng
    wide = rng.uniform(0.36, 0.5)
    canvas.fill(box(-0.055, -1.3, 0.055, 0.1, 0.05), canvas.tube(WOOD, canvas.u / 0.055))
    n = 90
    root = rng.uniform(-1, 1, n)
    tip = root * wide + rng.normal(0, 0.02, n)
    top, bottom = np.full(n, 0.1), 1.0 - 0.12 * rng.random(n)
    start = np.stack([root * 0.14, top], axis=1)
    knee = np.stack([root * 0.34, np.full(n, 0.35)], axis=1)
    end = np.stack([tip, bottom], axis=1)
    canvas.fill(points((-0.14, 0.05), (0.14, 0.05), (wide * 0.85, 0.8), (-wide * 0.85, 0.8)), tone(canvas.colour, -0.4))
    canvas.strands(bezier(np.stack([start, knee, end, end], axis=1)), 0.04, _tones(canvas, 8, -0.4, 0.3))
    canvas.fill(box(-0.17, -0.02, 0.17, 0.16, 0.04), canvas.tube(tone(canvas.colour, -0.15), canvas.u / 0.17))
    canvas.stroke(points((-0.2, 0.32), (0.2, 0.32)), 0.05, INK)


@object_class("paintbrush", turn=35)
def paintbrush(canvas: Canvas) -> None:
    rng = canvas.rng
    grip = smooth(
        [
            (0.05, -1.25),
            (0.11, -0.85),
            (0.15, -0.35),
            (0.12, 0.0),
            (-0.12, 0.0),
            (-0.15, -0.35),
            (-0.11, -0.85),
            (-0.05, -1.25),
        ]
    )
    canvas.fill(grip, canvas.tube(canvas.colour, canvas.u / 0.16, 0.6))
    n, wide = 60, rng.uniform(0.19, 0.26)
    x = np.linspace(-1, 1, n) + rng.normal(0, 0.05, n)
    start = np.stack([x * 0.14, np.full(n, 0.3)], axis=1)
    belly = np.stack([x * wide * 1.35, np.full(n, 0.62)], axis=1)
    end = np.stack([x * 0.05 + rng.normal(0, 0.015, n), 1.0 - 0.16 * np.abs(x)], axis=1)
    order = rng.permutation(n)
    canvas.strands(
        bezier(np.stack([start, belly, belly, end], axis=1), 14)[order], TAPER * 0.05, _tones(canvas, 6, -0.35, 0.3)
    )
    canvas.fill(box(-0.165, -0.05, 0.165, 0.34, 0.03), canvas.tube(METAL, canvas.u / 0.165, 0.7))
    for y in (0.04, 0.26):
        canvas.stroke(points((-0.155, y), (0.155, y)), 0.03, tone(METAL, -0.45))


@object_class("feather", turn=40)
def feather(canvas: Canvas) -> None:
    rng = canvas.rng
    bow = rng.uniform(0.1, 0.3)
    shaft = bezier(np.array([[0.0, 1.15], [bow, 0.4], [bow, -0.4], [-0.05, -1.0]]), 40)
    along = np.gradient(shaft, axis=0)
    along /= np.hypot(along[:, 0], along[:, 1])[:, None]
    n = 130
    place = np.sort(rng.uniform(0.24, 0.99, n))
    gap = rng.uniform(0.35, 0.75)
    place = place[np.abs(place - gap) > 0.018]
    i = (place * 39).astype(int)
    length = rng.uniform(0.46, 0.56) * np.sin(np.pi * np.clip((place - 0.2) / 0.8, 0, 1) ** 0.75) ** 0.6
    for side in (-1.0, 1.0):
        out = np.stack([-along[i, 1], along[i, 0]], axis=1) * side
        a = shaft[i]
        b = a + out * length[:, None] * 0.55 + along[i] * length[:, None] * 0.3
        c = a + out * length[:, None] + along[i] * length[:, None] * 0.95
        lines = bezier(np.stack([a, b, b, c], axis=1), 8)
        canvas.strands(lines, np.linspace(0.05, 0.03, 8), _tones(canvas, 9, -0.3, 0.3))
    canvas.fill(
        ribbon(shaft, np.linspace(0.07, 0.02, 40)), tone(canvas.colour, 0.55 if canvas.colour.mean() < 0.75 else -0.4)
    )


@object_class("dandelion", colours=("white", "gray", "yellow", "pink", "purple", "gold"), turn=12)
def dandelion(canvas: Canvas) -> None:
    rng = canvas.rng
    stem = bezier(np.array([[0.0, -0.35], [0.1, 0.3], [-0.1, 0.7], [rng.uniform(-0.2, 0.2), 1.1]]), 24)
    canvas.fill(ribbon(stem, np.linspace(0.075, 0.1, 24)), canvas.lit(rgb(130, 84, 60)))
    centre = np.array([0.0, -0.35])
    n = int(rng.integers(34, 46))
    a = np.arange(n) * 2.39996 + rng.normal(0, 0.05, n)
    r = 0.78 * np.sqrt((np.arange(n) + 6) / (n + 5))
    ends = centre + np.stack([np.cos(a), np.sin(a)], axis=1) * r[:, None]
    canvas.fill(circle(0, -0.35, 0.7), canvas.ball(canvas.colour, 0, -0.35, 0.9, 0), opacity=0.3)
    canvas.stroke([np.stack([centre, e]) for e in ends], 0.022, tone(canvas.colour, -0.2))
    fans = [
        np.stack([e, e + 0.15 * np.array([np.cos(b), np.sin(b)])])
        for e, t in zip(ends, a, strict=True)
        for b in t + np.linspace(-1.25, 1.25, 7)
    ]
    canvas.stroke(fans, 0.026, canvas.lit(canvas.colour, 0.2))
    canvas.fill(circle(0, -0.35, 0.12), rgb(120, 84, 50))


@object_class("mustache", colours=("black", "brown", "gray", "white", "gold", "orange", "red"), turn=10)
def mustache(canvas: Canvas) -> None:
    rng = canvas.rng
    curl = rng.uniform(0.1, 0.3)
    for side in (-1.0, 1.0):
        n = 110
        s = rng.random(n)
        start = np.stack([0.02 + 0.1 * s, -0.2 + 0.3 * rng.random(n)], axis=1)
        b = np.stack([0.3 + 0.12 * s, -0.42 + 0.75 * s], axis=1)
        c = np.stack([0.75 + 0.05 * s, 0.16 + 0.32 * s], axis=1)
        end = np.stack([rng.uniform(0.95, 1.02, n), -curl + 0.1 * s + rng.normal(0, 0.02, n)], axis=1)
        lines = bezier(np.stack([start, b, c, end], axis=1), 14) * (side, 1)
        canvas.strands(lines, TAPER * 0.06, _tones(canvas, 7, -0.4, 0.28))


@object_class("hedgehog", colours=("brown", "black", "gray", "gold", "purple", "red", "orange"), turn=5)
def hedgehog(canvas: Canvas) -> None:
    rng = canvas.rng
    face = tone(rgb(240, 208, 168), float(rng.uniform(-0.1, 0.1)))
    canvas.fill(
        smooth([(-0.2, 0.1), (0.45, -0.05), (0.7, 0.2), (1.05, 0.36), (0.98, 0.46), (0.6, 0.62), (-0.2, 0.66)]),
        canvas.lit(face),
    )
    for x in (-0.45, -0.15, 0.25, 0.5):
        canvas.fill(ellipse(x, 0.68, 0.13, 0.08), tone(face, -0.25))
    for ring, n in ((1.0, 90), (0.8, 70), (0.55, 50), (0.3, 24)):
        a = np.radians(rng.uniform(150, 385, n) - 35)
        inner = np.stack([np.cos(a) * 0.55 * ring, np.sin(a) * 0.5 * ring], axis=1)
        outer = np.stack([np.cos(a + 0.1) * 0.98 * ring, np.sin(a + 0.1) * 0.9 * ring], axis=1) + rng.normal(
            0, 0.02, (n, 2)
        )
        lines = placed(np.linspace(inner, outer, 5, axis=1), -0.2, 0.3)
        canvas.fill(ellipse(-0.2, 0.25, 0.66 * ring, 0.5 * ring), tone(canvas.colour, -0.4))
        canvas.strands(lines, np.array([0.09, 0.075, 0.055, 0.035, 0.006]), _tones(canvas, 6, -0.5, 0.35))
    canvas.fill(circle(0.62, 0.22, 0.07), INK)
    canvas.fill(circle(0.64, 0.2, 0.022), SNOW)
    canvas.fill(circle(1.04, 0.4, 0.085), INK)
