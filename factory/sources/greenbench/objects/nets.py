"""Nets: a lace doily, a chain-link fence, a bag, a basket. Many small holes through which the screen is seen."""

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from factory.sources.greenbench.looks import circle, colour, grained, lit, moved, relief, rounded, solid, varied
from factory.sources.greenbench.registry import bench_class
from factory.sources.greenbench.sheet import Field, Points, Sheet


@bench_class("a lace doily", "nets", turn=40)
def lace(sheet: Sheet) -> None:
    """Rings of loops and petals in thread, dense in the middle."""
    random = sheet.random
    thread = varied(colour(238, 234, 222), random)
    petals = int(random.integers(10, 17))
    width = random.uniform(0.012, 0.018)

    def laid(line: Points, times: float = 1.0, *, closed: bool = False) -> None:
        patch = sheet.stroke(line, width * times, closed=closed)
        n = relief(sheet, patch, width * times / 2, soft=0.004)
        sheet.lay(patch, lit(thread * grained(sheet, patch, 60, 0.12), n, ambient=0.6))

    for r in (0.14, 0.3, 0.5, 0.74):
        laid(circle(0, 0, r, n=140), 1.5, closed=True)
    for k in range(petals):
        turn = 2 * np.pi * k / petals
        laid(moved([(0.14, 0), (0.3, 0)], turn=turn))
        laid(moved([(0.14, 0), (0.3, 0)], turn=turn + np.pi / petals), 0.8)
        loop = rounded([(0.3, 0), (0.4, 0.07), (0.5, 0), (0.4, -0.07)])
        laid(moved(loop, turn=turn), closed=True)
        leaf = sheet.shape(moved(rounded([(0.52, 0), (0.62, 0.05), (0.73, 0), (0.62, -0.05)]), turn=turn))
        sheet.lay(leaf, thread * grained(sheet, leaf, 120, 0.2))
        for side in (-1, 1):
            net = [(0.52, 0.0), (0.64, side * 0.085), (0.74, side * 0.13)]
            laid(moved(net, turn=turn), 0.7)
        arch = rounded([(0.74, -0.15), (0.86, -0.1), (0.93, 0), (0.86, 0.1), (0.74, 0.15)], closed=False)
        laid(moved(arch, turn=turn), 1.3)
        laid(moved(arch * (0.94, 0.72) + (0.03, 0), turn=turn), 0.8)
        for spot in (0.93, 0.86):
            a = turn + (0 if spot == 0.93 else 0.11)
            solid(sheet, sheet.shape(circle(spot * np.cos(a), spot * np.sin(a), 0.02)), thread, 0.02)
    core = sheet.shape(circle(0, 0, 0.07))
    sheet.lay(core, thread * grained(sheet, core, 120, 0.2))


@bench_class("a piece of chain-link fence", "nets", turn=6)
def chain_link(sheet: Sheet) -> None:
    """Zigzag wires that hook into each other, between two posts."""
    random = sheet.random
    grey = varied(colour(150, 154, 158), random)
    pitch, thick = random.uniform(0.15, 0.22), random.uniform(0.014, 0.022)
    left, right, top, bottom = -0.86, 0.86, -0.72, 0.72
    columns = round((right - left) / pitch)
    rows = round((bottom - top) / pitch)
    for row in range(rows):
        y = top + (row + 0.5) * (bottom - top) / rows
        half = (bottom - top) / rows / 2 + thick / 2
        x = np.linspace(left, right, 2 * columns + 1)
        zigzag = np.stack([x, y + half * np.where((np.arange(len(x)) + row) % 2, 1.0, -1.0)], 1)
        fine = np.concatenate([np.linspace(a, b, 6, endpoint=False) for a, b in pairwise(zigzag)])
        patch = sheet.stroke(fine, thick)
        sheet.lay(patch, lit(varied(grey, random, 0.05), relief(sheet, patch, thick / 2, soft=0.004), gloss=0.5))
    for edge in (left, right):
        post = sheet.stroke([(edge, -0.92), (edge, 0.94)], 0.085)
        sheet.lay(post, lit(grey * grained(sheet, post, 20, 0.1), relief(sheet, post, 0.04), gloss=0.4))
        solid(sheet, sheet.shape(circle(edge, -0.93, 0.06)), grey, 0.06, gloss=0.5)
    for y in (top, bottom):
        rod = sheet.stroke([(left, y), (right, y)], 0.035)
        sheet.lay(rod, lit(grey * 0.95, relief(sheet, rod, 0.017), gloss=0.4))


