"""Trimaps of a clip from its masks: how far each border may be off is told by the masks of the neighbouring frames.

Neighbours' masks are brought along the motion between the frames, and the mask of a frame is the median of the three.
Each mask is a signed distance to its border; where the three are far apart, the median is little to be believed, and
the unknown band is as much wider. A mask that a segmenter lost or spoilt, which both neighbours contradict, has no say.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.motion import brought
from factory.matting.applying import UNKNOWN
from factory.matting.masks_to_trimaps import SURE
from factory.sample import Matte

Floats = NDArray[np.float32]

FARTHEST = 64.0  # pixels from a border, or as many times WIDEST and the band as …
FARTHER = 2.0  # … this; farther counts as this far
BELIEVED = 0.5  # of a motion; below it a neighbour has no say at a pixel
WIDEST = 3.0  # times its least width that a band may be on each side, where the masks agree about inside and outside
LOST = 0.5  # intersection ÷ union with what both neighbours say, below which a mask is taken for lost
NOTHING, ALL = 0, 255


class Vote(NamedTuple):
    """A neighbour's mask, where it lies there, and the way to it. way, belief: of greenscreen/motion.py."""

    mask: Floats
    way: Floats
    belief: Floats


def trimap_of(mask: Floats, beside: Sequence[Vote], band: float) -> Matte:
    """(H, W) of 0, 128 and 255.

    mask: (H, W) in 0..1.  beside: the neighbours' votes, as many as there are.  band: least width in pixels, on each
    side of the border.
    """
    brought_here = [brought(vote.mask, vote.way, cv2.INTER_LINEAR) for vote in beside]
    lost = _lost([mask, *brought_here])
    farthest = max(FARTHEST, FARTHER * WIDEST * band)
    own = None if lost == 0 else mask
    told = [] if own is None else [own]
    is_unknown = np.zeros(mask.shape, np.bool_)
    for number, (there, vote) in enumerate(zip(brought_here, beside, strict=True), start=1):
        if number == lost:
            continue
        is_believed = vote.belief >= BELIEVED
        told.append(there if own is None else np.where(is_believed, there, own).astype(np.float32))
        if own is None:
            is_unknown |= ~is_believed & (np.abs(signed_distance(there, farthest)) < WIDEST * band)
    # the frame's own mask has two votes against one neighbour's
    middle = np.median(np.stack(told if len(told) != 2 else [told[0], *told]), axis=0).astype(np.float32)
    distance = signed_distance(middle, farthest)
    apart = np.max([np.abs(signed_distance(each, farthest) - distance) for each in told], axis=0).astype(np.float32)
    wider = cv2.GaussianBlur(np.minimum(apart, (WIDEST - 1) * band), (0, 0), max(band / 2, 0.5))
    sides = np.stack([each > 0.5 for each in told])
    is_unknown |= sides.any(axis=0) != sides.all(axis=0)
    is_unknown |= (np.abs(distance) <= band + wider) | ((middle > SURE) & (middle < 1 - SURE))
    return np.where(is_unknown, UNKNOWN, np.where(distance > 0, ALL, NOTHING)).astype(np.uint8)


def signed_distance(mask: Floats, farthest: float) -> Floats:
    """(H, W) pixels to the border of the mask, positive inside, at most so many."""
    inside = (mask > 0.5).astype(np.uint8)
    if inside.all() or not inside.any():
        return np.full(mask.shape, farthest if inside.any() else -farthest, np.float32)
    inner, outer = (cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_5) for side in (inside, 1 - inside))
    return np.asarray(np.clip(np.where(inside, inner - 0.5, 0.5 - outer), -farthest, farthest), np.float32)


def _lost(masks: Sequence[Floats]) -> int | None:
    """Which of three masks is unlike both others, while these are like each other."""
    if len(masks) < 3:
        return None
    likeness = [_likeness(masks[i - 2], masks[i - 1]) for i in range(3)]  # of the two others
    lost = int(np.argmax(likeness))
    return lost if likeness[lost] >= LOST > max(likeness[:lost] + likeness[lost + 1 :]) else None


def _likeness(one: Floats, other: Floats) -> float:
    """Intersection ÷ union; of two empty ones 1."""
    a, b = one > 0.5, other > 0.5
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0
