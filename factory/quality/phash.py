"""Perceptual hashes of the object alone, for finding near-duplicates.

The object is laid over grey, so that the screen has no say, and averaged over the cells of a coarse grid. A bit says
whether a cell is clearly lighter, or clearly darker, than the next one; of α, whether it covers its cell; and of
colour, to which side of grey a cell clearly lies, because a generator's red and blue ball differ in nothing else. No
bit hangs on less than some levels: noise and coding turn few of them, and a head that turns changes those of its cells.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_unit
from factory.sample import HASH_BITS, Matte, Picture

LIGHT_CELLS, COVER_CELLS, COLOUR_CELLS = 10, 8, 4  # a side
LIGHTER = 4.0  # levels by which a cell must be lighter or darker than the next
COLOURFUL = 10.0  # levels by which a cell's channels must differ
LEAST = 0.1  # α of a cell that its colour is divided by at the least
COVERED = 0.5  # α of a cell from which it is the object's
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
GREY = 128

EARLIER_SIDE = 32
EARLIER_FREQUENCIES = np.array(sorted(np.ndindex(8, 8), key=lambda place: (sum(place), place)))  # from the corner on


def perceptual_hash(foreground: Picture, alpha: Matte) -> str:
    """HASH_BITS as hex digits; like pictures differ in few of them.  foreground: straight colour."""
    ink, cover = _over_grey(foreground, alpha), as_unit(alpha)
    light = _cells(ink, LIGHT_CELLS) @ LUMA
    steps = np.concatenate([np.diff(light, axis=axis).ravel() for axis in (0, 1)])
    shown = np.maximum(_cells(cover, COLOUR_CELLS), LEAST)[..., None]
    red, green, blue = cv2.split(_cells(ink, COLOUR_CELLS) / shown)
    colour = np.concatenate([(red - blue).ravel(), (2 * green - red - blue).ravel()])
    bits = [steps > LIGHTER, steps < -LIGHTER, _cells(cover, COVER_CELLS).ravel() > COVERED]
    bits += [colour > COLOURFUL, colour < -COLOURFUL]
    digits = np.packbits(np.concatenate(bits)).tobytes().hex()
    if 4 * len(digits) != HASH_BITS:
        raise AssertionError(f"a hash has {4 * len(digits)} bits, and {HASH_BITS} are declared")
    return digits


def earlier_hash(foreground: Picture, alpha: Matte) -> str:
    """The 64 bits (16 hex digits) that sets made before have, to find pictures in them.

    Signs of the lowest frequencies in a DCT: 32 of luma, 16 of each chroma channel. They do not see a head turn.
    """
    side = (EARLIER_SIDE, EARLIER_SIDE)
    r, g, b = cv2.split(cv2.resize(_over_grey(foreground, alpha), side, interpolation=cv2.INTER_AREA))
    bits = np.concatenate([_signs(r + g + b, 32), _signs(r - g, 16), _signs(r + g - 2 * b, 16)])
    return np.packbits(bits).tobytes().hex()


def _over_grey(foreground: Picture, alpha: Matte) -> NDArray[np.float32]:
    """(H, W, 3) how far the object laid over grey lies from it, in levels."""
    a = as_unit(alpha)
    return np.asarray(cv2.multiply(cv2.merge([a, a, a]), foreground.astype(np.float32) - GREY), np.float32)


def _cells(picture: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """The mean of each cell of a grid."""
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def _signs(channel: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
    """Which of the `count` lowest frequencies lie above the median of them."""
    lowest = cv2.dct(channel)[EARLIER_FREQUENCIES[:count, 0], EARLIER_FREQUENCIES[:count, 1]]
    return np.asarray(lowest > np.median(lowest[1:]), np.bool_)
