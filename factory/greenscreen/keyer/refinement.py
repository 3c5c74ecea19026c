"""The fine pass: what colours, neighbours and the object's shape together say of each open pixel.

Every one of them has had its say about α, but by rules: an edge may be sharper than colours tell, a shape may be surer
than it was believed, a strand finer than either. How these go together is learned: a small network looks at tiles in
which something is open and says by how much α is to change. benchmarks/learn_refinement.py trains it on scenes like
those from which shapes are learned, keyed by this keyer.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.compositing import composite
from factory.greenscreen.keyer.evidence import Evidence
from factory.greenscreen.keyer.separation import deviation
from factory.greenscreen.keyer.shape import contradicted
from factory.greenscreen.keyer.subsampling import LUMA
from factory.greenscreen.keyer.tiles import TILE, over_tiles, tiles
from factory.greenscreen.morphology import dilated, square
from factory.greenscreen.resizing import enlarged

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

CLUES = 23
LAYERS = 4  # convolutions of 3 × 3 at half the picture's size: each takes one pixel off every side
REACH = 2 * LAYERS  # pixels about a tile that its result depends on, beside what the clues tell of farther ones
APART = 0.12  # by which single colours, or the shape, may contradict α where it is 0 or 1, and nothing is open
ABOUT = 3  # pixels about what is open that are open, too
STRAY = 4  # standard deviations of noise by which single colours may do so beside that
LOWERED = 0.1  # by which α is lowered at the most; without it own green MSE × 1.2
BELOW = 0.2  # how far below the shape's α is lowered at the most; without it reflections MSE × 1.1, studio × 1.2
UNLIKE = 0.02  # distance from the plate (0..1), beside noise, from which something else than the plate is seen
NEAR, WIDE = 6, 41  # pixels about one in which edges are looked for; across which its surroundings are averaged
ROOT = 1 / 255  # clues much smaller than this are 0, much larger ones count by their square roots
MOST = 1.5  # of a clue before that
LEAST = 1 / 255  # a change of α that is none: below it the network knows nothing


class Open(NamedTuple):
    """Where (H, W) something is open."""

    rise: Mask  # α may be too low
    fall: Mask  # α may be too high, and may be lowered
    doubt: Mask  # α may be off, whether it may change or not
    least: Floats  # to which α may be lowered


def what_is_open(seen: Evidence, picture: Floats, alpha: Floats, kept: Mask) -> Open:
    """Where α is mixed or single colours contradict it, and about there; also where the shape does.

    Where a screen may be drawn, colours tell α to the level, and nothing may change.
    What is all object by its colours is not lowered by a shape: what stands beside a screen may be the subject. What
    was taken off as garbage stays so, and so does what shows nothing but the plate.
    picture: (H, W, 3) in 0..1.  alpha: (H, W) the keyer's so far.  kept: (H, W) all but garbage.
    """
    near = APART + STRAY * seen.noise
    apart = (np.abs(np.clip(seen.alpha, 0, 1) - alpha) > near) | (alpha - seen.apparent > near)
    mixed = kept & dilated((alpha > 0) & (alpha < 1) | apart, square(ABOUT))
    there = largest_difference(picture, enlarged(seen.behind.plate, picture)) > UNLIKE + STRAY / 2 * seen.noise
    by_shape = enlarged(contradicted(alpha, seen.shape), alpha)
    more, other = (dilated(apart, square(ABOUT)) for apart in (there & (by_shape > APART), np.abs(by_shape) > APART))
    told = enlarged((seen.shape.alpha - BELOW) * seen.shape.seen, alpha)
    least = np.maximum(alpha - LOWERED, np.minimum(alpha, told))
    nothing = np.zeros_like(mixed)
    rise, fall = (mixed | kept & more, mixed) if seen.surely_filmed else (nothing, nothing)
    return Open(rise, fall, mixed | other, least)


def clues_of(seen: Evidence, picture: Floats, alpha: Floats) -> list[Floats]:
    """CLUES fields (H, W) in −MOST..MOST, scaled so that small differences are spread out: x to x / √(|x| + ROOT).

    picture: (H, W, 3) in 0..1.  alpha: (H, W) the keyer's so far.
    """
    behind = seen.behind
    plate, mean = enlarged(behind.plate, picture), enlarged(seen.clouds.mean, picture)
    by_colour = np.clip(seen.alpha, -MOST, MOST) - alpha
    expected = composite(mean, alpha, plate)
    luma = np.asarray(cv2.transform(picture, LUMA), np.float32)
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
        largest_difference(picture, expected),
        np.asarray(cv2.transform(picture - expected, LUMA), np.float32),
        luma - np.asarray(cv2.transform(plate, LUMA), np.float32),
        luma - np.asarray(cv2.transform(mean, LUMA), np.float32),
        _rise(luma, 1),
        largest_difference(picture, plate),
        _by_shape(seen, alpha),
        enlarged(seen.shape.alpha, alpha),
        enlarged(seen.shape.deviation, alpha),
        enlarged(seen.shape.own, alpha),
    ]
    everywhere = (seen.noise, behind.haze, behind.filmed, float(seen.half))
    return [
        *(scaled(np.asarray(np.clip(clue, -MOST, MOST), np.float32)) for clue in fields),
        *(np.full_like(alpha, scaled(np.full(1, min(one, MOST), np.float32))[0]) for one in everywhere),
    ]


def refined(known: list[Floats], where: Open, alpha: Floats) -> Floats:
    """α (H, W) in 0..1 with the network's change where it may change.

    known: see `clues_of`.  alpha: (H, W) the keyer's so far.
    """
    from factory.greenscreen.keyer.refinement_network import changes  # noqa: PLC0415  (torch: a second, and only here)

    corners = [
        (top, left) for top, left in tiles(*alpha.shape) if where.rise[top : top + TILE, left : left + TILE].any()
    ]
    change = over_tiles(known, corners, REACH, changes)
    change = np.sign(change) * np.maximum(np.abs(change) - LEAST, 0)
    change[(change > 0) & ~where.rise | (change < 0) & ~where.fall] = 0
    return np.asarray(np.clip(np.maximum(alpha + change, where.least), 0, 1), np.float32)


def scaled(clue: Floats) -> Floats:
    """Small differences spread out: x to x / √(|x| + ROOT)."""
    root = np.abs(clue)
    root += np.float32(ROOT)
    return np.divide(clue, np.sqrt(root, out=root), out=root)


def largest_difference(one: Floats, other: Floats) -> Floats:
    """(H, W) of two pictures (H, W, 3), in the channel that differs most."""
    red, green, blue = cv2.split(cv2.absdiff(one, other))  # `max` along the last axis takes ten times as long
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.float32)


def _by_shape(seen: Evidence, alpha: Floats) -> Floats:
    """By how much the shape says more than α, as far as anything but the plate is seen."""
    return np.asarray((enlarged(seen.shape.alpha, alpha) - alpha) * enlarged(seen.shape.seen, alpha), np.float32)


def _rise(field: Floats, radius: int) -> Floats:
    return np.asarray(cv2.dilate(field, square(radius)) - cv2.erode(field, square(radius)), np.float32)


def _around(field: Floats) -> Floats:
    return np.asarray(cv2.blur(field, (WIDE, WIDE)), np.float32)
