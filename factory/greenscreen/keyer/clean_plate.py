"""The clean plate of a clip: the screen as the camera would see it without anything in front, over time and space.

Kept small and 16-bit: a screen's light is smooth, and a plate goes into the frozen table with its clip.
A polynomial of 2nd order finds which pixels are the screen and spans what is never seen; on it lies a smooth field of
how the screen's true light differs from it. A drawn screen is of one colour: what differs is haze, to be seen as such.
"""

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.equation import plate_basis
from factory.errors import DataError
from factory.greenscreen.compositing import as_levels
from factory.greenscreen.filling import blurred, fill
from factory.greenscreen.keyer.light import FILMED
from factory.greenscreen.keyer.screen import Screen, along_border, evenly, screen_pixels, shrunk
from factory.greenscreen.keying import screen_axis
from factory.greenscreen.morphology import eroded, square
from factory.greenscreen.plates import least_squares
from factory.greenscreen.sampling import evenly_chosen

Floats = NDArray[np.float32]
Picture16: TypeAlias = NDArray[np.uint16]  # (h, w, 3), 0..65535 = 0..1

# By how much another number moves plates was seen on the 42 pictures of benchmarks/keyer.py.
LONG_SIDE = 320  # pixels: light is smooth, and the plate of every clip lies in the plan
FRAMES = 24  # frames that a plate is made of, evenly over those given
SMOOTH = 4.0  # σ in the plate's pixels: what is finer is noise, creases and tracking marks; 1 moves plates by 4 levels
NEARBY = 0.05  # of a place's surroundings that must be seen for a mean of them; 0.5 moves plates by up to 5 levels
TOP = 65535  # the 16-bit level that is 1
LEVEL = 1 / 255  # a level, by which rounding may move a screen pixel in the fit, …
SLACK = 0.25 / 255  # … and a quarter of one for the median over frames
STRAY = 3  # multiples of the spread that the screen may lie from the polynomial; 6 move plates by up to 23 levels
LIT = 0.2  # of the screen's pixels are taken to be in its full light, at the least
MARGIN = 2  # pixels of the plate that sure screen keeps from everything else
LEAST = 0.01  # of the plate that must be seen on one frame or another
EVEN = 1.5  # levels of spread up to which a screen has no light but the polynomial's; 0 moves plates by up to 7 levels
UNEVEN = 8.0  # by how much of the spread beyond that the light may stray
FIT_PIXELS = 8192  # of all frames together; all of them would move plates by up to 1.4 levels
FIT_ROUNDS = 8  # 30 give the same plates
ONE_COLOUR = 0.5  # of the screen along the border that has a drawn screen's one colour
LEAST_BORDER = 64  # pixels of screen along the border from which that can be told
NARROW = 0.008  # distance from the envelope (0..1) that a screen without light of its own keeps to: two levels
ENVELOPE = 0.98  # expectile of the screen's colour that the fit starts from; the mean moves plates by up to 21 levels
ENVELOPE_ROUNDS = 12  # 40 give the same plates, and so do 4


def clean_plate(frames: Sequence[Floats], screen: Screen) -> Picture16:
    """The screen behind everything: for each place the median over the frames in which it is surely seen.

    Places that are never seen are filled from around them.  frames: (H, W, 3) in 0..1, all of one size.
    Returns (h, w, 3) of a long side of at most 320.  Raises DataError("no_screen") if hardly any screen is seen.
    """
    small = np.stack([shrunk(frame, LONG_SIDE) for frame in evenly(frames, FRAMES)])
    seen = np.stack([sure_screen(picture, screen) for picture in small])
    if np.count_nonzero(seen.any(axis=0)) < LEAST * seen[0].size:
        raise DataError("no_screen", f"only {seen.any(axis=0).mean():.1%} of the picture is surely screen")
    drawn = _drawn_colour(small, seen) if screen.noise < FILMED[0] else None
    if drawn is not None:
        return _as_16_bit(np.broadcast_to(drawn, small[0].shape))
    trend, spread = _trend(small, seen, screen)
    reach = SLACK + STRAY * spread + UNEVEN * max(0.0, spread - (EVEN + screen.noise) / 255)
    near = np.abs(small - trend).max(axis=-1) <= reach
    seen &= near
    ever = seen.any(axis=0)
    middle = np.zeros_like(trend)
    middle[ever] = np.nanmedian(np.where(seen[..., None], small - trend, np.nan)[:, ever], axis=0)
    plate = trend + smoothed(np.asarray(middle, np.float32), np.asarray(ever, np.float32))
    return _as_16_bit(plate)


