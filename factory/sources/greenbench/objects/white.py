"""White things: sheets of paper, flying powder, a veil. They take the screen's light, and some let it through."""

import numpy as np

from factory.sources.greenbench.looks import (
    circle,
    clouds,
    colour,
    lit,
    mirrored,
    moved,
    relief,
    rounded,
    solid,
    step,
    turned,
    varied,
)
from factory.sources.greenbench.registry import bench_class
from factory.sources.greenbench.sheet import Sheet

WHITE = colour(244, 244, 242)


@bench_class("sheets of paper", "white on green", turn=180)
def paper(sheet: Sheet) -> None:
    """Some leaves in the air, bent, with lines of text."""
    random = sheet.random
    for k in range(int(random.integers(3, 6))):
        turn = random.uniform(0, 2 * np.pi)
        at = random.uniform(-0.42, 0.42, 2)
        bend = random.uniform(-0.18, 0.18)
        t = np.linspace(0, 1, 14)
        curve = bend * np.sin(np.pi * t)
        top = np.stack([-0.32 + 0.64 * t, -0.44 + curve], 1)
        bottom = np.stack([0.32 - 0.64 * t, 0.44 + curve[::-1]], 1)
        patch = sheet.shape(moved(np.concatenate([top, bottom]), *at, turn=turn))
        c, s = np.cos(turn), np.sin(turn)
        x = sheet.part_of(patch, (sheet.u - at[0]) * c + (sheet.v - at[1]) * s)
        y = sheet.part_of(patch, -(sheet.u - at[0]) * s + (sheet.v - at[1]) * c)
        light = 0.93 + 0.5 * bend * np.cos(np.pi * (x + 0.32) / 0.64) + 0.02 * k
        y = y - bend * np.sin(np.pi * np.clip((x + 0.32) / 0.64, 0, 1))
        words = (np.sin(x * 95 + np.floor(y / 0.06) * 7) > -0.55) & (np.abs(x) < 0.25) & (np.abs(y) < 0.36)
        text = words & (np.abs((y / 0.06) % 1 - 0.5) < 0.16)
        shade = sheet.shape(moved(np.concatenate([top, bottom]), at[0] + 0.03, at[1] + 0.04, turn=turn))
        sheet.darken(shade, 0.18)
        sheet.lay(patch, np.clip(WHITE * light[..., None] * (1 - 0.62 * text[..., None]), 0, 1))


@bench_class("a burst of white powder", "white on green", turn=180)
def powder(sheet: Sheet) -> None:
    """Grains of all sizes and a fine haze between them."""
    random = sheet.random
    shape = (sheet.side, sheet.side)
    r = np.hypot(sheet.u, sheet.v)
    a = np.arctan2(sheet.v, sheet.u)
    ray = np.interp(a, np.linspace(-np.pi, np.pi, 25), np.append(d := random.uniform(0.35, 1.0, 24), d[:1]))
    haze = step(0.9, 0.1, r / ray) * np.clip(2.2 * clouds(shape, 10, random, 5) - 0.6, 0, 1)
    sheet.lay(sheet.everywhere(0.75 * haze), WHITE * 0.97)
    lines, paints = [], []
    for _ in range(2600):
        way = random.uniform(-np.pi, np.pi)
        far = min(random.exponential(0.33), 0.97) * float(
            np.interp(way, np.linspace(-np.pi, np.pi, 25), np.append(d, d[:1]))
        )
        x, y = far * np.cos(way), far * np.sin(way)
        stretch = random.uniform(0.0, 0.02)
        lines.append(np.array([[x, y], [x + stretch * np.cos(way), y + stretch * np.sin(way)]]))
        paints.append(WHITE * random.uniform(0.85, 1.0))
    sheet.strands(lines[:2000], paints[:2000], 1)
    sheet.strands(lines[2000:2500], paints[2000:2500], 2)
    sheet.strands(lines[2500:], paints[2500:], 5)


