"""Scenes to learn from: objects of known α before screens that do to them what screens do."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_unit, composite
from factory.greenscreen.keyer.screen import chroma_length
from factory.greenscreen.keying import MIN_CHROMA
from factory.refine.train.fields import blotches
from factory.refine.train.recolouring import recoloured
from factory.refine.train.screens import ScreenLook, screen_look
from factory.sample import Matte, Picture

Floats = NDArray[np.float32]

OPAQUE = 0.98  # α from which a part may mirror the screen
TRANSLUCENT = 0.15  # of scenes: that often an object is made so
MIRRORING = 0.45  # that often it is glossy
METALS = 0.4  # of what is glossy: mirrors tinted as copper and gold do
MOVED = 0.1  # … or moves
RINGING = 0.15  # of pictures: that often their edges are sharpened, as decoders and cameras do it
SEEN = 0.02  # α from which an object is seen


class Cutout(NamedTuple):
    """An object to be placed: straight colour (S, S, 3) and α (S, S), 8-bit."""

    foreground: Picture
    alpha: Matte


class Scene(NamedTuple):
    """A picture, what is known of its screen, and the truth."""

    picture: Floats  # (side, side, 3) in 0..1
    plate: Floats  # (side, side, 3) in 0..1
    colour: Floats  # (3,) the screen's
    alpha: Floats  # (side, side)
    foreground: Floats  # (side, side, 3) in 0..1, straight: with what it mirrors, without spill; black where α is 0


def scene(objects: Sequence[Cutout], side: int, random: Generator, *, tricky: bool = True) -> Scene:
    """One or two of the objects in a picture of this side; all that is drawn comes from `random`.

    tricky: whether objects often take on the screen's own colours, or mirror it.
    """
    placed = [_placed(objects[int(random.integers(len(objects)))], side, random)]
    if random.random() < TRANSLUCENT:
        placed[0] = (placed[0][0], thinned(*placed[0], random))
    if random.random() < 0.2:
        placed.append(_placed(objects[int(random.integers(len(objects)))], side, random))
    alpha = np.zeros((side, side), np.float32)
    for _, own in placed:
        alpha = own + (1 - own) * alpha
    screen = screen_look(alpha, random)
    while chroma_length(screen.colour) < MIN_CHROMA:  # so dim that it is no screen
        screen = screen_look(alpha, random)
    picture, premultiplied = screen.seen, np.zeros_like(screen.seen)
    for foreground, own in placed:
        painted = recoloured(foreground, own, screen.colour, random) if tricky else foreground
        if tricky and random.random() < MIRRORING:
            painted = _mirroring(painted, own, screen, random)
        picture = composite(_lit(painted, own, screen, random), own, picture)
        premultiplied = composite(painted, own, premultiplied)
    straight = np.asarray(np.clip(premultiplied / np.maximum(alpha, SEEN)[..., None], 0, 1), np.float32)
    return Scene(_filmed(picture, random), screen.plate, screen.colour, alpha, straight)


def thinned(foreground: Floats, alpha: Floats, random: Generator) -> Floats:
    """α of the same object as glass, a veil, smoke or fire: thin where it is dark, in patches, or but for its rim.

    foreground: (side, side, 3) in 0..1.  alpha: (side, side).  Returns (side, side).
    """
    side = len(alpha)
    way = int(random.integers(4))
    if way == 0:  # fire and highlights: as dense as it is bright
        light = foreground.max(axis=-1)
        brightest = float(np.quantile(light[alpha > SEEN], 0.98)) if (alpha > SEEN).any() else 1
        share = np.clip(light / max(brightest, 0.1), 0, 1) ** random.uniform(0.5, 3)
    elif way == 1:  # smoke and stains
        share = np.clip(random.uniform(0.2, 0.8) + 0.4 * blotches(side, float(random.uniform(0.05, 0.5)), random), 0, 1)
    elif way == 2:  # glass: a dense rim, an inside that is nearly not there
        inside = np.clip(4 * cv2.GaussianBlur(alpha, (0, 0), side * float(random.uniform(0.01, 0.04))) - 3, 0, 1)
        share = 1 - random.uniform(0.4, 0.97) * inside
    else:  # a veil
        share = np.full_like(alpha, random.uniform(0.1, 0.9))
    if random.random() < 0.15:  # only a part of it
        share = np.where(blotches(side, float(random.uniform(0.2, 0.8)), random) > 0, share, 1)
    return np.asarray(alpha * share, np.float32)


def _placed(cutout: Cutout, side: int, random: Generator) -> tuple[Floats, Floats]:
    """The object turned, scaled and moved, now and then beyond the picture's rim. Colours are weighted by α on the way.

    Returns straight colour (side, side, 3) and α (side, side) in 0..1.
    """
    alpha = as_unit(cutout.alpha)
    rgba = np.dstack([as_unit(cutout.foreground) * alpha[..., None], alpha])
    size = len(alpha)
    scale = side / size * (random.uniform(0.35, 1.1) if random.random() < 0.8 else random.uniform(1.1, 1.9))
    turn = np.asarray(cv2.getRotationMatrix2D((size / 2, size / 2), random.normal(0, 15), scale), np.float64)
    turn[:, 2] += side / 2 - size / 2 + side * random.normal(0, 0.12, 2)
    if random.random() < 0.5:
        rgba = np.ascontiguousarray(rgba[:, ::-1])
    if scale < 0.7:  # a mean over what falls into a pixel
        rgba = cv2.GaussianBlur(rgba, (0, 0), 0.4 / scale)
    there = cv2.warpAffine(rgba, turn, (side, side), flags=cv2.INTER_LINEAR)
    if random.random() < 0.15:  # out of focus
        there = cv2.GaussianBlur(there, (0, 0), side * float(random.uniform(0.004, 0.02)))
    if random.random() < MOVED:
        there = _moved(np.asarray(there, np.float32), random)
    alpha = np.ascontiguousarray(there[..., 3])
    foreground = there[..., :3] / np.maximum(alpha, 1e-3)[..., None]
    return np.asarray(np.clip(foreground, 0, 1), np.float32), np.asarray(np.clip(alpha, 0, 1), np.float32)


def _lit(foreground: Floats, alpha: Floats, screen: ScreenLook, random: Generator) -> Floats:
    """The object with the screen's light on it: spill, stronger at its rim."""
    rim = 1 - cv2.GaussianBlur(alpha, (0, 0), len(alpha) * float(random.uniform(0.01, 0.04)))
    spill = random.uniform(0, 0.12) + random.uniform(0, 0.3) * rim
    lit = foreground + (spill * (0.4 + 0.6 * foreground.mean(axis=-1)))[..., None] * screen.colour
    return np.asarray(np.clip(lit, 0, 1), np.float32)