def _drawn_colour(small: Floats, seen: NDArray[np.bool_]) -> Floats | None:
    """(3,) the one colour, to the level, of most of the border of a screen without noise; None where there is no such.

    small: (N, h, w, 3) in 0..1.  seen: (N, h, w) where the screen surely is.
    """
    border = as_levels(small[seen & along_border(seen.shape[1:])])
    if len(border) < LEAST_BORDER:
        return None
    levels, count = np.unique(border, axis=0, return_counts=True)
    return None if count.max() < ONE_COLOUR * len(border) else np.asarray(levels[np.argmax(count)] / 255, np.float32)


def _trend(small: Floats, seen: NDArray[np.bool_], screen: Screen) -> tuple[Floats, float]:
    """The polynomial through the screen's light, and the spread about it that is left (0..1).

    Haze, smoke and shadow all take screen colour away and nothing adds any, so the fit starts from the upper envelope
    of the screen's colour (an expectile) and then keeps to the pixels that agree with it.
    """
    height, width = small.shape[1:3]
    where = evenly_chosen(np.flatnonzero(seen), FIT_PIXELS)
    pixels = small.reshape(-1, 3)[where].astype(np.float64)
    everywhere = plate_basis(height, width).reshape(height * width, -1)
    basis = everywhere[where % (height * width)].astype(np.float64)
    axis = screen_axis(screen.unit).astype(np.float64)
    amount = pixels @ axis
    weight = np.ones(len(where))
    for _ in range(ENVELOPE_ROUNDS):
        envelope = basis @ least_squares(basis, amount, weight)
        weight = np.where(amount > envelope, ENVELOPE, 1 - ENVELOPE)
    away = np.abs(envelope - amount)
    below = np.maximum(envelope - amount, 0)
    agree = away <= max(NARROW, float(np.quantile(below, LIT)))
    if not agree.any():  # of a few pixels many may lie above the envelope, and none near it
        agree = away <= np.quantile(away, LIT)
    for _ in range(FIT_ROUNDS):
        coefficients = least_squares(basis, pixels, agree.astype(np.float64))
        error = np.abs(pixels - basis @ coefficients).max(axis=1)
        spread = float(np.median(error[agree]))
        agree = error <= LEVEL + STRAY * spread
    trend = (everywhere @ coefficients.astype(np.float32)).reshape(height, width, 3)
    return np.clip(trend, 0, 1), spread


def _as_16_bit(plate: Floats) -> Picture16:
    return np.asarray(np.rint(np.clip(plate, 0, 1) * TOP), np.uint16)


def plate_at(plate: Picture16, height: int, width: int) -> Floats:
    """The plate in 0..1 at a picture's size. Returns (height, width, 3)."""
    unit = np.divide(plate, TOP, dtype=np.float32)
    return np.asarray(cv2.resize(unit, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def sure_screen(picture: Floats, screen: Screen) -> NDArray[np.bool_]:
    """Pixels of the screen's own colour under any light, at a distance from all others."""
    return eroded(screen_pixels(picture, screen.unit), square(MARGIN))


def smoothed(values: Floats, weight: Floats) -> Floats:
    """Known values averaged with their neighbours, unknown ones filled from around. (h, w, 3), (h, w)."""
    near, mass = blurred(values, weight, SMOOTH)
    return fill(near, np.asarray(mass > NEARBY, np.float32))