@bench_class("a white china cup", "white on green")
def cup(sheet: Sheet) -> None:
    """White, glossy and opaque on a saucer: its shades take the screen's hue."""
    random = sheet.random
    saucer = sheet.shape(circle(0, 0.66, 0.92, flat=0.24))
    solid(sheet, saucer, WHITE, 0.1, gloss=0.2, grain=0.0)
    sheet.darken(sheet.shape(circle(0.05, 0.66, 0.5, flat=0.22)), 0.2)
    handle = sheet.stroke(rounded([(0.5, -0.25), (0.86, -0.3), (0.8, 0.2), (0.42, 0.32)], closed=False), 0.1)
    sheet.lay(handle, lit(WHITE, relief(sheet, handle, 0.05), gloss=0.4))
    body = sheet.shape(
        mirrored(rounded([(0.6, -0.5), (0.58, 0.0), (0.42, 0.5), (0.3, 0.62), (0.02, 0.65)], closed=False))
    )
    sheet.lay(body, lit(WHITE, turned(body), gloss=0.3))
    band = varied(colour(60, 90, 170), random, 0.3)
    ring = sheet.stroke([(-0.59 + 0.0, -0.3), (-0.3, -0.22), (0, -0.2), (0.3, -0.22), (0.59, -0.3)], 0.03)
    sheet.tint(ring, band, 0.8)
    mouth = sheet.shape(circle(0, -0.5, 0.6, flat=0.2))
    sheet.lay(mouth, lit(WHITE * 0.85, relief(sheet, mouth, 0.1)))
    tea = sheet.shape(circle(0, -0.46, 0.53, flat=0.15))
    sheet.tint(tea, colour(120, 62, 24))
    sheet.tint(sheet.stroke(circle(0, -0.5, 0.6, flat=0.2), 0.025, closed=True), WHITE)


@bench_class("a bridal veil", "white on green", turn=6, reported=True)
def veil(sheet: Sheet) -> None:
    """Thin cloth in folds: denser where it lies double, a lace hem."""
    random = sheet.random
    outline = rounded(
        mirrored([(0.02, -0.92), (0.25, -0.8), (0.4, -0.4), (0.62, 0.3), (0.86, 0.86), (0.4, 0.94), (0.02, 0.9)])
    )
    cloth = sheet.shape(outline)
    fan = sheet.u / np.maximum(0.25 + 0.4 * (sheet.v + 0.95), 0.05)
    folds = 0.5 + 0.5 * np.sin(fan * random.uniform(16, 26) + 3 * clouds((sheet.side, sheet.side), 3, random))
    mesh = 0.85 + 0.15 * np.sin(sheet.u * 260) * np.sin(sheet.v * 260)
    opacity = (0.16 + 0.5 * folds**2.2) * mesh * step(-1.1, -0.2, -np.abs(fan) * 0.6)
    paint = np.clip(WHITE * (0.8 + 0.22 * folds)[..., None], 0, 1)
    sheet.lay(cloth, sheet.part_of(cloth, paint), sheet.part_of(cloth, opacity.astype(np.float32)))
    hem = sheet.stroke(outline, 0.05, closed=True)
    holes = 0.55 + 0.45 * np.sin(sheet.u * 80) * np.sin(sheet.v * 80)
    sheet.lay(hem, WHITE * 0.98, sheet.part_of(hem, holes.astype(np.float32)))
    crown = sheet.stroke(rounded([(-0.26, -0.8), (0, -0.9), (0.26, -0.8)], closed=False), 0.08)
    sheet.lay(crown, lit(colour(232, 224, 206), relief(sheet, crown, 0.04), gloss=0.4))
    for x, y in zip(np.linspace(-0.24, 0.24, 9), -0.88 + 0.09 * np.linspace(-1, 1, 9) ** 2, strict=True):
        solid(sheet, sheet.shape(circle(x, y, 0.035)), WHITE, 0.03, gloss=0.5)
