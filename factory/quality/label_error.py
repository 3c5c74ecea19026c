"""How wrong a matte is likely to be, told without the truth: the score `label_error`.

It predicts the root mean square error of α in the unknown region, an error elsewhere counted as if it lay there: 0.02
is a good matte, 0.2 a spoilt one. A small monotone model: a weighted sum of the logarithms of a few signs, none of
which can make a matte better by being larger. The weights (label_error.json) are those that
benchmarks/learn_label_error.py found on scenes whose truth is known; 0 is a sign that tells nothing beside the others
there. All are sums over the whole picture ÷ the pixels in which, by the matte itself, object and screen meet.
"""

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.equation import plate_picture
from factory.greenscreen.compositing import as_unit, composite
from factory.greenscreen.morphology import disc, eroded
from factory.greenscreen.plates import open_to_border, scaled
from factory.quality.evaluation import trimap_of
from factory.quality.metrics import unknown
from factory.sample import Matte, Sample
from factory.trust import TRUST, deviation_of

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

WEIGHTS = Path(__file__).with_name("label_error.json")
LEAST = 1e-3  # a sign below it tells nothing
ROUNDING = 1.01 / 255  # by which a composite of 8-bit pictures may miss the picture
PRESENT = 26  # level from which something is there: a tenth
DEEP = 12.0  # pixels at 512 from what is open to the border at which an inside is deep
MAIN = 0.1  # of the largest piece's pixels under which another one is detached
PINHOLE = 1e-3  # of the object's pixels, the largest hole that is one
FORGIVEN = 8.0  # pixels at 512 by which a coarse mask may be off


def label_error(sample: Sample) -> float:
    """The predicted error, in 0..1; −1 for a matte that was given and not made, and for what has none."""
    if not is_made(sample):
        return -1.0
    return predicted(signs(sample))


def is_made(sample: Sample) -> bool:
    """Whether the sample's matte was made of its picture; one that came with it needs no trust."""
    if sample.alpha is None or sample.foreground is None:
        return False
    return TRUST in sample.layers or sample.origin.kind != "composited"


def predicted(found: Mapping[str, float]) -> float:
    """The error that goes with these signs."""
    model = _models()["trust" if "deviation" in found else "no_trust"]
    log = model["bias"] + sum(weight * log_of(found[name]) for name, weight in model.items() if name in found)
    return min(1.0, math.exp(log))


def log_of(sign: float) -> float:
    """Of a sign that is a root mean square in 0..1."""
    return math.log(sign + LEAST)


def signs(sample: Sample) -> dict[str, float]:
    """What tells of an error, each in 0..1 and larger where there is more to doubt.

    deviation: what the trust map expects, where there is one.  inside: half-transparent deep inside the silhouette.
    loose: what is detached.  pinholes: small holes.  soft: how much of the open region is neither object nor screen.
    residual: by how much the composite misses the picture.  mask: by how much α contradicts the coarse mask.
    """
    alpha, foreground = sample.alpha, sample.foreground
    assert alpha is not None
    assert foreground is not None
    unit = as_unit(alpha)
    region = unknown(trimap_of(alpha))
    pixels = max(1, int(np.count_nonzero(region)))

    def over_region(squares: Floats | float) -> float:
        return math.sqrt(min(1.0, float(np.sum(squares, dtype=np.float64)) / pixels))

    mixed = np.square(2 * np.minimum(unit, 1 - unit))
    found = {
        "inside": over_region(mixed[deep_inside(alpha)]),
        "loose": over_region(np.square(unit[detached(alpha)])),
        "pinholes": over_region(np.square(1 - unit[pinholes(alpha)])),
        "soft": over_region(mixed),
        "residual": 0.0,
        "mask": 0.0,
    }
    if TRUST in sample.layers:
        expected = deviation_of(sample.layers[TRUST])
        found["deviation"] = min(1.0, float(expected.sum(dtype=np.float64)) / pixels)
    if sample.plate:
        plate = np.asarray(plate_picture(sample.plate, *alpha.shape) / 255, np.float32)
        missed = as_unit(sample.rgb) - composite(as_unit(foreground), unit, plate)
        beyond = np.maximum(np.abs(missed).max(axis=-1) - ROUNDING, 0)
        found["residual"] = over_region(np.square(beyond[region]))
    if sample.coarse is not None:
        about = disc(scaled(FORGIVEN, alpha.shape))
        nearest = np.clip(alpha, cv2.erode(sample.coarse, about), cv2.dilate(sample.coarse, about))
        found["mask"] = over_region(np.square(unit - as_unit(nearest)))
    return found


def deep_inside(alpha: Matte) -> Mask:
    """What the object encloses, at a distance from all that is open to the picture's border."""
    outside = open_to_border(alpha < PRESENT)
    return eroded(~outside, disc(scaled(DEEP, alpha.shape)))


def detached(alpha: Matte) -> Mask:
    """Pieces that are much smaller than the largest one."""
    _, label, stats, _ = cv2.connectedComponentsWithStats((alpha >= PRESENT).view(np.uint8), connectivity=8)
    pixels = stats[:, cv2.CC_STAT_AREA].copy()
    pixels[0] = 0
    small = pixels < MAIN * pixels.max(initial=1)
    small[0] = False
    return np.asarray(small[label], np.bool_)


def pinholes(alpha: Matte) -> Mask:
    """Small places in which the object is less than half there, all around it more."""
    number, label, stats, _ = cv2.connectedComponentsWithStats((alpha < 128).view(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] <= PINHOLE * max(1, int(np.count_nonzero(alpha >= 128)))
    small[0] = False
    for side in (label[0], label[-1], label[:, 0], label[:, -1]):
        small[side] = False
    return np.asarray(small[label], np.bool_) if number > 1 else np.zeros(alpha.shape, np.bool_)


@cache
def _models() -> dict[str, dict[str, float]]:
    models: dict[str, dict[str, float]] = json.loads(WEIGHTS.read_text())["models"]
    return models
