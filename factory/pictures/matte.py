"""A matte in a file of its own, in whatever form people store one: its bytes in, 8-bit coverage out, or a fault."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from factory.errors import DataError
from factory.pictures.picture import open_picture, upright
from factory.sample import Matte

Levels = NDArray[np.uint8]

COLOURLESS = 1.0  # levels by which channels of a grey picture may differ on average (JPEG), …
STRAY = 12  # … and in all but 1 % of the pixels
STEP = 8  # pixels between those that are looked at first, and nearly always tell
TRIMAP, UNCERTAIN = (0, 128, 255), (0, 2, 0)  # its levels, and by how much they may differ
PARTING = 0.8  # share of the pixels about its 255 that a trimap has at 128
FULL, CLEAR = 0.98, 0.5  # mean α of a side that is covered, and of a middle that is not


def decode_matte(data: bytes) -> Matte:
    """(H, W) uint8 coverage, as `decode_levels` reads it, of an object that is there and not everywhere.

    DataError kinds beside its own: range, empty, opaque, trimap.
    """
    alpha = decode_levels(data)
    most = int(alpha.max())
    if not most:
        raise DataError("empty", "the matte is black everywhere")
    if most == 1:
        raise DataError("range", "the matte's brightest value is 1 of 255: multiply its values, or store 1-bit pixels")
    if alpha.min() == 255:
        raise DataError("opaque", "the matte is white everywhere: nothing was cut out")
    refuse_trimap(alpha)
    return alpha


def decode_levels(data: bytes) -> Matte:
    """(H, W) uint8, upright: greys of 1, 8 and 16 bits, palettes and RGB without colour, alpha channels, JPEG.

    Levels are taken as they are: a colour profile has no say in coverage. Of a grey picture with alpha the one that
    varies is the matte.  DataError kinds: undecodable, too_large, depth, no_matte.
    """
    return _matte(upright(open_picture(data), data))


def refuse_trimap(alpha: Matte) -> None:
    """Raise DataError("trimap") for a matte of 0, 128 and 255 alone, in which 128 parts nearly all of the others.

    Soft edges have more levels; in flat drawings with a shadow or a pane of that level, 0 and 255 touch.
    """
    if len(_levels(alpha[::STEP, ::STEP])) > len(TRIMAP):
        return
    levels = _levels(alpha)
    if len(levels) != len(TRIMAP) or (abs(levels - TRIMAP) > UNCERTAIN).any():
        return
    is_full = alpha == 255
    rim = (cv2.dilate(is_full.view(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~is_full
    if alpha[rim].astype(bool).mean() >= PARTING:
        raise DataError("trimap", f"its only levels are 0, {levels[1]} and 255: that is a trimap, not a matte")


def _levels(alpha: Matte) -> NDArray[np.intp]:
    return np.flatnonzero(cv2.calcHist([np.ascontiguousarray(alpha)], [0], None, [256], [0, 256]))


def looks_inverted(alpha: Matte) -> bool:
    """Whether background and object were probably swapped: three sides are covered whole, and the middle is clear.

    An object that fills a picture's borders and leaves its middle free is rare; a bust whose shoulders are cut by one
    side is not, so one side may be anything.
    """
    height, width = alpha.shape
    sides = (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1])
    covered = sum(bool(side.mean() >= FULL * 255) for side in sides)
    middle = alpha[height // 3 : height - height // 3, width // 3 : width - width // 3]
    return covered >= 3 and middle.size > 0 and bool(middle.mean() <= CLEAR * 255)


def _matte(image: Image.Image) -> Matte:
    """The one channel that carries the matte."""
    if image.mode in {"1", "L"}:
        return np.asarray(image.convert("L"), np.uint8)
    if not image.has_transparency_data:
        return _grey(np.asarray(image.convert("RGB"), np.uint8))
    rgba = np.asarray(image.convert("RGBA"), np.uint8)
    colour, alpha = rgba[..., :3], np.ascontiguousarray(rgba[..., 3])
    grey_varies = _is_grey(colour) and bool(np.ptp(colour[..., 1]))
    if grey_varies and np.ptp(alpha):
        return _either(_grey(colour), alpha)
    return alpha if np.ptp(alpha) else _grey(colour)


def _either(grey: Matte, alpha: Matte) -> Matte:
    """The matte of a picture that carries it twice."""
    if np.abs(grey.astype(np.int16) - alpha).mean() <= COLOURLESS:
        return alpha
    raise DataError("no_matte", "its greys and its alpha channel are two different mattes: keep one of them")


def _grey(colour: Levels) -> Matte:
    if not _is_grey(colour):
        raise DataError("no_matte", "it is a picture in colours where a grey matte was expected")
    return np.ascontiguousarray(colour[..., 1])


def _is_grey(colour: Levels) -> bool:
    """Whether the channels of (H, W, 3) are the same, but for a JPEG's small errors."""
    red, green, blue = colour[..., 0], colour[..., 1], colour[..., 2]
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return True
    spread = np.ptp(colour, axis=-1)
    return bool(spread.mean() <= COLOURLESS and np.percentile(spread, 99) <= STRAY)