@bench_class("a string bag with oranges", "nets", turn=8)
def string_bag(sheet: Sheet) -> None:
    """Fruit in a net of knotted string, held by two handles."""
    random = sheet.random
    string = varied(
        ((colour(226, 214, 186)), colour(60, 90, 170), colour(190, 40, 50))[int(random.integers(3))], random
    )
    for across, down, r in (
        (-0.3, 0.55, 0.27),
        (0.26, 0.58, 0.29),
        (0.0, 0.2, 0.28),
        (-0.38, 0.12, 0.23),
        (0.4, 0.16, 0.24),
    ):
        fruit = sheet.shape(circle(across, down, r))
        paint = varied(colour(240, 142, 30), random, 0.08) * grained(sheet, fruit, 90, 0.08)
        sheet.lay(fruit, lit(paint, relief(sheet, fruit, r), gloss=0.25))

    def at(a: float, t: float) -> tuple[float, float]:
        """a: −1..1 round the bag; t: 0 at the neck, 1 at the bottom."""
        half = 0.2 * (1 - t) + 0.04 + 0.6 * np.sin(np.pi * t**1.3)
        return half * np.sin(a * np.pi / 2), -0.45 + 1.4 * t - 0.12 * (1 - abs(a)) * (t - 0.5)

    for k in np.linspace(-1, 1, 13):
        for way in (-1, 1):
            t = np.linspace(0, 1, 40)
            line = [at(float(np.clip(k + way * 0.9 * (s - 0.5), -1, 1)), float(s)) for s in t]
            patch = sheet.stroke(line, 0.013)
            sheet.lay(patch, lit(varied(string, random, 0.05), relief(sheet, patch, 0.006, soft=0.004)))
    for side in (-1, 1):
        handle = rounded([(-0.2, -0.45), (-0.14, -0.8), (side * 0.03, -0.94), (0.14, -0.8), (0.2, -0.45)], closed=False)
        patch = sheet.stroke(moved(handle, side * 0.02, 0.02 * side), 0.03)
        sheet.lay(patch, lit(string, relief(sheet, patch, 0.015, soft=0.006)))
    neck = sheet.stroke([(-0.21, -0.45), (0.21, -0.45)], 0.05)
    sheet.lay(neck, lit(string * 0.9, relief(sheet, neck, 0.02)))


@bench_class("a wicker basket", "nets", turn=6, reported=True)
def basket(sheet: Sheet) -> None:
    """Open weave: the screen is seen between the canes, and through the handle."""
    random = sheet.random
    cane = varied(colour(178, 128, 70), random)

    def wall(t: ArrayLike) -> Field:
        return 0.78 - 0.3 * np.asarray(t) ** 1.5

    def laid(line: object, width: float, shade: float = 1.0) -> None:
        patch = sheet.stroke(np.asarray(line), width)
        n = relief(sheet, patch, width / 2, soft=0.005)
        sheet.lay(patch, lit(varied(cane, random, 0.05) * shade * grained(sheet, patch, 50, 0.2), n, gloss=0.15))

    handle = rounded([(-0.76, -0.1), (-0.62, -0.7), (0, -0.95), (0.62, -0.7), (0.76, -0.1)], closed=False)
    laid(handle, 0.075)
    laid(circle(0, -0.1, 0.78, flat=0.2)[36:], 0.06, 0.6)  # the far rim
    down = np.linspace(0, 1, 12)
    for a in np.linspace(-np.pi / 2, np.pi / 2, 17):
        laid(np.stack([wall(down) * np.sin(a), -0.1 + 0.9 * down + 0.12 * np.cos(a)], 1), 0.03, 0.85)
    for k, t in enumerate(np.linspace(0.08, 0.95, 11)):
        s = np.linspace(-1, 1, 90)
        wave = 0.008 * np.cos(s * np.pi * 8 + k * np.pi)
        x = wall(t) * np.sin(s * np.pi / 2)
        y = -0.1 + 0.9 * t + 0.13 * np.cos(s * np.pi / 2) + wave
        laid(np.stack([x, y], 1), random.uniform(0.026, 0.036), random.uniform(0.85, 1.1))
    laid(circle(0, -0.1, 0.78, flat=0.2)[:37], 0.075)
    laid([(0.48 * np.sin(s * np.pi / 2), 0.8 + 0.13 * np.cos(s * np.pi / 2)) for s in np.linspace(-1, 1, 40)], 0.06)
