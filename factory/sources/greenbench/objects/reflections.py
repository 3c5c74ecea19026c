"""Opaque, shiny things that mirror the room: armour, chrome, glossy plastic. The screen is part of what they show."""

import numpy as np

from factory.sources.greenbench.looks import box, circle, clouds, colour, mirrored, relief, rounded, solid, step, varied
from factory.sources.greenbench.registry import bench_class
from factory.sources.greenbench.sheet import Field, Paint, Patch, Sheet


def _chrome(sheet: Sheet, patch: Patch, tint: Paint, depth: float, *, polish: float = 0.8, dents: float = 0.0) -> None:
    """A mirror of the studio: lamps above, a dark floor before it, and the screen round its rims and below.

    polish: share of its light that it mirrors.  dents: unevenness of its surface.
    """
    n = relief(sheet, patch, depth, soft=0.015)
    if dents:
        rough = clouds((sheet.side, sheet.side), 9, sheet.random, 3) - 0.5
        n = n + dents * np.dstack([sheet.part_of(patch, rough), sheet.part_of(patch, rough[::-1]), 0 * patch.cover])
        n /= np.linalg.norm(n, axis=2, keepdims=True)
    x, y, z = 2 * n[..., 2] * n[..., 0], 2 * n[..., 2] * n[..., 1], 2 * n[..., 2] ** 2 - 1  # where the eye's ray goes
    room = 0.34 - 0.3 * y + 0.1 * x
    lamp = step(0.12, 0.3, -y) * step(0.95, 0.7, -y) * step(0.75, 0.6, np.abs(x + 0.35))
    strip = step(0.14, 0.08, np.abs(x - 0.62)) * step(0.7, 0.5, np.abs(y + 0.1))
    dark = step(0.35, 0.0, np.abs(y - 0.12))
    light = np.clip(room * (1 - 0.55 * dark), 0.03, 1)
    light += (0.98 - light) * np.clip(lamp + 0.8 * strip, 0, 1)
    screen = _screen_seen(y, z) * (1 - np.clip(lamp + strip, 0, 1))
    sheet.lay(patch, np.clip(tint * (0.12 + 0.95 * light[..., None]), 0, 1), 1.0, polish * screen)


def _screen_seen(y: Field, z: Field) -> Field:
    """Which rays end on the screen behind the object, or on its part that lies on the floor."""
    behind = step(0.15, -0.5, z)
    floor = step(0.25, 0.7, y)
    return np.asarray(np.clip(0.85 * behind + 0.7 * floor, 0, 1), np.float32)


STEEL = colour(206, 210, 216)
METALS = (STEEL, colour(226, 188, 112), colour(196, 126, 92), colour(150, 154, 162))


@bench_class("a breastplate", "reflections", turn=5)
def breastplate(sheet: Sheet) -> None:
    """Dented steel with a ridge, rivets, shoulder pieces."""
    random = sheet.random
    steel = varied(METALS[int(random.choice([0, 1, 3]))], random)
    for side in (-1, 1):
        for k in range(3):
            outline = circle(side * (0.5 + 0.03 * k), -0.2 - 0.14 * k, 0.27 - 0.02 * k, flat=0.8, turn=side * 0.5)
            _chrome(sheet, sheet.shape(outline), steel * (0.92 + 0.04 * k), 0.22, polish=0.65)
            sheet.darken(sheet.stroke(outline, 0.012, closed=True), 0.4)
    outline = rounded(
        mirrored(
            [
                (0.24, -0.62),
                (0.42, -0.72),
                (0.5, -0.5),
                (0.46, -0.3),
                (0.6, 0.0),
                (0.55, 0.4),
                (0.4, 0.62),
                (0.02, 0.72),
            ]
        ),
        n=10,
    )
    body = sheet.shape(outline)
    _chrome(sheet, body, steel, 0.5, polish=0.7, dents=0.25)
    trim = rounded([(-0.4, -0.46), (-0.2, -0.3), (0.2, -0.3), (0.4, -0.46)], closed=False)
    _chrome(sheet, sheet.stroke(trim, 0.05), steel, 0.025, polish=0.5)
    sheet.darken(sheet.stroke([(0, -0.55), (0, 0.7)], 0.014), 0.45)
    sheet.darken(sheet.stroke(outline, 0.03, closed=True), 0.35)
    for k in range(5):
        y = 0.5 - 0.06 * abs(k - 2)
        solid(sheet, sheet.shape(circle(-0.36 + 0.18 * k, y, 0.028)), steel * 0.9, 0.02, gloss=0.8)
    skirt = sheet.shape(mirrored([(0.0, 0.66), (0.42, 0.58), (0.56, 0.9), (0.0, 0.97)]))
    _chrome(sheet, skirt, steel * 0.95, 0.12, polish=0.6)
    for y in (0.74, 0.84):
        sheet.darken(sheet.stroke(rounded([(-0.5, y - 0.06), (0, y), (0.5, y - 0.06)], closed=False), 0.012), 0.5)


