"""Objects with green of their own: leaves, a frog, lime slices, camouflage, embroidery, stripes."""

import numpy as np
from numpy.random import Generator

from factory.sources.greenbench.looks import (
    box,
    circle,
    clouds,
    colour,
    grained,
    lit,
    mirrored,
    moved,
    relief,
    rounded,
    solid,
    step,
    varied,
)
from factory.sources.greenbench.registry import bench_class
from factory.sources.greenbench.sheet import Paint, Points, Sheet

GREENS = (colour(58, 132, 48), colour(96, 168, 62), colour(140, 188, 70), colour(70, 150, 84), colour(44, 176, 58))


def _green(random: Generator) -> Paint:
    return varied(GREENS[int(random.integers(len(GREENS)))], random)


def _leaf(length: float, width: float) -> Points:
    t = np.linspace(0, 1, 24)
    half = width * np.sin(np.pi * t**0.8) ** 0.9
    return np.concatenate([np.stack([half, -length * t], 1), np.stack([-half, -length * t], 1)[::-1]])


@bench_class("a spray of leaves", "own green", turn=20)
def spray(sheet: Sheet) -> None:
    """Leaves at both sides of a bent stem, with veins."""
    random = sheet.random
    green = _green(random)
    stem = rounded([(0.1, 0.95), (0.05, 0.4), (-0.08, -0.2), (0.05, -0.75)], closed=False)
    sheet.lay(sheet.stroke(stem, np.linspace(0.05, 0.015, len(stem))), colour(104, 96, 50))
    places = np.linspace(2, len(stem) - 1, 11).astype(int)
    for i, at in enumerate(places):
        last = i == len(places) - 1
        turn = 0.0 if last else (1 if i % 2 else -1) * random.uniform(0.7, 1.25)
        size = random.uniform(0.42, 0.6) * (1 - 0.35 * i / len(places))
        outline = moved(_leaf(1, random.uniform(0.2, 0.28)), *stem[at], turn=turn, scale=size)
        patch = sheet.shape(outline)
        n = relief(sheet, patch, 0.12)
        paint = varied(green, random, 0.1) * grained(sheet, patch, 20, 0.12)
        sheet.lay(patch, lit(paint, n, gloss=0.25))
        vein = moved([(0, -t) for t in np.linspace(0, 0.95, 8)], *stem[at], turn=turn, scale=size)
        sheet.tint(sheet.stroke(vein, 0.012), green * 1.5, 0.6)
        for k in range(1, 5):
            for side in (-1, 1):
                twig = moved([(0, -k / 5.5), (side * 0.17, -k / 5.5 - 0.14)], *stem[at], turn=turn, scale=size)
                sheet.tint(sheet.stroke(twig, 0.006), green * 1.4, 0.5)


