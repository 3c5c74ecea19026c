"""Thin wires: a bicycle wheel, an antenna, a wire sculpture. Most parts are thinner than a pixel or two."""

import numpy as np

from factory.sources.greenbench.looks import box, circle, colour, lit, moved, relief, rounded, solid, varied
from factory.sources.greenbench.registry import bench_class
from factory.sources.greenbench.sheet import Paint, Sheet


def _tube(sheet: Sheet, line: object, width: float, paint: Paint, *, closed: bool = False, gloss: float = 0.5) -> None:
    patch = sheet.stroke(np.asarray(line), width, closed=closed)
    sheet.lay(patch, lit(paint, relief(sheet, patch, width / 2, soft=min(0.01, width / 4)), gloss=gloss))


@bench_class("a bicycle wheel", "thin wires", turn=30)
def wheel(sheet: Sheet) -> None:
    """Tyre, rim, crossed spokes, hub, valve."""
    random = sheet.random
    metal = varied(colour(180, 184, 190), random)
    flat = random.uniform(0.75, 1.0)
    spokes = int(random.choice([24, 28, 32, 36]))
    _tube(sheet, circle(0, 0, 0.9, flat=flat, n=160), 0.08, varied(colour(36, 35, 36), random), closed=True, gloss=0.1)
    _tube(sheet, circle(0, 0, 0.83, flat=flat, n=160), 0.045, metal, closed=True)
    for k in range(spokes):
        a = 2 * np.pi * k / spokes
        at = a + (0.55 if k % 4 in (0, 1) else -0.55) * (1 if k % 2 else 0.85)
        near, far = (0.09 * np.cos(at), 0.09 * flat * np.sin(at)), (0.82 * np.cos(a), 0.82 * flat * np.sin(a))
        patch = sheet.stroke([near, far], 0.0085)
        sheet.lay(patch, metal * random.uniform(0.6, 1.2))
        solid(sheet, sheet.shape(circle(0.8 * np.cos(a), 0.8 * flat * np.sin(a), 0.012)), colour(150, 130, 80), 0.01)
    _tube(sheet, circle(0, 0, 0.09, flat=flat), 0.04, metal, closed=True)
    solid(sheet, sheet.shape(circle(0, 0, 0.055, flat=flat)), colour(70, 70, 76), 0.05, gloss=0.6)
    _tube(sheet, [(0.0, 0.8 * flat), (0.0, 0.7 * flat)], 0.018, colour(40, 40, 40))


@bench_class("a rooftop antenna", "thin wires", turn=8)
def antenna(sheet: Sheet) -> None:
    """A mast, a boom with elements of falling length, and a guy wire."""
    random = sheet.random
    metal = varied(colour(164, 168, 172), random)
    tilt = random.uniform(-0.3, 0.3)
    _tube(sheet, [(0.02, -0.6), (0, 0.97)], 0.04, metal * 0.9)
    for x in (-0.5, 0.55):
        _tube(sheet, [(0.01, -0.2), (x, 0.95)], 0.006, metal * 0.6)
    start, end = np.array([-0.85, -0.5 - tilt * 0.5]), np.array([0.85, -0.5 + tilt * 0.5])
    _tube(sheet, [start, end], 0.026, metal)
    for k, t in enumerate(np.linspace(0.03, 0.97, int(random.integers(9, 14)))):
        at = start + (end - start) * t
        half = 0.42 - 0.28 * t
        lean = np.array([0.16, 1.0]) * half
        _tube(sheet, [at - lean, at + lean], 0.012 if k else 0.02, metal * random.uniform(0.85, 1.1))
    fold = moved(box(-0.05, -0.33, 0.05, 0.33, 0.05), *(start + (end - start) * 0.12))
    _tube(sheet, fold, 0.014, metal, closed=True)
    solid(sheet, sheet.shape(moved(box(-0.05, -0.06, 0.05, 0.06, 0.01), 0.01, -0.5)), colour(50, 50, 52), 0.03)


@bench_class("a bird cage", "thin wires", turn=5)
def cage(sheet: Sheet) -> None:
    """A dome of bars with a perch and a ring to hang it by."""
    random = sheet.random
    brass = varied(((colour(190, 156, 84)), colour(206, 206, 208), colour(60, 58, 60))[int(random.integers(3))], random)
    bars = int(random.integers(15, 24))
    for depth in (0.55, 1.0):
        for a in np.linspace(-1, 1, bars):
            x = 0.62 * np.sin(a * np.pi / 2)
            bar = rounded([(x, 0.72), (x, 0.1), (x * 0.98, -0.25), (x * 0.62, -0.58), (0, -0.74)], closed=False, n=8)
            lift = (0.1 if depth == 1 else -0.1) * np.cos(a * np.pi / 2) * np.linspace(1, 0, len(bar))
            _tube(sheet, bar + np.stack([0 * lift, lift], 1), 0.011, brass * depth)
        if depth < 1:
            _tube(sheet, [(-0.4, 0.2), (0.4, 0.22)], 0.03, colour(140, 96, 56), gloss=0)
    for y in (0.72, 0.1, -0.25):
        _tube(sheet, circle(0, y, 0.62, flat=0.16), 0.02, brass, closed=True)
    base = sheet.shape(
        np.concatenate([circle(0, 0.72, 0.66, flat=0.17)[:37], circle(0, 0.86, 0.66, flat=0.17)[:37][::-1]])
    )
    sheet.lay(base, lit(brass * 0.8, relief(sheet, base, 0.08), gloss=0.5))
    _tube(sheet, circle(0, -0.83, 0.09), 0.018, brass, closed=True)


@bench_class("a wire sculpture", "thin wires", turn=30, reported=True)
def sculpture(sheet: Sheet) -> None:
    """One wire that winds through space; nearer parts are thicker and lie over the others."""
    random = sheet.random
    copper = varied(
        ((colour(186, 104, 62)), colour(60, 62, 66), colour(200, 200, 204))[int(random.integers(3))], random
    )
    t = np.linspace(0, 2 * np.pi, 700)
    waves = random.integers(2, 8, 6)
    phases = random.uniform(0, 6, 6)
    p = np.stack([np.sin(waves[2 * k] * t + phases[2 * k]) + 0.5 * np.sin(waves[2 * k + 1] * t + phases[2 * k + 1])
                  for k in range(3)], 1)  # fmt: skip
    p *= 0.92 / np.abs(p[:, :2]).max()
    p[:, 1] -= 0.08
    pieces = [slice(i, i + 12) for i in range(0, len(t) - 1, 11)]
    for piece in sorted(pieces, key=lambda one: float(p[one, 2].mean())):
        near = 0.5 + 0.5 * float(p[piece, 2].mean()) / 0.92
        _tube(sheet, p[piece, :2], 0.011 + 0.014 * near, copper * (0.55 + 0.5 * near), gloss=0.6)
    solid(sheet, sheet.shape(box(-0.3, 0.86, 0.3, 0.97, 0.02)), colour(70, 50, 38), 0.04, grain=0.2)
    _tube(sheet, [p[int(p[:, 1].argmax()), :2], (0, 0.9)], 0.022, copper)
