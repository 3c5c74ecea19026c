"""A perceptual hash of the object alone, for finding near-duplicates.

The object is laid over grey, so that the screen has no say, and made 32 × 32. The hash keeps the signs of its lowest
frequencies in a DCT: 32 of luma and 16 of each chroma channel, because a generator's red and blue ball differ in
nothing else.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_unit
from factory.sample import Matte, Picture

SIDE = 32
LUMA_BITS = 32
CHROMA_BITS = 16
FREQUENCIES = np.array(sorted(np.ndindex(8, 8), key=lambda place: (sum(place), place)))  # from the corner outwards


def perceptual_hash(foreground: Picture, alpha: Matte) -> str:
    """64 bits as 16 hex digits; like pictures differ in few of them.  foreground: straight colour."""
    a = as_unit(alpha)
    ink = cv2.multiply(cv2.merge([a, a, a]), foreground.astype(np.float32) - 128)
    premultiplied = cv2.resize(ink, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    r, g, b = cv2.split(premultiplied)
    bits = np.concatenate(
        [_signs(r + g + b, LUMA_BITS), _signs(r - g, CHROMA_BITS), _signs(r + g - 2 * b, CHROMA_BITS)]
    )
    return np.packbits(bits).tobytes().hex()


def _signs(channel: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
    """Which of the `count` lowest frequencies lie above the median of them."""
    lowest = cv2.dct(channel)[FREQUENCIES[:count, 0], FREQUENCIES[:count, 1]]
    return np.asarray(lowest > np.median(lowest[1:]), np.bool_)
