"""α at luma's resolution where chroma has half of it (4:2:0): a small network joins what colour and luma know.

Colour tells object from screen, but subsampling blurs it and coding makes blocks of it. Luma keeps the edges, but it
cannot tell an edge of α from one in the object. What joins them depends on the shapes of hair, of rims and of a
codec's losses, so it is learned (edge_network.py). The network sees no colours, only what they say of α: so it is the
same for screens of every colour.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.evidence import Evidence, enlarged
from factory.greenscreen.separation import deviation
from factory.greenscreen.subsampling import LUMA

Floats = NDArray[np.float32]

LAYERS = 5  # convolutions of 3 × 3 at half the picture's size: each takes one pixel off every side
TILE = 64  # pixels of the squares that the picture is cut into; only those that hold an edge are looked at
REACH = 2 * LAYERS  # pixels about a tile that its result depends on
OVERSHOOT = (-0.5, 1.5)  # range of an α that is not yet clipped
GAIN = 4.0  # of the features that are not an α, to be of its size
AT_ONCE = 64  # tiles: bounds the memory that a large picture takes
CLEAR = 0.03  # α up to which, and from 1 less which on, a tile holds no edge


def features(seen: Evidence, picture: Floats) -> Floats:
    """What the network is told of each pixel. picture: (H, W, 3) in 0..1. Returns (6, H, W), of the order of 1."""
    clouds, plate = seen.clouds, np.asarray(cv2.transform(seen.behind.plate, LUMA), np.float32)
    contrast = np.asarray(cv2.transform(clouds.mean, LUMA), np.float32) - plate
    fields = (plate, contrast, deviation(LUMA[0], clouds), deviation(seen.field[..., :3], clouds))
    behind, contrast, shading, doubt = (enlarged(field, picture) for field in fields)
    luma = np.asarray(cv2.transform(picture, LUMA), np.float32)
    known = (
        np.clip(seen.alpha, *OVERSHOOT),
        np.clip(seen.apparent, *OVERSHOOT),
        GAIN * (luma - behind),
        GAIN * contrast,
        GAIN * shading,
        np.minimum(GAIN * doubt, 2),
    )
    return np.asarray(np.stack(known), np.float32)


def with_luma_edges(seen: Evidence, picture: Floats) -> Floats:
    """α with the edges of full resolution, not clipped. picture: (H, W, 3) in 0..1. Returns (H, W)."""
    from factory.greenscreen.edge_network import corrections  # noqa: PLC0415  (torch: a second, and only here)

    known = features(seen, picture)
    alpha: Floats = known[0].copy()
    height, width = alpha.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    beyond = ((REACH, rows * TILE - height + REACH), (REACH, columns * TILE - width + REACH))
    padded = np.pad(known, ((0, 0), *beyond), mode="edge")
    corners = [
        (top, left)
        for top in range(0, height, TILE)
        for left in range(0, width, TILE)
        if _holds_an_edge(alpha[top : top + TILE, left : left + TILE])
    ]
    side = TILE + 2 * REACH
    for first in range(0, len(corners), AT_ONCE):
        some = corners[first : first + AT_ONCE]
        tiles = np.stack([padded[:, top : top + side, left : left + side] for top, left in some])
        for (top, left), tile in zip(some, corrections(tiles), strict=True):
            part = alpha[top : top + TILE, left : left + TILE]
            part += tile[: part.shape[0], : part.shape[1]]
    return alpha


def _holds_an_edge(alpha: Floats) -> bool:
    return bool(alpha.max() > CLEAR and alpha.min() < 1 - CLEAR)
