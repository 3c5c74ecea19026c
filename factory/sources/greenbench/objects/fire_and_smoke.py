"""Fire and smoke: a flame, a plume, sparks. Thin media whose light adds to what is behind them."""

import cv2
import numpy as np

from factory.sources.greenbench.looks import box, clouds, colour, grained, lit, relief, solid, step, varied
from factory.sources.greenbench.registry import bench_class
from factory.sources.greenbench.sheet import Field, Sheet


def _warped(sheet: Sheet, by: float, cells: float) -> tuple[Field, Field]:
    """Object coordinates shifted by turbulence that grows upwards."""
    random = sheet.random
    shape = (sheet.side, sheet.side)
    rise = np.clip(0.95 - sheet.v, 0, 2) / 1.9
    u = sheet.u + by * rise * (clouds(shape, cells, random) - 0.5)
    v = sheet.v + by * rise * (clouds(shape, cells, random) - 0.5)
    return u, v


@bench_class("a flame", "fire and smoke", turn=5, emits=True)
def flame(sheet: Sheet) -> None:
    """A fire of several tongues: bright core, orange body, red and nearly clear at the rim."""
    random = sheet.random
    shape = (sheet.side, sheet.side)
    u, v = _warped(sheet, 0.7, 3)
    density = np.zeros(shape, np.float32)
    for _ in range(int(random.integers(4, 8))):
        x, top = random.normal(0, 0.2), random.uniform(-0.9, -0.1)
        t = np.clip((0.85 - v) / (0.85 - top), 0, 1.6)
        half = random.uniform(0.16, 0.3) * np.sqrt(np.clip(t, 0, 1) + 0.05) * np.clip(1.1 - t, 0, 1) * 1.7
        body = np.clip(1 - ((u - x * (0.4 + t)) / np.maximum(half, 1e-3)) ** 2, 0, 1) * (half > 0.005)
        density = np.maximum(density, body * step(0.0, 0.12, t) * step(1.1, 0.5, t))
    lick = clouds(shape, 7, random, 4)
    heat = np.clip(density * (0.55 + 0.9 * lick), 0, 1)
    heat *= step(0.96, 0.8, sheet.v)
    stops = np.array([0, 0.25, 0.55, 0.8, 1.0])
    ramp = np.array([[120, 16, 4], [226, 62, 8], [252, 146, 22], [255, 214, 96], [255, 246, 214]]) / 255
    paint = np.dstack([np.interp(heat, stops, ramp[:, c]).astype(np.float32) for c in range(3)])
    sheet.lay(sheet.everywhere(0.96 * step(0.02, 0.75, heat) ** 1.2), paint)
    for _ in range(int(random.integers(0, 14))):
        x, y = random.normal(0, 0.35), random.uniform(-0.95, 0.2)
        sheet.strands([np.array([[x, y], [x + 0.01, y - random.uniform(0.01, 0.04)]])], [colour(255, 190, 80)], 2)


@bench_class("a plume of smoke", "fire and smoke", turn=10)
def plume(sheet: Sheet) -> None:
    """Rising puffs that widen and thin out; white steam, grey or nearly black."""
    random = sheet.random
    shape = (sheet.side, sheet.side)
    tone = (colour(236, 238, 240), colour(150, 150, 154), colour(46, 44, 46))[int(random.integers(3))]
    u, v = _warped(sheet, 0.55, 4)
    drift = random.uniform(-0.5, 0.5)
    thick = np.zeros(shape, np.float32)
    for _ in range(60):
        t = random.uniform(0, 1)
        r = 0.07 + 0.3 * t
        x = drift * t**1.5 + random.normal(0, 0.04 + 0.16 * t)
        y = 0.85 - 1.65 * t + random.normal(0, 0.05)
        d = ((u - x) ** 2 + (v - y) ** 2) / r**2
        thick += random.uniform(0.4, 0.9) * (1 - 0.75 * t) * np.exp(-2.5 * d).astype(np.float32)
    lumps = clouds(shape, 9, random, 5)
    thick *= np.clip(2.6 * lumps - 0.55, 0, 2)
    away = step(0.9, 0.66, np.hypot(sheet.u * 0.9, sheet.v * 0.88))
    soft = cv2.GaussianBlur(thick, (0, 0), 0.03 * sheet.unit)
    slope = (cv2.Sobel(soft, cv2.CV_32F, 1, 0) + cv2.Sobel(soft, cv2.CV_32F, 0, 1)) * (sheet.unit / 8)
    light = 0.88 + 0.16 * np.tanh(0.12 * slope)
    paint = np.clip(tone * light[..., None], 0, 1)
    sheet.lay(sheet.everywhere((1 - np.exp(-1.5 * thick)) * away), paint)


