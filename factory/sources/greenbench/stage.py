"""An object before a screen, as light has it: the screen with its faults, shadows, spill, reflections; no camera yet.

Light adds up in linear intensities; the object's edge is composited in gamma-encoded sRGB, as the equation of all
mattes has it. Written for the benchmark alone and on purpose not the simulator that anything is trained with.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_unit, composite
from factory.sources.greenbench.looks import clouds, step
from factory.sources.greenbench.sheet import Drawn, Field

Hue: TypeAlias = Literal["green", "blue", "lime"]
Light: TypeAlias = NDArray[np.floating[Any]]  # (H, W, 3), 0..1

PURE = {"green": (0, 255, 0), "blue": (0, 0, 255), "lime": (0, 255, 0)}
CLOTH = {  # least and greatest level of each channel
    "green": ((38, 138, 48), (96, 190, 102)),
    "blue": ((26, 66, 158), (62, 104, 204)),
    "lime": ((150, 196, 58), (176, 222, 92)),
}
PAINTED = {"green": (8, 162, 24), "blue": (14, 42, 190), "lime": (150, 205, 40)}  # as image models have them
GAMMA = 2.2


@dataclass(frozen=True, slots=True)
class Stage:
    """What a perfect camera would see.

    foreground: the object's own straight colour, in neutral light.  seen: the same with spill and reflections.
    plate: the clean screen before the object came.  shaded: the same with the object's shadow.
    told: its parameters, for the sample's JSON.
    """

    alpha: Field
    foreground: Light
    seen: Light
    plate: Light
    shaded: Light
    told: dict[str, str]

    def picture(self) -> Light:
        """I = αF + (1 − α)B of what is seen."""
        return np.asarray(composite(self.seen, self.alpha, self.shaded), np.float32)


def pure(drawn: Drawn, hue: Hue) -> Stage:
    """A screen of one colour that neither lights the object nor takes its shadow; mirrors show it all the same."""
    alpha, foreground, mirror = (as_unit(part) for part in (drawn.alpha, drawn.foreground, drawn.mirror))
    plate = np.broadcast_to(np.array(PURE[hue], np.float32) / 255, foreground.shape)
    seen = _reflecting(foreground, mirror, plate)
    return Stage(alpha, foreground, seen, plate, plate, {})


def studio(drawn: Drawn, hue: Hue, random: Generator, *, emits: bool) -> Stage:
    """A cloth or a painted wall: muted, unevenly lit, creased, with markers; spill and a cast shadow.

    emits: the object takes no light of the screen.
    """
    alpha, foreground, mirror = (as_unit(part) for part in (drawn.alpha, drawn.foreground, drawn.mirror))
    plate, told = _cloth(alpha.shape[0], hue, random)
    strength = random.uniform(0.12, 0.42) if random.random() < 0.6 else 0.0
    shaded = plate if emits else _with_shadow(plate, alpha, strength, random)
    spill = random.uniform(0.04, 0.22)
    lit = foreground if emits else _with_spill(foreground, alpha, plate, spill)
    seen = _reflecting(lit, mirror, plate)
    told |= {"shadow": f"{0.0 if emits else strength:.2f}", "spill": f"{0.0 if emits else spill:.2f}"}
    return Stage(alpha, foreground, seen, plate, shaded, told)


def painted(drawn: Drawn, hue: Hue, random: Generator) -> Stage:
    """As an image model paints it: near some colour of its own, hardly uneven, a tint of it along the object's rim."""
    alpha, foreground, mirror = (as_unit(part) for part in (drawn.alpha, drawn.foreground, drawn.mirror))
    size = alpha.shape[0]
    colour = np.clip(np.array(PAINTED[hue]) + random.normal(0, 5, 3), 0, 255).astype(np.float32) / 255
    uneven = 1 + 0.05 * (clouds((size, size), 2, random, 2) - 0.5)
    plate = np.clip(colour * uneven[..., None], 0, 1)
    tint = random.uniform(0.0, 0.08)
    near = cv2.GaussianBlur(1 - alpha, (0, 0), 0.015 * size)[..., None]
    seen = _reflecting(foreground + (plate - foreground) * tint * near, mirror, plate)
    return Stage(alpha, foreground, seen, plate, plate, {"spill": f"{tint:.2f}"})


def _reflecting(foreground: Light, mirror: Field, plate: Light) -> Light:
    """A mirror shows the screen, all of it at once, in place of the grey room."""
    screen = plate.mean(axis=(0, 1))
    share = mirror[..., None]
    return np.asarray(foreground * (1 - share) + screen * share, np.float32)