@bench_class("a chrome teapot", "reflections", turn=6)
def teapot(sheet: Sheet) -> None:
    """A polished body with spout, handle and lid."""
    random = sheet.random
    metal = varied(METALS[int(random.integers(len(METALS)))], random)
    handle = sheet.stroke(rounded([(0.42, -0.25), (0.86, -0.4), (0.9, 0.2), (0.5, 0.45)], closed=False), 0.09)
    _chrome(sheet, handle, metal * 0.9, 0.045, polish=0.6)
    spout = rounded([(-0.4, 0.4), (-0.66, 0.28), (-0.74, -0.1), (-0.93, -0.36)], closed=False)
    _chrome(sheet, sheet.stroke(spout, np.linspace(0.3, 0.11, len(spout))), metal, 0.12, polish=0.75)
    _chrome(sheet, sheet.shape(circle(0, 0.2, 0.6, flat=0.9)), metal, 0.58, polish=0.85)
    foot = sheet.shape(mirrored([(0.0, 0.64), (0.32, 0.66), (0.4, 0.82), (0.0, 0.86)]))
    _chrome(sheet, foot, metal * 0.9, 0.08, polish=0.7)
    _chrome(sheet, sheet.shape(circle(0, -0.3, 0.32, flat=0.34)), metal, 0.12, polish=0.75)
    sheet.darken(sheet.stroke(circle(0, -0.27, 0.35, flat=0.3)[:37], 0.014), 0.5)
    solid(sheet, sheet.shape(circle(0, -0.47, 0.085)), colour(40, 30, 28), 0.08, gloss=0.8)


@bench_class("a glossy toy robot", "reflections", turn=8)
def robot(sheet: Sheet) -> None:
    """Lacquered plastic in a strong colour: few, bright reflections."""
    random = sheet.random
    paints = (colour(200, 30, 36), colour(30, 60, 160), colour(30, 30, 34), colour(230, 226, 220))
    body = varied(paints[int(random.integers(len(paints)))], random)
    joint = colour(120, 124, 130)
    for side in (-1, 1):
        for line, width in (
            ([(side * 0.5, -0.2), (side * 0.7, 0.08), (side * 0.66, 0.34)], 0.13),
            ([(side * 0.22, 0.45), (side * 0.24, 0.85)], 0.2),
        ):
            patch = sheet.stroke(rounded(line, closed=False), width)
            _chrome(sheet, patch, joint, width / 2, polish=0.5)
        fist = sheet.shape(circle(side * 0.66, 0.4, 0.12))
        _chrome(sheet, fist, body, 0.12, polish=0.35)
        shoe = sheet.shape(box(side * 0.25 - 0.18, 0.76, side * 0.25 + 0.18, 0.94, 0.07))
        _chrome(sheet, shoe, body, 0.1, polish=0.35)
    trunk = sheet.shape(box(-0.46, -0.34, 0.46, 0.5, 0.14))
    _chrome(sheet, trunk, body, 0.3, polish=0.4)
    plate = sheet.shape(box(-0.24, -0.14, 0.24, 0.2, 0.05))
    _chrome(sheet, plate, joint * 1.3, 0.06, polish=0.5)
    for k in range(3):
        solid(sheet, sheet.shape(circle(-0.14 + 0.14 * k, 0.04, 0.045)), colour(240, 190 - 60 * k, 40), 0.04, gloss=0.8)
    neck = sheet.stroke([(0, -0.32), (0, -0.42)], 0.16)
    _chrome(sheet, neck, joint, 0.08, polish=0.5)
    head = sheet.shape(box(-0.34, -0.86, 0.34, -0.4, 0.13))
    _chrome(sheet, head, body, 0.22, polish=0.4)
    for side in (-1, 1):
        solid(sheet, sheet.shape(circle(side * 0.15, -0.65, 0.085)), colour(250, 240, 190), 0.08, gloss=0.9)
        sheet.tint(sheet.shape(circle(side * 0.15, -0.65, 0.035)), colour(20, 20, 24))
    sheet.darken(sheet.stroke([(-0.16, -0.49), (0.16, -0.49)], 0.03), 0.7)
    _chrome(sheet, sheet.stroke([(0, -0.86), (0, -0.95)], 0.03), joint, 0.015, polish=0.4)
    solid(sheet, sheet.shape(circle(0, -0.96, 0.04)), colour(240, 60, 40), 0.04, gloss=0.9)


@bench_class("a knight's helmet", "reflections", turn=8, reported=True)
def helmet(sheet: Sheet) -> None:
    """A visor with slits and breathing holes, a comb, a plume holder."""
    random = sheet.random
    steel = varied(METALS[int(random.choice([0, 1, 3]))], random)
    gorget = sheet.shape(mirrored([(0.0, 0.5), (0.36, 0.5), (0.62, 0.92), (0.0, 0.98)]))
    _chrome(sheet, gorget, steel * 0.9, 0.18, polish=0.6)
    for y in (0.64, 0.78):
        sheet.darken(sheet.stroke(rounded([(-0.5, y), (0, y + 0.06), (0.5, y)], closed=False), 0.014), 0.5)
    skull = sheet.shape(
        rounded(mirrored([(0.02, -0.88), (0.36, -0.76), (0.54, -0.4), (0.52, 0.1), (0.42, 0.55), (0.05, 0.66)]))
    )
    _chrome(sheet, skull, steel, 0.5, polish=0.8, dents=0.12)
    visor = rounded(mirrored([(0.02, -0.3), (0.46, -0.34), (0.53, -0.05), (0.3, 0.42), (0.03, 0.52)]))
    _chrome(sheet, sheet.shape(visor), steel, 0.34, polish=0.75)
    sheet.darken(sheet.stroke(visor, 0.012, closed=True), 0.5)
    comb = sheet.shape(mirrored([(0.03, -0.96), (0.05, -0.6), (0.03, -0.3)]))
    _chrome(sheet, comb, steel, 0.04, polish=0.6)
    dark = colour(10, 10, 12)
    for side in (-1, 1):
        slit = sheet.stroke([(side * 0.08, -0.15), (side * 0.42, -0.19)], 0.045)
        sheet.tint(slit, dark)
        for row in range(3):
            for k in range(4):
                hole = sheet.shape(circle(side * (0.1 + 0.07 * k), 0.08 + 0.1 * row, 0.017))
                sheet.tint(hole, dark)
        solid(sheet, sheet.shape(circle(side * 0.5, -0.14, 0.05)), steel, 0.05, gloss=0.8)
