"""Glass: a drinking glass, a bottle, spectacles. See-through inside, dark and bright at the rims."""

import numpy as np

from factory.sources.greenbench.looks import (
    box,
    circle,
    colour,
    grained,
    lit,
    mirrored,
    relief,
    rounded,
    step,
    turned,
    varied,
)
from factory.sources.greenbench.registry import bench_class
from factory.sources.greenbench.sheet import Field, Patch, Sheet


def _rims(sheet: Sheet, patch: Patch, wall: float) -> Field:
    """0 in the middle of a pane, 1 at its outline: how much glass a ray meets."""
    n = relief(sheet, patch, wall, soft=0.01)
    return np.asarray(np.clip((1 - n[..., 2]) * 2.2, 0, 1), np.float32)


def _highlight(sheet: Sheet, line: object, width: float, opacity: float) -> None:
    patch = sheet.stroke(np.asarray(line), width)
    soft = relief(sheet, patch, width / 2, soft=width / 8)[..., 2]
    sheet.lay(patch, colour(250, 252, 255), opacity * np.clip(soft * 1.2 - 0.2, 0, 1))


@bench_class("a drinking glass", "glass", turn=4)
def tumbler(sheet: Sheet) -> None:
    """A tumbler, half full of water or juice, or empty."""
    random = sheet.random
    outer = mirrored([(0.52, -0.88), (0.42, 0.8), (0.36, 0.86), (0.2, 0.9), (0.02, 0.91)])
    body = sheet.shape(outer)
    rim = _rims(sheet, body, 0.16)
    smoke = varied(colour(74, 84, 88), random)
    sheet.lay(body, smoke * (0.8 + 0.5 * rim[..., None]), 0.07 + 0.5 * rim**1.5, 0.3)
    filled = random.random()
    if filled < 0.7:
        level = random.uniform(-0.4, 0.1)
        side = 0.52 - 0.1 * (level + 0.88) / 1.68 - 0.035
        inside = mirrored([(side, level), (0.395, 0.68), (0.33, 0.74), (0.02, 0.75)])
        drink = sheet.shape(inside)
        juice, opacity = ((colour(238, 150, 32), 0.9), (colour(150, 30, 44), 0.8), (colour(196, 214, 220), 0.14))[
            int(random.integers(3))
        ]
        deep = _rims(sheet, drink, 0.1)
        sheet.lay(drink, lit(juice * (1 - 0.25 * deep[..., None]), turned(drink)), opacity + 0.1 * deep)
        sheet.lay(sheet.shape(circle(0, level, side, flat=0.16)), np.clip(juice * 1.25, 0, 1), 0.7 * opacity + 0.1)
    for y, half, width in ((-0.88, 0.52, 0.022), (0.8, 0.4, 0.03)):
        ring = sheet.stroke(circle(0, y, half, flat=0.15), width, closed=True)
        sheet.lay(ring, colour(214, 224, 228), 0.62)
        sheet.lay(sheet.stroke(circle(0, y + 0.012, half, flat=0.15), 0.008, closed=True), colour(40, 48, 50), 0.5)
    floor = sheet.shape(circle(0, 0.8, 0.38, flat=0.16))
    sheet.lay(floor, colour(226, 234, 238), 0.3 * _rims(sheet, floor, 0.14) + 0.08)
    _highlight(sheet, [(-0.38, -0.7), (-0.33, 0.6)], 0.07, 0.75)
    _highlight(sheet, [(-0.27, -0.7), (-0.24, 0.3)], 0.025, 0.45)
    _highlight(sheet, [(0.41, -0.6), (0.34, 0.66)], 0.03, 0.5)


@bench_class("a glass bottle", "glass", turn=5)
def bottle(sheet: Sheet) -> None:
    """Tinted glass with bright rims, a lip, and a paper label."""
    random = sheet.random
    tint, least = ((colour(96, 54, 20), 0.62), (colour(50, 70, 110), 0.35), (colour(120, 126, 128), 0.12))[
        int(random.integers(3))
    ]
    outline = rounded(
        mirrored(
            [
                (0.1, -0.92),
                (0.115, -0.5),
                (0.16, -0.36),
                (0.31, -0.12),
                (0.33, 0.1),
                (0.33, 0.8),
                (0.29, 0.9),
                (0.04, 0.92),
            ]
        ),
        n=8,
    )
    body = sheet.shape(outline)
    rim = _rims(sheet, body, 0.14)
    glow = np.clip(1.5 - 3 * np.abs(sheet.part_of(body, sheet.u) + 0.08), 0, 1)[..., None]
    sheet.lay(body, np.clip(tint * (0.55 + 0.9 * glow), 0, 1), least + (0.95 - least) * rim**1.4, 0.25)
    for y, half in ((-0.92, 0.115), (-0.82, 0.125)):
        lip = sheet.stroke([(-half, y), (half, y)], 0.05)
        sheet.lay(lip, lit(np.clip(tint * 1.3 + 0.1, 0, 1), relief(sheet, lip, 0.025), gloss=0.6), 0.85)
    if random.random() < 0.7:
        label = sheet.shape(box(-0.325, 0.16, 0.325, 0.62))
        round_shade = 1 - 0.5 * np.abs(sheet.part_of(label, sheet.u) / 0.33) ** 3
        sheet.lay(label, colour(234, 226, 204) * round_shade[..., None] * grained(sheet, label, 30, 0.04))
        band = varied(colour(150, 40, 36), random, 0.3)
        for top, bottom in ((0.2, 0.23), (0.55, 0.58), (0.34, 0.43)):
            sheet.tint(sheet.shape(box(-0.24, top, 0.24, bottom)), band, 0.9)
    _highlight(sheet, [(-0.25, -0.02), (-0.26, 0.82)], 0.05, 0.8)
    _highlight(sheet, [(-0.06, -0.8), (-0.075, -0.44)], 0.025, 0.75)
    _highlight(sheet, [(0.27, 0.0), (0.28, 0.8)], 0.02, 0.55)


