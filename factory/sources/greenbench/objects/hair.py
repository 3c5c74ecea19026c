"""Hair and fur: curls, long straight hair with flyaways, a furry animal."""

import numpy as np
from numpy.random import Generator

from factory.sources.greenbench.looks import circle, colour, grained, lit, mirrored, relief, rounded, solid, varied
from factory.sources.greenbench.registry import bench_class
from factory.sources.greenbench.sheet import Paint, Points, Sheet

COLOURS: tuple[Paint, ...] = (
    colour(36, 26, 22),
    colour(84, 52, 32),
    colour(150, 104, 58),
    colour(214, 184, 128),
    colour(128, 52, 30),
)
COLOURS += (colour(168, 168, 172),)
SKIN = (colour(232, 186, 160), colour(198, 142, 106), colour(124, 80, 56))


def _one_of(choices: tuple[Paint, ...], random: Generator) -> Paint:
    return varied(choices[int(random.integers(len(choices)))], random)


def _shoulders(sheet: Sheet) -> None:
    """Neck and shoulders from behind, in a shirt."""
    random = sheet.random
    skin = _one_of(SKIN, random)
    neck = sheet.shape(mirrored([(0.15, 0.1), (0.15, 0.5), (0.26, 0.62), (0.02, 0.7)]))
    sheet.lay(neck, lit(skin, relief(sheet, neck, 0.12)))
    shirt = _one_of((colour(60, 70, 110), colour(150, 40, 50), colour(220, 216, 208), colour(40, 40, 46)), random)
    outline = mirrored(rounded([(0.02, 0.56), (0.22, 0.54), (0.6, 0.66), (0.82, 0.86), (0.86, 1.1)], closed=False))
    body = sheet.shape(outline)
    sheet.lay(body, lit(shirt * grained(sheet, body, 60, 0.06), relief(sheet, body, 0.2)))
    sheet.darken(sheet.stroke(rounded([(-0.24, 0.56), (0, 0.66), (0.24, 0.56)], closed=False), 0.02), 0.4)


def _tones(hair: Paint, random: Generator, number: int, place: object = None) -> list[Paint]:
    """A shade for each strand: most near the hair's own, some bright where light falls."""
    bright = random.normal(1, 0.16, number) if place is None else np.asarray(place) * random.normal(1, 0.1, number)
    return [np.clip(hair * b, 0, 1) for b in bright]


@bench_class("a head of curly hair", "hair", turn=6)
def curly(sheet: Sheet) -> None:
    """From behind: a cloud of spirals, loose ones at the rim."""
    random = sheet.random
    hair = _one_of(COLOURS, random)
    _shoulders(sheet)
    core = sheet.shape(circle(0, -0.18, 0.5, flat=1.02))
    sheet.lay(core, lit(hair * 0.6 * grained(sheet, core, 30, 0.4), relief(sheet, core, 0.5)))
    for ring, (number, inner, outer, thick) in enumerate(
        ((420, 0.05, 0.5, 2), (500, 0.3, 0.6, 2), (260, 0.46, 0.72, 1))
    ):
        lines, light = [], []
        for _ in range(number):
            a, r = random.uniform(0, 2 * np.pi), np.sqrt(random.uniform(inner**2, outer**2))
            t = np.linspace(0, 1, 26)
            coil = random.uniform(0.02, 0.045)
            turns = random.uniform(1.5, 3.5) * 2 * np.pi
            way = a + random.normal(0, 0.7)
            drift = random.uniform(0.06, 0.2)
            x = r * np.cos(a) + drift * t * np.cos(way) + coil * np.cos(turns * t + a)
            y = -0.18 + r * np.sin(a) * 1.02 + drift * t * np.sin(way) + coil * np.sin(turns * t + a) + 0.04 * t
            lines.append(np.stack([x, y], 1))
            light.append(0.95 - 0.28 * (x.mean() * 0.45 + (y.mean() + 0.18) * 0.65) / 0.6 + 0.06 * ring)
        sheet.strands(lines, _tones(hair, random, number, light), thick)


@bench_class("long straight hair with flyaways", "hair", turn=6)
def straight(sheet: Sheet) -> None:
    """From behind, over the shoulders; single hairs stand off."""
    random = sheet.random
    hair = _one_of(COLOURS, random)
    _shoulders(sheet)
    longest = random.uniform(0.55, 0.85)
    mass = rounded(
        mirrored([(0.1, -0.73), (0.3, -0.64), (0.42, -0.4), (0.44, 0), (0.42, longest - 0.1), (0.04, longest)])
    )
    core = sheet.shape(mass)
    sheet.lay(core, lit(hair * 0.7, relief(sheet, core, 0.35)))
    lines: list[Points] = []
    light = []
    for _ in range(1500):
        lines.append(_fall(random, longest, wild=0.015))
        light.append(1.05 + 0.25 * np.cos(5 * lines[-1][14, 0] + 1) - 0.3 * abs(lines[-1][14, 0]))
    sheet.strands(lines, _tones(hair, random, len(lines), light), 1)
    loose = [_fall(random, longest + random.uniform(-0.2, 0.08), wild=0.09) for _ in range(150)]
    sheet.strands(loose, _tones(hair, random, len(loose)), 1)


def _fall(random: Generator, longest: float, wild: float) -> Points:
    """One hair from the parting over the skull and down."""
    side = random.uniform(-1, 1)
    t = np.linspace(0, 1, 28)
    width = 0.43 * np.sign(side) * abs(side) ** 0.8
    over = 1 - np.exp(-t * 6)
    bend = (
        wild * random.normal() * t**1.5 * 2 + wild * 0.7 * np.sin(t * random.uniform(2, 8) + random.uniform(0, 6)) * t
    )
    x = random.normal(0, 0.012) + width * over + bend
    top = -0.74 + 0.04 * abs(side) + random.normal(0, wild * 0.4)
    y = top + (longest - top) * (t**1.25) * random.uniform(0.9, 1.02) + 0.1 * abs(side) * over * (1 - t)
    return np.stack([x, y], 1)


