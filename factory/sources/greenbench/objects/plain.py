"""Plain things: opaque, sharp, of colours far from the screen's. What any keyer should get right."""

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
    solid,
    turned,
    varied,
)
from factory.sources.greenbench.registry import bench_class
from factory.sources.greenbench.sheet import Paint, Sheet

PAINTS = (
    colour(196, 44, 48),
    colour(40, 74, 160),
    colour(232, 170, 44),
    colour(120, 66, 140),
    colour(228, 122, 50),
    colour(90, 92, 98),
    colour(214, 120, 150),
)


def _paint(sheet: Sheet) -> Paint:
    return varied(PAINTS[int(sheet.random.integers(len(PAINTS)))], sheet.random)


@bench_class("a mug", "plain")
def mug(sheet: Sheet) -> None:
    """With a handle through which the screen is seen."""
    paint = _paint(sheet)
    handle = sheet.stroke(rounded([(0.4, -0.38), (0.84, -0.36), (0.84, 0.3), (0.4, 0.36)], closed=False), 0.15)
    solid(sheet, handle, paint, 0.07, gloss=0.35)
    body = sheet.shape(
        mirrored(rounded([(0.5, -0.7), (0.5, 0.6), (0.46, 0.76), (0.3, 0.84), (0.02, 0.86)], closed=False))
    )
    sheet.lay(body, lit(paint, turned(body), gloss=0.3))
    bow = 0.08 * np.sqrt(1 - np.linspace(-1, 1, 40) ** 2)
    across = np.linspace(-0.5, 0.5, 40)
    band = sheet.shape(np.concatenate([np.stack([across, 0.1 + bow], 1), np.stack([across, 0.34 + bow], 1)[::-1]]))
    sheet.tint(band, lit(colour(240, 236, 226), turned(band)), 0.9)
    rim = sheet.shape(circle(0, -0.7, 0.5, flat=0.22))
    sheet.lay(rim, np.clip(paint * 1.15, 0, 1))
    inside = sheet.shape(circle(0, -0.69, 0.45, flat=0.18))
    sheet.lay(inside, paint * 0.55)
    sheet.lay(sheet.shape(circle(0, -0.63, 0.4, flat=0.12)), colour(70, 40, 24))


@bench_class("a toy car", "plain", turn=6)
def car(sheet: Sheet) -> None:
    """A body with windows that are painted, not clear."""
    paint = _paint(sheet)
    cabin = sheet.shape(rounded([(-0.55, 0.0), (-0.34, -0.44), (0.24, -0.44), (0.5, 0.0)], n=8))
    solid(sheet, cabin, paint * 0.95, 0.15, gloss=0.35)
    for outline in (
        [(-0.42, -0.04), (-0.28, -0.34), (-0.05, -0.34), (-0.05, -0.04)],
        [(0.02, -0.04), (0.02, -0.34), (0.2, -0.34), (0.36, -0.04)],
    ):
        window = sheet.shape(outline)
        sheet.tint(window, lit(colour(70, 84, 104), relief(sheet, window, 0.04), gloss=0.3))
    body = sheet.shape(
        rounded([(-0.92, 0.06), (-0.6, -0.04), (0.55, -0.06), (0.92, 0.1), (0.92, 0.36), (-0.92, 0.36)], n=6)
    )
    solid(sheet, body, paint, 0.2, gloss=0.45)
    sheet.darken(sheet.stroke([(0, -0.03), (0, 0.34)], 0.012), 0.5)
    sheet.darken(sheet.stroke([(-0.9, 0.2), (0.9, 0.2)], 0.012), 0.4)
    solid(sheet, sheet.shape(circle(0.86, 0.16, 0.06)), colour(250, 240, 190), 0.05, gloss=0.7)
    solid(sheet, sheet.shape(circle(-0.88, 0.16, 0.05)), colour(180, 20, 24), 0.05, gloss=0.4)
    for x in (-0.54, 0.54):
        solid(sheet, sheet.shape(circle(x, 0.36, 0.21)), colour(34, 33, 34), 0.06)
        solid(sheet, sheet.shape(circle(x, 0.36, 0.11)), colour(190, 192, 196), 0.06, gloss=0.6)
        solid(sheet, sheet.shape(circle(x, 0.36, 0.035)), colour(80, 80, 84), 0.03)