def _with_spill(foreground: Light, alpha: Field, plate: Light, spill: float) -> Light:
    """The screen's light on the object: what its colour gives back of it, and a sheen; most along the silhouette."""
    light = (plate**GAMMA).mean(axis=(0, 1))
    light = light / light.max()
    rim = cv2.GaussianBlur(1 - alpha, (0, 0), 0.05 * alpha.shape[0])
    amount = spill * (0.3 + 1.1 * rim)[..., None]
    linear = foreground**GAMMA
    linear = linear + amount * light * (0.75 * linear + 0.06)
    return np.asarray(np.clip(linear, 0, 1) ** (1 / GAMMA), np.float32)


def _with_shadow(plate: Light, alpha: Field, strength: float, random: Generator) -> Light:
    """The object's shadow on the screen behind it: moved, blurred, of the screen's own hue."""
    size = alpha.shape[0]
    across, down = random.uniform(-0.09, 0.09) * size, random.uniform(0.01, 0.09) * size
    sigma = random.uniform(0.012, 0.05) * size
    way = np.array([[1, 0, across], [0, 1, down]], np.float64)
    moved = cv2.warpAffine(alpha, way, (size, size), flags=cv2.INTER_LINEAR)
    dark = 1 - strength * cv2.GaussianBlur(moved, (0, 0), sigma)
    return np.asarray(plate * (dark ** (1 / GAMMA))[..., None], np.float32)


def _cloth(size: int, hue: Hue, random: Generator) -> tuple[Light, dict[str, str]]:
    """The clean screen, and what of it is to be told."""
    low, high = (np.array(levels, np.float64) for levels in CLOTH[hue])
    colour = (low + (high - low) * random.random(3)) / 255
    v, u = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size), indexing="ij")
    side, fall, vignette = random.uniform(-0.16, 0.16), random.uniform(-0.1, 0.1), random.uniform(0.02, 0.2)
    light = 1 + side * u + fall * v - vignette * (u * u + v * v) / 2
    x, y, r = random.uniform(-0.8, 0.8), random.uniform(-0.9, 0.2), random.uniform(0.4, 0.9)
    light += random.uniform(0, 0.16) * np.exp(-((u - x) ** 2 + (v - y) ** 2) / r**2)
    bend = clouds((size, size), 3, random, 3)
    creases = int(random.integers(0, 5))
    for _ in range(creases):
        angle, at = random.uniform(0, np.pi), random.uniform(-0.8, 0.8)
        width, depth = random.uniform(0.012, 0.05), random.uniform(0.02, 0.09)
        d = (u * np.cos(angle) + v * np.sin(angle) - at + 0.25 * (bend - 0.5)) / width
        light += depth * d * np.exp(-d * d / 2) * 1.6
    seam = random.random() < 0.25
    if seam:
        floor = step(-0.02, 0.02, (v - random.uniform(0.62, 0.85)).astype(np.float32))
        light *= 1 + random.uniform(-0.16, 0.1) * floor
    light *= 1 + 0.03 * (clouds((size, size), size / 4, random, 1) - 0.5)  # its weave
    plate = np.clip(colour * np.clip(light, 0.05, 2)[..., None], 0, 1).astype(np.float32)
    marks = _mark(plate, random) if random.random() < 0.35 else 0
    return plate, {"creases": str(creases), "seam": "yes" if seam else "no", "markers": str(marks)}


def _mark(plate: Light, random: Generator) -> int:
    """Tracking markers: crosses of tape, of a darker green or of another colour. Returns how many."""
    size = plate.shape[0]
    paint = plate.mean(axis=(0, 1)) * 0.6
    if random.random() < 0.5:
        paint = np.array(((236, 122, 44), (240, 240, 236), (34, 34, 38))[int(random.integers(3))], np.float32) / 255
    layer = np.zeros((size * 4, size * 4), np.uint8)
    step_to, arm, width = random.uniform(0.28, 0.45), random.uniform(0.014, 0.026), random.uniform(0.005, 0.01)
    places = [(x, y) for x in np.arange(0.12, 0.95, step_to) for y in np.arange(0.12, 0.95, step_to)]
    for x, y in places:
        middle = (np.array([x, y]) + random.uniform(-0.02, 0.02, 2)) * size * 4
        for way in ((1, 0), (0, 1)):
            half = np.array(way) * arm * size * 4
            ends = [np.rint((middle + sign * half) * 16).astype(int).tolist() for sign in (-1, 1)]
            cv2.line(layer, ends[0], ends[1], 255, max(1, round(width * size * 4)), cv2.LINE_AA, 4)
    cover = cv2.resize(layer, (size, size), interpolation=cv2.INTER_AREA)[..., None] / np.float32(255)
    plate += (paint - plate) * cover
    return len(places)
