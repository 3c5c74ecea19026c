"""Small pictures of samples for people's eyes.

Shrinking takes area averages, of a foreground premultiplied with its alpha; pictures below the wanted size are
enlarged smoothly, so that 64-pixel samples can be judged too.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.sample import Matte, Picture, Rejection
from factory.shards.encoding import encode_png

GAP = 4  # pixels between panes
SPRITE_MARGIN = 1
CHECKER_LEVELS = (226, 192)
CHECKERS = 12  # squares along a pane
EMPTY_LEVEL = 128  # grey where there is no picture
REJECTION_SIDE = 128
FAINTEST = 1 / 255  # α of a level


def strip(rgb: Picture, alpha: Matte, foreground: Picture, side: int) -> Picture:
    """Three square panes beside each other: rgb | alpha | the object over a checkerboard.

    rgb, foreground: (H, W, 3).  alpha: (H, W).  side: pixels of a pane.
    Returns (side, 3·side + 2·GAP, 3).
    """
    return beside([pane(rgb, side), pane(alpha, side), pane_over_checkerboard(foreground, alpha, side)])


def beside(panes: list[Picture]) -> Picture:
    """Panes of one height in a row, with gaps."""
    gap = np.full((panes[0].shape[0], GAP, 3), EMPTY_LEVEL, np.uint8)
    row = [picture for one in panes for picture in (one, gap)][:-1]
    return np.concatenate(row, axis=1)


def pane(picture: Picture | Matte, side: int) -> Picture:
    """A picture or matte as large as fits into a square, in its middle on neutral grey. Returns (side, side, 3)."""
    fitted = fit(picture, side)
    if fitted.ndim == 2:
        fitted = np.repeat(fitted[..., None], 3, axis=2)
    canvas = np.full((side, side, 3), EMPTY_LEVEL, np.uint8)
    _middle(canvas, fitted)[...] = fitted
    return canvas


def pane_over_checkerboard(foreground: Picture, alpha: Matte, side: int) -> Picture:
    """The cut-out object over grey squares. Returns (side, side, 3)."""
    straight, coverage = _fit_straight(foreground, alpha, side)
    painted = composite(as_unit(straight), as_unit(coverage), as_unit(checkerboard(*coverage.shape)))
    return pane(as_levels(painted), side)


def pane_over(foreground: Picture, alpha: Matte, ground: Picture) -> Picture:
    """The cut-out object, as large as fits, in the middle of a square ground (side, side, 3), which it covers."""
    straight, coverage = _fit_straight(foreground, alpha, ground.shape[0])
    painted = ground.copy()
    here = _middle(painted, straight)
    here[...] = as_levels(composite(as_unit(straight), as_unit(coverage), as_unit(here)))
    return painted


def checkerboard(height: int, width: int) -> Picture:
    """Light and darker grey squares, CHECKERS along the longer side. Returns (height, width, 3)."""
    square = max(1, round(max(height, width) / CHECKERS))
    y, x = np.indices((height, width)) // square
    levels = np.where((y + x) % 2 == 0, *CHECKER_LEVELS).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def fit(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture with its longer side `side` pixels long: area averages down, cubic interpolation up."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return picture
    return np.asarray(
        cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), np.uint8
    )


def sprite(rgb: Picture, alpha: Matte, foreground: Picture, side: int) -> NDArray[np.uint8]:
    """Two square panes in one RGBA picture: rgb | the object with its alpha, for a page that chooses the background.

    Each pane is `side` pixels and a margin that repeats its outermost ones: a browser that enlarges a pane and crops
    the margin mixes it with nothing else. Returns (side + 2·SPRITE_MARGIN, 2·(side + 2·SPRITE_MARGIN), 4).
    """
    straight, coverage = _fit_straight(foreground, alpha, side)
    picture = fit(rgb, side)
    panes = []
    for colour, opacity in ((picture, np.full(picture.shape[:2], 255, np.uint8)), (straight, coverage)):
        canvas = np.zeros((side, side, 4), np.uint8)
        _middle(canvas, colour)[...] = np.dstack([colour, opacity])
        margins = [(SPRITE_MARGIN, SPRITE_MARGIN), (SPRITE_MARGIN, SPRITE_MARGIN), (0, 0)]
        panes.append(np.pad(canvas, margins, mode="edge"))
    return np.concatenate(panes, axis=1)


def rejection_thumbnail(rejection: Rejection) -> bytes:
    """PNG of what a gate turned down: rgb | alpha, or the coarse mask where there is no alpha yet, or grey."""
    sample = rejection.sample
    mask = sample.alpha if sample.alpha is not None else sample.coarse
    if mask is None:
        mask = np.full(sample.rgb.shape[:2], EMPTY_LEVEL, np.uint8)
    return encode_png(beside([pane(sample.rgb, REJECTION_SIDE), pane(mask, REJECTION_SIDE)]))


def _middle(canvas: NDArray[np.uint8], picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The view in the middle of a canvas that the picture covers."""
    height, width = picture.shape[:2]
    top, left = (canvas.shape[0] - height) // 2, (canvas.shape[1] - width) // 2
    return canvas[top : top + height, left : left + width]


def _fit_straight(foreground: Picture, alpha: Matte, side: int) -> tuple[Picture, Matte]:
    """Foreground and alpha resized together: colour weighs as much as it covers."""
    coverage = fit(alpha, side)
    if coverage.shape == alpha.shape:
        return foreground, alpha
    ink = np.asarray(cv2.multiply(foreground, cv2.merge([alpha] * 3), scale=1 / 255), np.uint8)
    premultiplied = fit(ink, side).astype(np.float32)
    straight = premultiplied / np.maximum(as_unit(coverage)[..., None], FAINTEST)
    return np.rint(np.clip(straight, 0, 255)).astype(np.uint8), coverage
