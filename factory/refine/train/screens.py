"""Screens as they are filmed and painted: their light, what stands on and beside them, and the plate that is known."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from factory.refine.train.fields import blotches, coordinates, lines, slope

Floats = NDArray[np.float32]

PURE = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 1.0))
MIXED = 8.0  # σ in pixels, at a side of 128, that a plate is smoothed by
MARKED = 0.3  # of filmed screens: that often tracking marks stand on them
LEAST_CHROMA = 0.2  # by how much a screen's strong channels exceed the others


class ScreenLook(NamedTuple):
    """A screen behind an object."""

    colour: Floats  # (3,) its mean, as a keyer would find it, 0..1
    seen: Floats  # (H, W, 3) what the camera sees of it, all that is no object
    plate: Floats  # (H, W, 3) what is known of it: smooth, and never exact


def screen_look(alpha: Floats, random: Generator) -> ScreenLook:
    """A screen behind an object of this α (side, side), which throws its shadow on it."""
    side = len(alpha)
    colour = screen_colour(random)
    drawn = random.random() < 0.25
    light = np.ones((side, side), np.float32)
    if not drawn:
        light += slope(side, float(random.uniform(0, 0.4)), random)
    clean = np.clip(colour * light[..., None], 0, 1)
    if not drawn and random.random() < 0.2:
        clean = _with_floor(clean, random)
    plate = _known(clean, drawn, random)
    seen = clean.copy()
    if random.random() < (0.15 if drawn else 0.45):
        seen *= _shadow(alpha, random)[..., None]
    if not drawn:
        if random.random() < 0.35:
            seen *= (1 + random.uniform(-0.2, 0.12) * lines(side, random))[..., None]
        if random.random() < 0.2:
            seen *= (1 + random.uniform(0, 0.05) * blotches(side, float(random.uniform(0.03, 0.2)), random))[..., None]
        if random.random() < MARKED:
            seen = _with_marks(seen, random)
        if random.random() < 0.15:
            seen = _beside(seen, random)
    return ScreenLook(plate.mean(axis=(0, 1)), np.asarray(np.clip(seen, 0, 1), np.float32), plate)


def screen_colour(random: Generator) -> Floats:
    """(3,) mostly a green; else blue, magenta, lime, yellow or cyan, pure or as they are filmed."""
    if random.random() < 0.2:
        return np.asarray(PURE[int(random.choice(3, p=[0.7, 0.15, 0.15]))], np.float32)
    kind = random.choice(["green", "blue", "lime", "magenta", "cyan", "yellow"], p=[0.58, 0.16, 0.12, 0.06, 0.04, 0.04])
    strong, weak = random.uniform(0.4, 0.97), random.uniform(0.02, 0.42)
    weak = min(weak, strong - LEAST_CHROMA)
    other = float(np.clip(weak + random.normal(0, 0.07), 0, strong - LEAST_CHROMA))
    between = weak + random.uniform(0.45, 0.85) * (strong - weak)
    channels = {
        "green": (weak, strong, other),
        "blue": (weak, other, strong),
        "lime": (between, strong, other),
        "magenta": (strong, weak, between),
        "cyan": (weak, strong, between),
        "yellow": (strong, between, weak),
    }
    return np.asarray(channels[kind], np.float32)


def _known(clean: Floats, drawn: bool, random: Generator) -> Floats:
    """The plate: the screen's light without what is fine in it, and wrong by some levels."""
    if drawn and random.random() < 0.8:
        return clean.copy()
    side = len(clean)
    smooth = cv2.GaussianBlur(clean, (0, 0), MIXED * side / 128, borderType=cv2.BORDER_REPLICATE)
    if random.random() < 0.15:
        smooth[:] = smooth.mean(axis=(0, 1))
    wrong = 1 + random.normal(0, 0.02) + slope(side, abs(float(random.normal(0, 0.03))), random)
    offset = random.normal(0, 0.008, 3).astype(np.float32)
    return np.asarray(np.clip(smooth * wrong[..., None] + offset, 0, 1), np.float32)