@bench_class("a tree frog", "own green", turn=12)
def frog(sheet: Sheet) -> None:
    """Seen from the front, sitting: belly pale, eyes red, toes spread."""
    random = sheet.random
    green, pale = _green(random), varied(colour(226, 222, 176), random)
    for side in (-1, 1):
        thigh = circle(side * 0.58, 0.38, 0.42, flat=0.62, turn=side * 0.9)
        solid(sheet, sheet.shape(thigh), green * 0.92, 0.3, gloss=0.3)
        for k in (-1, 0, 1):
            toe = [(side * 0.52, 0.68), (side * (0.62 + 0.16 * k), 0.84), (side * (0.66 + 0.22 * k), 0.9)]
            sheet.lay(sheet.stroke(rounded(toe, closed=False, n=6), 0.05), green * 0.85)
            solid(sheet, sheet.shape(circle(*toe[-1], 0.06)), colour(232, 150, 60), 0.06, grain=0)
    body = rounded(mirrored([(0.02, -0.62), (0.42, -0.5), (0.55, -0.2), (0.5, 0.3), (0.4, 0.72), (0.05, 0.84)]))
    solid(sheet, sheet.shape(body), green, 0.4, gloss=0.45, grain=0.1)
    belly = sheet.shape(rounded(mirrored([(0.02, -0.12), (0.34, -0.05), (0.4, 0.3), (0.3, 0.66), (0.04, 0.74)])))
    sheet.tint(belly, lit(pale * grained(sheet, belly, 30, 0.08), relief(sheet, belly, 0.3)))
    for side in (-1, 1):
        arm = rounded([(side * 0.4, 0.1), (side * 0.5, 0.42), (side * 0.3, 0.8)], closed=False)
        solid(sheet, sheet.stroke(arm, np.linspace(0.2, 0.1, len(arm))), green * 0.97, 0.09, gloss=0.3)
        for k in (-1, 0, 1):
            toe = [(side * 0.3, 0.8), (side * 0.3 + 0.1 * k, 0.9)]
            sheet.lay(sheet.stroke(toe, 0.035), green * 0.9)
            solid(sheet, sheet.shape(circle(*toe[1], 0.045)), colour(232, 150, 60), 0.05, grain=0)
        solid(sheet, sheet.shape(circle(side * 0.36, -0.6, 0.19)), green * 1.05, 0.19, gloss=0.2)
        solid(sheet, sheet.shape(circle(side * 0.38, -0.6, 0.13)), colour(196, 52, 30), 0.13, gloss=0.6)
        sheet.tint(sheet.shape(circle(side * 0.39, -0.6, 0.03, flat=3)), colour(12, 10, 10))
        sheet.tint(sheet.shape(circle(side * 0.33, -0.67, 0.03)), colour(250, 250, 250))
    mouth = rounded([(-0.4, -0.26), (-0.15, -0.17), (0.15, -0.17), (0.4, -0.26)], closed=False)
    sheet.tint(sheet.stroke(mouth, 0.02), green * 0.4)


@bench_class("a lime bar on a plate", "own green")
def lime_bar(sheet: Sheet) -> None:
    """White plate, a pale green bar with a biscuit base, slices of lime."""
    random = sheet.random
    plate = sheet.shape(circle(0, 0.28, 0.98, flat=0.52))
    solid(sheet, plate, colour(242, 242, 240), 0.12, grain=0.01)
    well = sheet.shape(circle(0, 0.27, 0.7, flat=0.5))
    sheet.darken(well, 0.06)
    cream, green = varied(colour(196, 222, 128), random), varied(colour(112, 176, 44), random)
    shade = sheet.shape(moved(box(-0.62, -0.08, 0.62, 0.5, 0.1), 0.06, 0.06))
    sheet.darken(shade, 0.25)
    base = sheet.shape(box(-0.62, 0.26, 0.62, 0.46, 0.05))
    sheet.lay(base, colour(190, 138, 78) * grained(sheet, base, 60, 0.3))
    side = sheet.shape(box(-0.62, -0.05, 0.62, 0.3, 0.03))
    sheet.lay(side, cream * grained(sheet, side, 40, 0.07))
    top = sheet.shape([(-0.62, -0.03), (-0.45, -0.34), (0.5, -0.34), (0.62, -0.03)])
    sheet.lay(top, np.clip(cream * 1.1, 0, 1) * grained(sheet, top, 30, 0.08))
    for x, y, r in ((-0.28, -0.38, 0.26), (0.2, -0.4, 0.3)):
        at = x + random.uniform(-0.05, 0.05), y
        rim = sheet.shape(circle(*at, r))
        sheet.lay(rim, green * grained(sheet, rim, 50, 0.15))
        sheet.lay(sheet.shape(circle(*at, r * 0.88)), colour(226, 236, 190))
        for k in range(8):
            a = 2 * np.pi * k / 8 + x
            wedge = rounded(
                [
                    (at[0] + r * 0.1 * np.cos(a), at[1] + r * 0.1 * np.sin(a)),
                    (at[0] + r * 0.78 * np.cos(a - 0.32), at[1] + r * 0.78 * np.sin(a - 0.32)),
                    (at[0] + r * 0.8 * np.cos(a + 0.32), at[1] + r * 0.8 * np.sin(a + 0.32)),
                ],
                n=5,
            )
            patch = sheet.shape(wedge)
            sheet.lay(patch, varied(colour(160, 208, 70), random, 0.05) * grained(sheet, patch, 60, 0.25))


