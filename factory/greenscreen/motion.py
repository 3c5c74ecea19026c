"""Motion between two frames of a clip: where what a pixel shows lies in the other frame, and how far to believe it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.sample import Picture

Floats = NDArray[np.float32]

SMALLEST = 32  # pixels a side below which nothing is followed
SLACK = 1.0  # pixels by which there and back may miss, to be half believed, …
SLACK_OF_WAY = 0.02  # … and that much of the way more


def flow(here: Picture, there: Picture) -> Floats:
    """(H, W, 2): for each pixel of `here`, how far to the right and down it lies in `there`, in pixels.

    Dense inverse search (Kroeger et al., ECCV 2016). Its bytes depend on how many threads OpenCV has.
    """
    height, width = here.shape[:2]
    if min(height, width) < SMALLEST:
        return np.zeros((height, width, 2), np.float32)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    before, after = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (here, there))
    return np.asarray(search.calc(before, after, np.zeros((height, width, 2), np.float32)), np.float32)


def brought(there: Floats, way: Floats, interpolation: int = cv2.INTER_LANCZOS4) -> Floats:
    """What the other frame shows, moved to where it lies here. there: (H, W) or (H, W, C).  way: of `flow`."""
    height, width = way.shape[:2]
    down, across = np.mgrid[:height, :width].astype(np.float32)
    moved = cv2.remap(there, across + way[..., 0], down + way[..., 1], interpolation, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def belief(way: Floats, back: Floats) -> Floats:
    """(H, W) in 0..1: whether a pixel that goes there and comes back is where it was. way, back: of `flow`."""
    miss = way + brought(back, way, cv2.INTER_LINEAR)
    allowed = SLACK + SLACK_OF_WAY * np.hypot(way[..., 0], way[..., 1])
    return np.asarray(np.clip(1.5 - np.hypot(miss[..., 0], miss[..., 1]) / allowed, 0, 1), np.float32)