@bench_class("a stack of books", "plain", turn=5)
def books(sheet: Sheet) -> None:
    """Spines of several colours, pages seen at one end."""
    random = sheet.random
    bottom = 0.8
    for _ in range(int(random.integers(4, 7))):
        high = random.uniform(0.16, 0.26)
        left, right = -random.uniform(0.6, 0.82), random.uniform(0.6, 0.82)
        paint = _paint(sheet)
        cover = sheet.shape(box(left, bottom - high, right, bottom, 0.03))
        solid(sheet, cover, paint, 0.06, grain=0.12)
        pages = sheet.shape(box(left + 0.06, bottom - high + 0.03, right + 0.005, bottom - 0.03))
        lines = 0.94 + 0.05 * np.sin(sheet.part_of(pages, sheet.v) * 260)
        if random.random() < 0.5:
            sheet.lay(pages, np.clip(colour(236, 228, 206) * lines[..., None], 0, 1))
        else:
            for x in (left + 0.14, right - 0.14):
                sheet.tint(sheet.stroke([(x, bottom - high), (x, bottom)], 0.03), colour(226, 196, 110), 0.8)
            sheet.tint(
                sheet.shape(box(-0.3, bottom - high * 0.62, 0.3, bottom - high * 0.4)), colour(232, 214, 150), 0.7
            )
        bottom -= high
        if bottom < -0.7:
            break


@bench_class("a teddy", "plain", turn=8)
def teddy(sheet: Sheet) -> None:
    """Plush of short pile: opaque, rounded limbs, a gap between arm and body."""
    random = sheet.random
    plush = varied(
        ((colour(160, 108, 66)), colour(206, 170, 122), colour(120, 84, 70))[int(random.integers(3))], random
    )
    muzzle = np.clip(plush * 1.35, 0, 1)
    for side in (-1, 1):
        solid(sheet, sheet.shape(circle(side * 0.34, -0.74, 0.18)), plush, 0.14, grain=0.2)
        solid(sheet, sheet.shape(circle(side * 0.34, -0.73, 0.1)), muzzle, 0.08, grain=0.2)
        solid(sheet, sheet.shape(circle(side * 0.4, 0.74, 0.25, flat=0.8)), plush, 0.22, grain=0.2)
        solid(sheet, sheet.shape(circle(side * 0.44, 0.78, 0.13, flat=0.8)), muzzle, 0.1, grain=0.2)
        limb = sheet.stroke(rounded([(side * 0.34, 0.0), (side * 0.68, 0.18), (side * 0.6, 0.44)], closed=False), 0.23)
        solid(sheet, limb, plush * 0.96, 0.11, grain=0.2)
    solid(sheet, sheet.shape(circle(0, 0.36, 0.44, flat=1.05)), plush, 0.4, grain=0.2)
    solid(sheet, sheet.shape(circle(0, 0.4, 0.25)), muzzle, 0.2, grain=0.2)
    solid(sheet, sheet.shape(circle(0, -0.44, 0.44, flat=0.9)), plush, 0.4, grain=0.2)
    solid(sheet, sheet.shape(circle(0, -0.32, 0.19, flat=0.8)), muzzle, 0.16, grain=0.2)
    for side in (-1, 1):
        solid(sheet, sheet.shape(circle(side * 0.16, -0.52, 0.05)), colour(20, 16, 14), 0.05, gloss=0.9)
    solid(sheet, sheet.shape(circle(0, -0.38, 0.06, flat=0.7)), colour(40, 26, 22), 0.05, gloss=0.6)
    bow = _paint(sheet)
    for side in (-1, 1):
        solid(sheet, sheet.shape([(0, -0.02), (side * 0.24, -0.12), (side * 0.24, 0.1)]), bow, 0.06)


@bench_class("a suitcase", "plain", reported=True)
def suitcase(sheet: Sheet) -> None:
    """Leather with straps, corners, and a handle one sees through."""
    paint = _paint(sheet)
    handle = sheet.stroke(rounded([(-0.2, -0.5), (-0.18, -0.74), (0.18, -0.74), (0.2, -0.5)], closed=False), 0.08)
    solid(sheet, handle, colour(70, 46, 34), 0.04, gloss=0.2)
    body = sheet.shape(box(-0.9, -0.52, 0.9, 0.7, 0.1))
    sheet.lay(body, lit(paint * grained(sheet, body, 70, 0.12), relief(sheet, body, 0.12), gloss=0.15))
    for x in (-0.5, 0.5):
        strap = sheet.shape(box(x - 0.07, -0.53, x + 0.07, 0.71))
        sheet.lay(strap, lit(colour(96, 62, 40) * grained(sheet, strap, 60, 0.15), relief(sheet, strap, 0.03)))
        buckle = sheet.stroke(box(x - 0.1, 0.0, x + 0.1, 0.18, 0.02), 0.03, closed=True)
        solid(sheet, buckle, colour(214, 180, 90), 0.015, gloss=0.8, grain=0)
    for x, y in ((-0.82, -0.44), (0.82, -0.44), (-0.82, 0.62), (0.82, 0.62)):
        solid(sheet, sheet.shape(circle(x, y, 0.1)), colour(110, 74, 48), 0.04, gloss=0.2)
    sheet.darken(sheet.stroke([(-0.9, -0.2), (0.9, -0.2)], 0.014), 0.5)