@bench_class("embroidery on white cloth", "own green")
def embroidery(sheet: Sheet) -> None:
    """A white cloth with green stitched tendrils and red flowers: enclosed green on white."""
    random = sheet.random
    edge = [(r * np.cos(a), r * np.sin(a)) for a, r in zip(
        np.linspace(0, 2 * np.pi, 28, endpoint=False), 0.92 + 0.04 * np.tile([1, -1], 14), strict=True)]  # fmt: skip
    cloth = sheet.shape(rounded(edge))
    weave = 1 + 0.03 * np.sin(sheet.u * 220) * np.sin(sheet.v * 220)
    folds = clouds((sheet.side, sheet.side), 3, random, 2)
    white = colour(238, 236, 230) * (weave * (0.86 + 0.2 * folds))[..., None]
    sheet.lay(cloth, np.clip(sheet.part_of(cloth, white), 0, 1))
    thread = _green(random)
    for k in range(5):
        turn = 2 * np.pi * k / 5 + random.uniform(-0.1, 0.1)
        t = np.linspace(0, 1, 60)
        tendril = np.stack([0.1 + 0.62 * t, 0.16 * np.sin(t * 7 + k)], 1)
        _stitched(sheet, moved(tendril, turn=turn), thread, 0.045)
        for at in (18, 34, 50):
            for side in (-1, 1):
                leaf = moved(moved(_leaf(0.2, 0.05), turn=side * 0.9 + np.pi / 2), *tendril[at])
                patch = sheet.shape(moved(leaf, turn=turn))
                lines = 0.75 + 0.35 * np.sin(sheet.part_of(patch, sheet.u * 90 + sheet.v * 140 * side))
                sheet.lay(patch, np.clip(varied(thread, random, 0.08) * lines[..., None], 0, 1))
        for petal in range(6):
            a = 2 * np.pi * petal / 6
            bloom = moved(circle(0.07 * np.cos(a), 0.07 * np.sin(a), 0.055), 0.76, 0.02)
            solid(sheet, sheet.shape(moved(bloom, turn=turn)), colour(200, 40, 60), 0.04, grain=0.2)
        solid(sheet, sheet.shape(moved(circle(0.76, 0.02, 0.04), turn=turn)), colour(236, 190, 60), 0.04)


def _stitched(sheet: Sheet, line: Points, paint: Paint, width: float) -> None:
    patch = sheet.stroke(line, width)
    twist = 0.8 + 0.35 * np.sin(sheet.part_of(patch, (sheet.u + sheet.v) * 160))
    sheet.lay(patch, np.clip(paint * twist[..., None], 0, 1))


