"""Flicker of a matte without the truth: how much α changes along the motion of what it covers."""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_unit
from factory.greenscreen.motion import belief, brought, flow
from factory.sample import Matte, Picture

SAME = 0.08  # mean difference of two foregrounds up to which they show the same
BELIEVED = 0.5


def flicker(before: tuple[Picture, Matte], after: tuple[Picture, Matte]) -> float:
    """Mean |α₂ − α₁ brought along| in 0..1, over pixels that are neither all object nor all screen in both frames.

    Only where the motion is believed and the foreground is the same along it: what turns, appears or is uncovered
    changes its α by right. 0 where no such pixel is.  before, after: straight foreground and α of consecutive frames.
    """
    earlier, later = _shown(*before), _shown(*after)
    way = flow(later, earlier)
    alpha, was = as_unit(after[1]), np.clip(brought(as_unit(before[1]), way, cv2.INTER_CUBIC), 0, 1)
    colour = np.abs(brought(as_unit(before[0]), way, cv2.INTER_LINEAR) - as_unit(after[0])).mean(axis=2)
    rim: NDArray[np.bool_] = (np.maximum(alpha, was) > 0.5 / 255) & (np.minimum(alpha, was) < 254.5 / 255)
    rim &= (belief(way, flow(earlier, later)) >= BELIEVED) & (colour <= SAME)
    return float(np.abs(alpha - was)[rim].mean()) if rim.any() else 0.0


def _shown(foreground: Picture, alpha: Matte) -> Picture:
    """The object before grey, so that motion is that of the object alone."""
    cover = as_unit(alpha)[..., None]
    return np.asarray(np.rint(foreground * cover + 128 * (1 - cover)), np.uint8)
