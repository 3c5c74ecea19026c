"""Things in motion: α is the share of the exposure in which a pixel was covered, exactly, by averaging instants."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from factory.sources.greenbench.looks import box, circle, colour, lit, mirrored, moved, relief, rounded, varied
from factory.sources.greenbench.registry import bench_class
from factory.sources.greenbench.sheet import Paint, Sheet

INSTANTS = 24


class Moving(Protocol):
    """Paints an object as it is at a time of the exposure, 0..1."""

    def __call__(self, instant: Sheet, t: float) -> None: ...


def _instants(draw: Moving) -> list[Callable[[Sheet], None]]:
    """`draw` at evenly spaced times of the exposure."""
    return [partial(draw, t=float(t)) for t in (np.arange(INSTANTS) + 0.5) / INSTANTS]


@bench_class("a ball in flight", "motion blur", turn=180)
def ball(sheet: Sheet) -> None:
    """Along a bent path, with spin: panels are smeared, the rim fades."""
    random = sheet.random
    r = random.uniform(0.34, 0.48)
    length = random.uniform(0.25, 0.8)
    first = _one_colour(sheet, (colour(230, 110, 40), colour(240, 240, 236), colour(220, 40, 50), colour(60, 90, 190)))
    second = varied(colour(30, 30, 34), random)
    spin = random.uniform(-1.2, 1.2)

    def at(instant: Sheet, t: float) -> None:
        x, y = (t - 0.5) * length, 0.25 * ((t - 0.5) * length) ** 2 - 0.02
        patch = instant.shape(circle(x, y, r))
        n = relief(instant, patch, r, soft=0.01)
        u, v = instant.part_of(patch, instant.u) - x, instant.part_of(patch, instant.v) - y
        a = spin * t
        along, across = (u * np.cos(a) + v * np.sin(a)) / r, (v * np.cos(a) - u * np.sin(a)) / r
        seam = (
            (np.abs(along) < 0.05) | (np.abs(across) < 0.05) | (np.abs(np.abs(along) - 0.62 + 0.3 * across**2) < 0.045)
        )
        paint = np.where(seam[..., None], second, first)
        instant.lay(patch, lit(paint, n, gloss=0.3))

    sheet.average(_instants(at))


@bench_class("a waving arm", "motion blur", turn=10)
def arm(sheet: Sheet) -> None:
    """A sleeve at rest, a forearm and a hand that swing."""
    random = sheet.random
    skin = _one_colour(sheet, (colour(232, 186, 160), colour(198, 142, 106), colour(124, 80, 56)))
    sleeve = _one_colour(sheet, (colour(60, 70, 120), colour(170, 50, 50), colour(200, 196, 188)))
    swing, middle = random.uniform(0.2, 0.6), random.uniform(-0.25, 0.25)

    def at(instant: Sheet, t: float) -> None:
        turn = middle + (t - 0.5) * swing
        forearm = moved(mirrored([(0.11, -0.62), (0.14, -0.3), (0.17, 0.02)]), 0, 0.28, turn=turn)
        patch = instant.shape(forearm)
        instant.lay(patch, lit(skin, relief(instant, patch, 0.12)))
        for k, (bend, reach) in enumerate(((-0.42, 0.25), (-0.2, 0.36), (-0.02, 0.4), (0.16, 0.37))):
            finger = [
                (-0.1 + 0.065 * k, -0.78),
                (-0.1 + 0.065 * k + reach * np.sin(bend), -0.78 - reach * np.cos(bend)),
            ]
            part = instant.stroke(moved(finger, 0, 0.28, turn=turn), np.array([0.075, 0.06]))
            instant.lay(part, lit(skin, relief(instant, part, 0.035)))
        thumb = moved([(0.1, -0.66), (0.24, -0.78), (0.3, -0.9)], 0, 0.28, turn=turn)
        part = instant.stroke(thumb, 0.075)
        instant.lay(part, lit(skin, relief(instant, part, 0.035)))
        palm = instant.shape(moved(box(-0.15, -0.86, 0.13, -0.56, 0.08), 0, 0.28, turn=turn))
        instant.lay(palm, lit(skin, relief(instant, palm, 0.1)))

    sheet.average(_instants(at))
    upper = sheet.shape(rounded([(-0.2, 0.2), (0.2, 0.18), (0.26, 0.5), (0.2, 1.0), (-0.25, 1.0), (-0.24, 0.5)]))
    sheet.lay(upper, lit(sleeve, relief(sheet, upper, 0.2)))
    cuff = sheet.stroke([(-0.19, 0.24), (0, 0.28), (0.2, 0.22)], 0.07)
    sheet.lay(cuff, lit(sleeve * 0.85, relief(sheet, cuff, 0.03)))


@bench_class("a flag in the wind", "motion blur", turn=6)
def flag(sheet: Sheet) -> None:
    """The pole stands still, the free end beats."""
    random = sheet.random
    bands = [varied(c, random, 0.2) for c in (colour(200, 40, 44), colour(240, 238, 232), colour(40, 70, 160))]
    beat, phase = random.uniform(0.05, 0.12), random.uniform(0, 6)

    def at(instant: Sheet, t: float) -> None:
        x = np.linspace(0, 1, 40)
        wave = (beat * np.sin(x * 7 - 2.4 * t + phase) + 0.1 * (t - 0.5)) * x**0.8
        for k, band in enumerate(bands):
            top, bottom = -0.8 + 0.27 * k, -0.8 + 0.27 * (k + 1) + 0.004
            edge = np.stack([-0.6 + 1.45 * x, top + wave], 1)
            base = np.stack([-0.6 + 1.45 * x, bottom + wave], 1)
            patch = instant.shape(np.concatenate([edge, base[::-1]]))
            along = (instant.part_of(patch, instant.u) + 0.6) / 1.45
            light = 0.85 + 0.2 * np.cos(along * 7 - 2.4 * t + phase)
            instant.lay(patch, np.clip(band * light[..., None], 0, 1))

    sheet.average(_instants(at))
    pole = sheet.stroke([(-0.63, -0.92), (-0.63, 0.97)], 0.055)
    sheet.lay(pole, lit(colour(176, 170, 160), relief(sheet, pole, 0.027), gloss=0.5))
    knob = sheet.shape(circle(-0.63, -0.93, 0.05))
    sheet.lay(knob, lit(colour(206, 170, 80), relief(sheet, knob, 0.05), gloss=0.7))


@bench_class("a turning fan", "motion blur", turn=6, reported=True)
def fan(sheet: Sheet) -> None:
    """Blades that sweep behind a cage of wires, on a foot that stands."""
    random = sheet.random
    blade = _one_colour(sheet, (colour(60, 110, 190), colour(236, 236, 232), colour(210, 70, 60)))
    grey = colour(196, 198, 200)
    sweep, start = random.uniform(0.3, 1.0), random.uniform(0, 2)
    post = sheet.stroke([(0, 0.3), (0, 0.86)], 0.1)
    sheet.lay(post, lit(grey, relief(sheet, post, 0.05), gloss=0.4))
    foot = sheet.shape(circle(0, 0.88, 0.36, flat=0.24))
    sheet.lay(foot, lit(grey * 0.95, relief(sheet, foot, 0.12), gloss=0.4))
    outline = rounded([(0.08, -0.05), (0.3, -0.24), (0.52, -0.2), (0.56, 0.02), (0.3, 0.08)])

    def at(instant: Sheet, t: float) -> None:
        for k in range(3):
            patch = instant.shape(moved(outline, 0, -0.25, turn=start + sweep * t + 2 * np.pi * k / 3))
            instant.lay(patch, lit(blade, relief(instant, patch, 0.1), gloss=0.2))

    sheet.average(_instants(at))
    for k in range(36):
        a = 2 * np.pi * k / 36
        spoke = sheet.stroke(moved([(0.14, 0), (0.64, 0)], 0, -0.25, turn=a), 0.008)
        sheet.lay(spoke, grey * 0.92)
    for r, width in ((0.64, 0.03), (0.4, 0.012)):
        ring = sheet.stroke(circle(0, -0.25, r, n=160), width, closed=True)
        sheet.lay(ring, lit(grey, relief(sheet, ring, width / 2, soft=0.005), gloss=0.5))
    hub = sheet.shape(circle(0, -0.25, 0.15))
    sheet.lay(hub, lit(grey, relief(sheet, hub, 0.14), gloss=0.5))


def _one_colour(sheet: Sheet, choices: tuple[NDArray[np.float32], ...]) -> Paint:
    return varied(choices[int(sheet.random.integers(len(choices)))], sheet.random)