@bench_class("a wine glass", "glass", turn=5)
def wine_glass(sheet: Sheet) -> None:
    """A thin bowl on a stem, with or without wine."""
    random = sheet.random
    foot = sheet.shape(circle(0, 0.86, 0.36, flat=0.17))
    sheet.lay(foot, colour(150, 158, 162), 0.12 + 0.5 * _rims(sheet, foot, 0.08), 0.2)
    stem = sheet.shape(rounded(mirrored([(0.05, 0.18), (0.028, 0.4), (0.028, 0.66), (0.09, 0.83)]), n=8))
    sheet.lay(stem, colour(130, 140, 146), 0.25 + 0.6 * _rims(sheet, stem, 0.03), 0.3)
    profile = [(0.36, -0.9), (0.45, -0.5), (0.44, -0.2), (0.3, 0.08), (0.05, 0.2)]
    bowl = sheet.shape(mirrored(rounded(profile, closed=False)))
    rim = _rims(sheet, bowl, 0.12)
    sheet.lay(bowl, colour(92, 100, 104) * (0.8 + 0.6 * rim[..., None]), 0.05 + 0.45 * rim**1.6, 0.25)
    if random.random() < 0.65:
        wine = ((colour(120, 14, 34), 0.9), (colour(232, 206, 120), 0.5))[int(random.integers(2))]
        inside = sheet.shape(mirrored(rounded([(0.43, -0.3), (0.41, -0.16), (0.28, 0.06), (0.04, 0.17)], closed=False)))
        sheet.lay(inside, lit(wine[0], relief(sheet, inside, 0.3), gloss=0.2), wine[1])
        sheet.lay(sheet.shape(circle(0, -0.3, 0.43, flat=0.16)), np.clip(wine[0] * 1.3, 0, 1), wine[1] * 0.8)
    edge = sheet.stroke(circle(0, -0.9, 0.36, flat=0.16), 0.014, closed=True)
    sheet.lay(edge, colour(224, 232, 236), 0.7)
    _highlight(sheet, rounded([(-0.3, -0.7), (-0.35, -0.4), (-0.3, -0.1)], closed=False), 0.06, 0.7)
    _highlight(sheet, rounded([(0.34, -0.7), (0.39, -0.4), (0.34, -0.12)], closed=False), 0.02, 0.5)


@bench_class("a pair of spectacles", "glass", reported=True)
def spectacles(sheet: Sheet) -> None:
    """A dark frame, two lenses with a reflection, temples that run back."""
    random = sheet.random
    frame = ((colour(30, 26, 26)), colour(110, 62, 30), colour(176, 150, 90))[int(random.integers(3))]
    frame = varied(frame, random)
    width = random.uniform(0.045, 0.08)
    square = random.uniform(0.0, 1.0)
    for side in (-1, 1):
        temple = rounded(
            [(side * 0.86, -0.1), (side * 0.93, -0.2), (side * 0.74, -0.52), (side * 0.7, -0.6)], closed=False
        )
        patch = sheet.stroke(temple, np.linspace(width, width * 0.6, len(temple)))
        sheet.lay(patch, lit(frame * 0.8, relief(sheet, patch, 0.03), gloss=0.3))
        t = np.linspace(0, 2 * np.pi, 80, endpoint=False)
        power = 1 - 0.45 * square
        x = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power * 0.38
        y = np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power * 0.31
        outline = np.stack([side * 0.47 + x, 0.05 + y], 1)
        lens = sheet.shape(outline)
        rim = _rims(sheet, lens, 0.08)
        sheet.lay(lens, colour(190, 200, 206), 0.06 + 0.2 * rim, 0.3)
        shine = step(0.02, 0.0, np.abs(sheet.part_of(lens, sheet.u * 0.7 + sheet.v) - side * 0.33 + 0.06) - 0.05)
        sheet.lay(lens, colour(248, 250, 255), 0.42 * shine)
        ring = sheet.stroke(outline, width, closed=True)
        sheet.lay(ring, lit(frame, relief(sheet, ring, width / 2, soft=0.008), gloss=0.7))
    bridge = sheet.stroke(rounded([(-0.11, 0.0), (0, -0.07), (0.11, 0.0)], closed=False), width)
    sheet.lay(bridge, lit(frame, relief(sheet, bridge, width / 2, soft=0.008), gloss=0.7))