def _shadow(alpha: Floats, random: Generator) -> Floats:
    """(side, side) share of the light that an object of this α leaves: cast on a wall behind it, or at its foot."""
    side = len(alpha)
    if random.random() < 0.6:  # cast: the same outline, farther off
        move = np.array([[1, 0, 0.12 * side * random.normal()], [0, 1, 0.06 * side * random.normal()]], np.float32)
        cast = cv2.warpAffine(alpha, move, (side, side))
    else:  # on the floor: its foot, flattened
        rows = np.flatnonzero(alpha.max(axis=1) > 0.5)
        foot = int(rows[-1]) if len(rows) else side - 1
        flat, skew = random.uniform(0.1, 0.4), random.normal(0, 0.8)
        # y' = foot + flat·(y − foot), leaning to one side
        move = np.array([[1, skew * flat, -skew * flat * foot], [0, flat, foot * (1 - flat)]], np.float32)
        cast = cv2.warpAffine(alpha, move, (side, side))
    blurred = cv2.GaussianBlur(cast, (0, 0), side * float(random.uniform(0.006, 0.05)))
    return np.asarray(1 - random.uniform(0.1, 0.65) * blurred, np.float32)


def _with_floor(clean: Floats, random: Generator) -> Floats:
    """A floor of another light below a seam, hard or rounded."""
    side = len(clean)
    x, y = coordinates(side)
    below = y - random.uniform(0.2, 0.9) - random.normal(0, 0.05) * x
    floor = np.clip(0.5 + 0.5 * below / random.uniform(0.01, 0.2), 0, 1)
    other = random.uniform(0.6, 1.15) * np.exp(random.normal(0, 0.04, 3))
    return np.asarray(np.clip(clean * (1 + floor[..., None] * (other - 1)), 0, 1), np.float32)


def _with_marks(seen: Floats, random: Generator) -> Floats:
    """Tracking marks on a grid: crosses, dots or strips of tape, in one other colour."""
    side = len(seen)
    marks = np.zeros((side, side), np.float32)
    step, size = side * random.uniform(0.18, 0.4), max(1, round(side * random.uniform(0.008, 0.025)))
    start = random.uniform(0, step, 2)
    form = int(random.integers(3))
    for top in np.arange(start[0], side, step):
        for left in np.arange(start[1], side, step):
            at = (round(float(left)), round(float(top)))
            if form == 0:
                cv2.drawMarker(marks, at, 1.0, cv2.MARKER_CROSS, 2 * size + 1, 1)
            elif form == 1:
                cv2.circle(marks, at, size, 1.0, -1)
            else:
                cv2.rectangle(marks, at, (at[0] + 2 * size, at[1] + size), 1.0, -1)
    soft = np.asarray(cv2.GaussianBlur(marks, (0, 0), 0.5), np.float32)[..., None]
    colour = seen.mean(axis=(0, 1)) * random.uniform(0.3, 1.5) if random.random() < 0.5 else random.uniform(0, 1, 3)
    return np.asarray(seen + soft * (np.clip(colour, 0, 1).astype(np.float32) - seen), np.float32)


def _beside(seen: Floats, random: Generator) -> Floats:
    """The studio beyond the screen's edges, at one or more sides of the picture; a pole now and then."""
    side = len(seen)
    x, y = coordinates(side)
    reach = [random.uniform(0.55, 0.97) if random.random() < 0.45 else 2 for _ in range(3)]
    lean = random.normal(0, 0.06, 3)
    beyond = (-x - reach[0] - lean[0] * y > 0) | (x - reach[1] - lean[1] * y > 0) | (-y - reach[2] - lean[2] * x > 0)
    colour = random.uniform(0, 1, 3).astype(np.float32) if random.random() < 0.3 else random.uniform(0.0, 0.9)
    studio = colour + 0.12 * blotches(side, float(random.uniform(0.05, 0.5)), random)[..., None]
    seen = np.where(beyond[..., None], np.clip(studio, 0, 1), seen)
    if random.random() < 0.3:
        left, wide = random.uniform(-0.95, 0.95), random.uniform(0.008, 0.03)
        pole = (np.abs(x - left - random.normal(0, 0.03) * y) < wide) & (y < random.uniform(-0.9, -0.3))
        seen = np.where(pole[..., None], np.float32(random.uniform(0, 0.7)), seen)
    return np.asarray(seen, np.float32)