@bench_class("a torch", "fire and smoke", turn=10, emits=True)
def torch(sheet: Sheet) -> None:
    """A burning head on a wooden stick: opaque, emissive and thin at once."""
    random = sheet.random
    stick = sheet.stroke([(0.02, 0.97), (0, 0.2)], np.array([0.1, 0.13]))
    solid(sheet, stick, varied(colour(110, 74, 44), random), 0.06, grain=0.3)
    wrap = sheet.shape(box(-0.12, 0.1, 0.12, 0.42, 0.04))
    sheet.lay(wrap, lit(colour(84, 66, 52) * grained(sheet, wrap, 50, 0.4), relief(sheet, wrap, 0.1)))
    shape = (sheet.side, sheet.side)
    u, v = _warped(sheet, 0.5, 4)
    t = (0.42 - v) / random.uniform(1.1, 1.4)
    half = 0.3 * np.sqrt(np.clip(t, 0, 1) + 0.08) * np.clip(1 - t, 0, 1) * 1.6
    body = np.clip(1 - np.abs(u / np.maximum(half, 1e-3)) ** 1.7, 0, 1) * (t > 0) * (t < 1)
    heat = np.clip(body * (0.6 + 0.8 * clouds(shape, 8, random, 4)), 0, 1).astype(np.float32)
    heat = cv2.GaussianBlur(heat, (0, 0), 0.012 * sheet.unit)
    stops = np.array([0, 0.3, 0.6, 0.85])
    ramp = np.array([[170, 30, 6], [240, 96, 12], [255, 184, 56], [255, 244, 200]]) / 255
    paint = np.dstack([np.interp(heat, stops, ramp[:, c]).astype(np.float32) for c in range(3)])
    sheet.lay(sheet.everywhere(0.95 * step(0.02, 0.7, heat)), paint)


@bench_class("a shower of sparks", "fire and smoke", turn=30, reported=True, emits=True)
def sparks(sheet: Sheet) -> None:
    """From a point, along bent paths, each with a glow that fades into nothing."""
    random = sheet.random
    lines, paints = [], []
    for _ in range(int(random.integers(160, 320))):
        a = random.normal(-0.9, 0.75)
        speed = random.uniform(0.5, 1.7)
        start = random.uniform(0.02, 0.75)
        t = np.linspace(start, start + random.uniform(0.03, 0.16), 8)
        x = -0.6 + speed * np.cos(a) * t
        y = 0.35 + speed * np.sin(a) * t + 0.6 * t**2
        if np.hypot(x, y).max() > 1.05:
            continue
        lines.append(np.stack([x, y], 1))
        heat = random.uniform(0, 1) * (1 - 0.5 * start)
        paints.append(colour(255, 120, 30) * (1 - heat) + colour(255, 246, 206) * heat)
    glowing = sheet.empty()
    glowing.strands(lines, paints, 3)
    sheet.glow(glowing, 0.03, 1.6, most=0.9)
    sheet.strands(lines, paints, 2)
    ball = np.exp(-(((sheet.u + 0.6) / 0.1) ** 2) - ((sheet.v - 0.35) / 0.1) ** 2)
    sheet.lay(sheet.everywhere(np.clip(1.3 * ball, 0, 0.97)), colour(255, 248, 226))
