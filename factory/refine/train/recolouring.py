"""Objects in the screen's own colours: what a keyer by colour alone must fail on, so that shapes have to be learned."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from factory.refine.train.fields import blotches, stripes

Floats = NDArray[np.float32]

AS_IT_IS, TURNED, TOWARDS, PATCHED = range(4)
SHARES = (0.35, 0.15, 0.25, 0.25)  # of objects that these happen to
STRIPED = 0.35  # of the objects with a pattern
COLOURED = 0.15  # saturation from which a pixel has a hue that can be turned


def recoloured(foreground: Floats, alpha: Floats, screen: Floats, random: Generator) -> Floats:
    """The object in other colours, often with the screen's own in it. Returns (H, W, 3) in 0..1.

    foreground: (H, W, 3) straight colour in 0..1.  alpha: (H, W).  screen: (3,).
    """
    way = int(random.choice(len(SHARES), p=SHARES))
    light = np.float32(random.uniform(0.6, 1.25))
    if way == TURNED:
        foreground = _turned(foreground, random.uniform(0, 360), random.uniform(0.5, 1.4))
    elif way == TOWARDS:
        foreground = _towards(foreground, alpha, screen, random)
    elif way == PATCHED:
        foreground = _patched(foreground, screen, random)
    return np.asarray(np.clip(foreground * light, 0, 1), np.float32)


def _turned(foreground: Floats, degrees: float, saturation: float) -> Floats:
    hsv = cv2.cvtColor(foreground, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + degrees) % 360
    hsv[..., 1] = np.clip(hsv[..., 1] * saturation, 0, 1)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.float32)


def _towards(foreground: Floats, alpha: Floats, screen: Floats, random: Generator) -> Floats:
    """One of the object's hues, and all others with it, turned to about the screen's."""
    hsv = cv2.cvtColor(foreground, cv2.COLOR_RGB2HSV)
    hues = hsv[..., 0][(alpha > 0.9) & (hsv[..., 1] > COLOURED)]
    if not len(hues):
        return _patched(foreground, screen, random)
    wanted = cv2.cvtColor(screen[None, None], cv2.COLOR_RGB2HSV)[0, 0, 0] + random.normal(0, 12)
    return _turned(foreground, float(wanted - random.choice(hues)), random.uniform(0.7, 1.3))


def _patched(foreground: Floats, screen: Floats, random: Generator) -> Floats:
    """Patches, stripes or checks of about the screen's colour, with what light and texture the object has there."""
    side = len(foreground)
    if random.random() < STRIPED:
        inside = stripes(side, random)
        if random.random() < 0.4:  # checks
            inside = inside ^ stripes(side, random)
    else:
        inside = blotches(side, float(random.uniform(0.05, 0.5)), random) > random.uniform(-0.8, 1.2)
    own = np.clip(screen + random.normal(0, random.choice([0.03, 0.1, 0.2]), 3), 0, 1).astype(np.float32)
    light = foreground.mean(axis=-1, keepdims=True)
    texture = np.float32(random.uniform(0, 1)) * (light - light[inside].mean() if inside.any() else light)
    edge = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), float(random.uniform(0.3, 2)))[..., None]
    return np.asarray(foreground + edge * (np.clip(own + texture, 0, 1) - foreground), np.float32)