@bench_class("a green striped scarf", "own green", turn=15)
def scarf(sheet: Sheet) -> None:
    """A knitted scarf of green and white stripes, one end over the other, with tassels."""
    random = sheet.random
    green = _green(random)
    for path, fringe in (
        ([(-0.5, -0.8), (-0.1, -0.5), (0.35, -0.15), (0.4, 0.7)], True),
        ([(0.5, -0.8), (0.1, -0.52), (-0.35, -0.15), (-0.45, 0.62)], True),
        ([(-0.55, -0.75), (-0.2, -0.9), (0.2, -0.9), (0.55, -0.75)], False),
    ):
        line = rounded(path, closed=False, n=20)
        if fringe:
            end, before = line[-1], line[-3]
            along = (end - before) / np.hypot(*(end - before))
            across = np.array([-along[1], along[0]])
            for offset in np.linspace(-0.17, 0.17, 15):
                start = end + across * offset
                tip = start + along * random.uniform(0.17, 0.24) + across * random.uniform(-0.03, 0.03)
                sheet.lay(sheet.stroke([start - along * 0.05, tip], 0.022), varied(green, random, 0.1))
        patch = sheet.stroke(line, 0.38)
        nearest = np.argmin(
            (sheet.part_of(patch, sheet.u)[::6, ::6, None] - line[:, 0]) ** 2
            + (sheet.part_of(patch, sheet.v)[::6, ::6, None] - line[:, 1]) ** 2,
            axis=2,
        ).astype(np.float32)
        along_it = np.kron(nearest, np.ones((6, 6), np.float32))[: patch.cover.shape[0], : patch.cover.shape[1]]
        stripe = step(-0.15, 0.15, np.sin(along_it * 2 * np.pi / 14))[..., None]
        knit = 1 + 0.1 * np.sin(sheet.part_of(patch, sheet.u * 90)) * np.sin(sheet.part_of(patch, sheet.v * 110))
        paint = (green * stripe + colour(240, 238, 230) * (1 - stripe)) * knit[..., None]
        sheet.lay(patch, lit(np.clip(paint, 0, 1), relief(sheet, patch, 0.12)))


@bench_class("a camouflage jacket", "own green", reported=True)
def camouflage(sheet: Sheet) -> None:
    """Patches of green, brown and sand, an open collar, pockets, buttons."""
    random = sheet.random
    greens = [varied(c, random) for c in (colour(78, 112, 58), colour(58, 140, 66), colour(104, 88, 56))]
    paint = np.broadcast_to(colour(166, 160, 112), (sheet.side, sheet.side, 3)).copy()
    for green in greens:
        mark = clouds((sheet.side, sheet.side), 6, random, 3)
        level = float(np.quantile(mark, 0.62))
        paint += (green - paint) * step(level - 0.01, level + 0.01, mark)[..., None]
    for side in (-1, 1):
        sleeve = rounded(
            [(side * 0.4, -0.62), (side * 0.72, -0.35), (side * 0.82, 0.3), (side * 0.7, 0.66)], closed=False
        )
        patch = sheet.stroke(sleeve, np.linspace(0.34, 0.24, len(sleeve)))
        sheet.lay(patch, lit(sheet.part_of(patch, paint), relief(sheet, patch, 0.14)))
        cuff = sheet.stroke(sleeve[-4:], 0.25)
        sheet.darken(cuff, 0.2)
    body = sheet.shape(
        rounded(mirrored([(0.14, -0.78), (0.42, -0.68), (0.56, -0.4), (0.52, 0.3), (0.54, 0.85), (0.02, 0.88)]), n=8)
    )
    folds = 0.88 + 0.2 * clouds((sheet.side, sheet.side), 4, random, 3)
    sheet.lay(body, lit(np.clip(sheet.part_of(body, paint * folds[..., None]), 0, 1), relief(sheet, body, 0.25)))
    sheet.erase(sheet.shape([(-0.13, -0.9), (0.13, -0.9), (0, -0.5)]))
    for side in (-1, 1):
        collar = sheet.shape([(side * 0.14, -0.8), (side * 0.3, -0.66), (side * 0.1, -0.36), (0, -0.5)])
        sheet.lay(collar, lit(sheet.part_of(collar, paint * 0.9), relief(sheet, collar, 0.08)))
        pocket = sheet.shape(box(side * 0.3 - 0.13, -0.15, side * 0.3 + 0.13, 0.14, 0.02))
        sheet.tint(pocket, lit(sheet.part_of(pocket, paint * 1.05), relief(sheet, pocket, 0.05)))
        sheet.darken(sheet.stroke([(side * 0.3 - 0.13, -0.08), (side * 0.3 + 0.13, -0.08)], 0.012), 0.5)
    sheet.darken(sheet.stroke([(0, -0.5), (0.02, 0.86)], 0.014), 0.55)
    for y in np.linspace(-0.35, 0.7, 5):
        solid(sheet, sheet.shape(circle(0.05, y, 0.028)), colour(60, 56, 40), 0.02, gloss=0.3)