def _mirroring(foreground: Floats, alpha: Floats, screen: ScreenLook, random: Generator) -> Floats:
    """The object with a surface that mirrors the screen where it is opaque, in the mirror's own tint."""
    shown = random.uniform(0.3, 1) * _mirrored(foreground, alpha, random) * (alpha > OPAQUE)
    mirrored = random.uniform(0.4, 1.1) * screen.colour
    if random.random() < METALS:
        mirrored = mirrored * (1, *np.cumprod(random.uniform(0.6, 1, 2)))
    if random.random() < 0.5:  # what else is mirrored is dark
        foreground = foreground * np.float32(random.uniform(0.2, 1))
    return np.asarray(foreground + shown[..., None] * (mirrored.astype(np.float32) - foreground), np.float32)


def _mirrored(foreground: Floats, alpha: Floats, random: Generator) -> Floats:
    """(side, side) 0..1, where a glossy object shows the screen: by which way its surface looks, or in patches.

    Its relief is that of its outline, blown up, with some bumps, and of what is painted on it. At its outline it looks
    aside, and mirrors what is behind it.
    """
    side = len(alpha)
    if random.random() < 0.3:
        patches = blotches(side, float(random.uniform(0.03, 0.25)), random)
        return np.asarray(np.clip(2 * (patches - 1), 0, 1), np.float32)
    height = cv2.GaussianBlur(alpha, (0, 0), side * float(random.uniform(0.02, 0.1)))
    height = height + random.uniform(0, 0.08) * blotches(side, float(random.uniform(0.1, 0.4)), random)
    if random.random() < 0.4:
        light = cv2.GaussianBlur(foreground.mean(axis=-1) * alpha, (0, 0), side * float(random.uniform(0.01, 0.03)))
        height = height + random.uniform(0, 0.5) * light
    slopes = [cv2.Sobel(height, cv2.CV_32F, 1 - i, i, scale=side / 64) for i in (0, 1)]
    angle = random.uniform(0, 2 * np.pi)
    towards = np.cos(angle) * slopes[0] + np.sin(angle) * slopes[1]
    bands = np.sin(random.uniform(1, 9) * towards / (1 + np.hypot(*slopes)) + random.uniform(0, 2 * np.pi))
    sharp = random.uniform(0.6, 6)
    shown = np.clip(0.5 + sharp * (bands - random.uniform(-0.8, 0.6)), 0, 1)
    if random.random() < 0.5:
        within = cv2.GaussianBlur(alpha, (0, 0), side * float(random.uniform(0.01, 0.06)))
        shown = np.maximum(shown, np.clip(2 - 2 * within, 0, 1) ** random.uniform(0.5, 3))
    return np.asarray(shown, np.float32)


def _moved(rgba: Floats, random: Generator) -> Floats:
    """What moves, or turns, while the shutter is open: a mean over instants. Colours are weighted by α."""
    side = len(rgba)
    way = side * float(random.uniform(0.01, 0.15)) * np.array([np.cos(a := random.uniform(0, np.pi)), np.sin(a)])
    turn = random.normal(0, 8)
    centre = (side * float(random.uniform(0.2, 0.8)), side * float(random.uniform(0.2, 0.8)))
    instants = np.linspace(-0.5, 0.5, 12)
    total = np.zeros_like(rgba)
    for instant in instants:
        move = np.asarray(cv2.getRotationMatrix2D(centre, instant * turn, 1.0), np.float64)
        move[:, 2] += instant * way
        total += cv2.warpAffine(rgba, move, (side, side), flags=cv2.INTER_LINEAR)
    return np.asarray(total / len(instants), np.float32)


def _filmed(picture: Floats, random: Generator) -> Floats:
    """Ringing, blurred chroma, noise, and rounding; a third of the pictures have neither of the two in the middle."""
    if random.random() < RINGING:
        fine = picture - cv2.GaussianBlur(picture, (0, 0), float(random.uniform(0.6, 2)))
        picture = picture + random.uniform(0.1, 0.7) * fine
    if random.random() < 0.67:
        if random.random() < 0.5:
            light = picture.mean(axis=-1, keepdims=True)
            chroma = cv2.GaussianBlur(picture - light, (0, 0), float(random.uniform(0.3, 1.2)))
            picture = light + chroma
        picture = picture + np.asarray(random.normal(0, random.uniform(0, 3) / 255, picture.shape), np.float32)
    return np.asarray(np.rint(np.clip(picture, 0, 1) * 255) / 255, np.float32)