@bench_class("a fluffy kitten", "hair", turn=8)
def kitten(sheet: Sheet) -> None:
    """Fur all round, ears, eyes, whiskers as thin as hairs."""
    random = sheet.random
    fur = _one_of((colour(150, 146, 144), colour(216, 160, 96), colour(232, 226, 216), colour(70, 64, 62)), random)

    def furry(x: float, y: float, r: float, *, flat: float, number: int, length: float, shade: float = 1.0) -> None:
        core = sheet.shape(circle(x, y, r * 0.96, flat=flat))
        sheet.lay(core, lit(fur * shade * grained(sheet, core, 40, 0.25), relief(sheet, core, r)))
        lines, light = [], []
        for _ in range(number):
            a = random.uniform(0, 2 * np.pi)
            s = random.uniform(0.2, 1.02) ** 0.5
            start = np.array([x + r * s * np.cos(a), y + r * flat * s * np.sin(a)])
            way = a + random.normal(0, 0.35) + 0.25 * np.cos(a)
            t = np.linspace(0, 1, 6)[:, None]
            tip = np.array([np.cos(way), np.sin(way) + 0.35]) * length * random.uniform(0.5, 1.2)
            lines.append(start + tip * t + np.array([0, 0.25 * length]) * t**2)
            light.append(shade * (1.0 - 0.3 * (np.cos(a) * 0.45 + np.sin(a) * 0.65) * s))
        order = np.argsort([line[0, 1] for line in lines])
        paints = _tones(fur, random, number, light)
        sheet.strands([lines[i] for i in order], [paints[i] for i in order], 1)

    tail = rounded([(0.5, 0.7), (0.82, 0.5), (0.78, 0.1)], closed=False, n=14)
    for x, y in tail[::3]:
        furry(float(x), float(y), 0.09, flat=1.0, number=130, length=0.09, shade=0.9)
    furry(0, 0.5, 0.52, flat=0.82, number=2400, length=0.12, shade=0.95)
    for side in (-1, 1):
        furry(side * 0.22, 0.84, 0.15, flat=0.7, number=400, length=0.06, shade=1.02)
    for side in (-1, 1):
        ear = sheet.shape(rounded([(side * 0.12, -0.62), (side * 0.42, -0.96), (side * 0.46, -0.4)], n=4))
        sheet.lay(ear, lit(fur * 0.9, relief(sheet, ear, 0.1)))
        inner = sheet.shape(rounded([(side * 0.2, -0.62), (side * 0.38, -0.86), (side * 0.4, -0.5)], n=4))
        sheet.tint(inner, colour(222, 160, 150), 0.8)
    furry(0, -0.28, 0.46, flat=0.86, number=2400, length=0.1)
    for side in (-1, 1):
        eye = sheet.shape(circle(side * 0.19, -0.3, 0.095))
        sheet.lay(eye, lit(colour(196, 160, 60), relief(sheet, eye, 0.09), gloss=0.3))
        sheet.lay(sheet.shape(circle(side * 0.19, -0.3, 0.035, flat=2.2)), colour(14, 12, 12))
        sheet.lay(sheet.shape(circle(side * 0.19 - 0.03, -0.34, 0.022)), colour(255, 255, 255))
        whiskers = [
            np.stack([side * (0.1 + 0.55 * t), -0.1 + 0.09 * k * t + 0.08 * t**2], 1)
            for k in (-1, 0, 1)
            for t in [np.linspace(0, 1, 12)]
        ]
        sheet.strands(whiskers, [colour(246, 244, 240)] * 3, 1)
    solid(sheet, sheet.shape([(-0.05, -0.16), (0.05, -0.16), (0, -0.1)]), colour(214, 130, 126), 0.03)
    mouth = rounded([(-0.1, -0.04), (-0.04, -0.02), (0, -0.09), (0.04, -0.02), (0.1, -0.04)], closed=False)
    sheet.tint(sheet.stroke(mouth, 0.014), colour(60, 40, 40))


@bench_class("a feather boa", "hair", turn=30, reported=True)
def boa(sheet: Sheet) -> None:
    """Downy barbs on a winding cord, thin enough to see the screen through everywhere at the rim."""
    random = sheet.random
    tint = _one_of((colour(200, 40, 110), colour(240, 236, 230), colour(40, 36, 44), colour(120, 60, 170)), random)
    cord = rounded([(-0.75, -0.5), (-0.2, -0.75), (0.5, -0.55), (0.55, -0.05), (-0.3, 0.05), (-0.6, 0.45), (0.1, 0.7),
                    (0.75, 0.5)], closed=False, n=40)  # fmt: skip
    lines, light = [], []
    for i in random.integers(0, len(cord), 5200):
        a = random.uniform(0, 2 * np.pi)
        length = random.uniform(0.06, 0.2)
        t = np.linspace(0, 1, 7)[:, None]
        curl = np.array([np.cos(a + 1.4), np.sin(a + 1.4)]) * length * 0.4 * random.normal()
        lines.append(cord[i] + np.array([np.cos(a), np.sin(a)]) * length * t + curl * t**2 + np.array([0, 0.05]) * t**2)
        light.append(0.9 - 0.3 * (np.cos(a) * 0.45 + np.sin(a) * 0.65))
    sheet.strands(lines, _tones(tint, random, len(lines), light), 1)
