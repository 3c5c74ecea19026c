"""How far α may be off: the error that is to be expected of it, pixel by pixel.

Colours, neighbours and the object's shape leave something open of every pixel: how far the functional's α lies from the
keyer's, what it doubts, how steep the edge is, what noise and halved chroma blur, by how much the composite misses the
picture, what the shape says. None of these is an error by itself; how large an error goes with them is told by a small
regression, of each pixel by itself, which benchmarks/learn_deviation.py fits to scenes whose α is known.
"""

from functools import cache
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.compositing import composite
from factory.greenscreen.keyer.evidence import Evidence
from factory.greenscreen.keyer.separation import deviation
from factory.greenscreen.keyer.subsampling import LUMA
from factory.greenscreen.morphology import dilated, square
from factory.greenscreen.resizing import enlarged

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Layers: TypeAlias = list[tuple[Floats, Floats]]  # weights (in, out) and bias (out,)

WEIGHTS = Path(__file__).with_name("deviation.npz")
CLUES = 17
APART = 0.12  # by which single colours, or the shape, may contradict α where it is 0 or 1, and nothing is open
ABOUT = 3  # pixels about what is open that are open, too
STRAY = 4  # standard deviations of noise by which single colours may do so beside that
NEAR, WIDE = 6, 41  # pixels about one in which edges are looked for; across which its surroundings are averaged
ROOT = 1 / 255  # clues much smaller than this are 0, much larger ones count by their square roots
MOST = 1.5  # of a clue before that
HALF_A_LEVEL = 0.5 / 255  # the least error: what is expected to be smaller is none


def expected_error(seen: Evidence, picture: Floats, alpha: Floats, foreground: Floats) -> Floats:
    """(H, W) the |error| that α is expected to have, in 0..1: in nine of ten pixels it has no more than twice that.

    It is 0 where α is 0 or 1 and nothing contradicts it.
    picture: (H, W, 3) in 0..1.  alpha, foreground: (H, W), (H, W, 3) the keyer's, made of that evidence.
    """
    where = open_pixels(seen, alpha)
    error = np.zeros_like(alpha)
    if where.any():
        known = clues_of_error(seen, picture, alpha, foreground)
        error[where] = regression(np.stack([clue[where] for clue in known], axis=-1), _layers())
    return error


def open_pixels(seen: Evidence, alpha: Floats) -> Mask:
    """(H, W) where α may be off: where it is mixed or contradicted, and about there."""
    near = APART + STRAY * seen.noise
    apart = (np.abs(np.clip(seen.alpha, 0, 1) - alpha) > near) | (alpha - seen.apparent > near)
    mixed = (alpha > 0) & (alpha < 1)
    if seen.shape is not None:
        apart |= np.abs(_by_shape(seen, alpha)) > APART
    return dilated(mixed | apart, square(ABOUT))


def clues_of_error(seen: Evidence, picture: Floats, alpha: Floats, foreground: Floats) -> list[Floats]:
    """CLUES fields (H, W) in about −1.5..1.5, not yet scaled. Arguments as of `expected_error`."""
    behind = seen.behind
    by_colour = np.clip(seen.alpha, -MOST, MOST) - alpha
    missed = np.abs(picture - composite(foreground, alpha, enlarged(behind.plate, picture))).max(axis=-1)
    luma = np.asarray(cv2.transform(picture, LUMA), np.float32)
    everywhere = np.ones_like(alpha)
    if seen.shape is None:
        by_shape, unsure = np.zeros_like(alpha), np.zeros_like(alpha)
    else:
        by_shape, unsure = _by_shape(seen, alpha), enlarged(seen.shape.deviation, alpha)
    fields = [
        alpha,
        1 - alpha,
        _rise(alpha, 1),
        _rise(alpha, NEAR),
        _around(4 * alpha * (1 - alpha)),
        by_colour,
        _around(np.abs(by_colour)),
        np.clip(seen.apparent, -MOST, MOST) - alpha,
        enlarged(deviation(seen.field[..., :3], seen.clouds), alpha),
        missed,
        _rise(luma, 1),
        by_shape,
        unsure,
        seen.noise * everywhere,
        behind.haze * everywhere,
        behind.filmed * everywhere,
        float(seen.half) * everywhere,
    ]
    return [np.asarray(np.clip(clue, -MOST, MOST), np.float32) for clue in fields]


def regression(clues: Floats, layers: Layers) -> Floats:
    """(N,) expected |error| in 0..1 of pixels with these clues (N, CLUES)."""
    x = scaled(clues)
    for weights, bias in layers[:-1]:
        x = np.maximum(x @ weights + bias, 0)
    log_of_twice = (x @ layers[-1][0] + layers[-1][1])[:, 0]
    error = (np.exp(np.minimum(log_of_twice, 0)) - HALF_A_LEVEL) / 2
    return np.asarray(np.where(error < HALF_A_LEVEL, 0, error), np.float32)


def scaled(clues: Floats) -> Floats:
    """Small differences spread out: x to x / √(|x| + ROOT)."""
    return np.asarray(clues / np.sqrt(np.abs(clues) + ROOT), np.float32)


def _by_shape(seen: Evidence, alpha: Floats) -> Floats:
    """By how much the shape says more than α, as far as anything but the plate is seen."""
    assert seen.shape is not None
    return np.asarray((enlarged(seen.shape.alpha, alpha) - alpha) * enlarged(seen.shape.seen, alpha), np.float32)


def _rise(field: Floats, radius: int) -> Floats:
    return np.asarray(cv2.dilate(field, square(radius)) - cv2.erode(field, square(radius)), np.float32)


def _around(field: Floats) -> Floats:
    return np.asarray(cv2.blur(field, (WIDE, WIDE)), np.float32)


@cache
def _layers() -> Layers:
    with np.load(WEIGHTS) as file:
        return [(file[f"weights_{i}"], file[f"bias_{i}"]) for i in range(len(file.files) // 2)]
