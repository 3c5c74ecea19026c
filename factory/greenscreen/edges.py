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
from factory.greenscreen.solid import shrunk_by
from factory.greenscreen.subsampling import LUMA

Floats = NDArray[np.float32]

LAYERS = 5  # convolutions of 3 × 3 at half the picture's size: each takes one pixel off every side
TILE = 64  # pixels of the squares that the picture is cut into; only those that hold an edge are looked at
REACH = 2 * LAYERS  # pixels about a tile that its result depends on
OVERSHOOT = (-0.5, 1.5)  # range of an α that is not yet clipped
GAIN = 4.0  # of the features that are not an α, to be of its size
MOST_DOUBT = 0.5  # σ of α beyond which it tells nothing more
AT_ONCE = 16  # tiles: what the network makes of them fits into a processor's cache
CLEAR = 0.05  # α up to which, and from 1 less which on, a tile holds no edge


def features(seen: Evidence, picture: Floats) -> list[Floats]:
    """What the network is told of each pixel: six fields (H, W) of the order of 1. picture: (H, W, 3) in 0..1."""
    clouds, plate = seen.clouds, np.asarray(cv2.transform(seen.behind.plate, LUMA), np.float32)
    contrast = np.asarray(cv2.transform(clouds.mean, LUMA), np.float32) - plate
    doubt = np.asarray(np.minimum(deviation(seen.field[..., :3], clouds), MOST_DOUBT), np.float32)
    luma = np.asarray(cv2.transform(picture, LUMA), np.float32)
    return [
        np.asarray(np.clip(seen.alpha, *OVERSHOOT), np.float32),
        np.asarray(np.clip(seen.apparent, *OVERSHOOT), np.float32),
        GAIN * (luma - enlarged(plate, picture)),
        *(GAIN * enlarged(field, picture) for field in (contrast, deviation(LUMA[0], clouds), doubt)),
    ]


def with_luma_edges(seen: Evidence, picture: Floats) -> Floats:
    """α with the edges of full resolution, not clipped. picture: (H, W, 3) in 0..1. Returns (H, W)."""
    from factory.greenscreen.edge_network import corrections  # noqa: PLC0415  (torch: a second, and only here)

    known = features(seen, picture)
    alpha = known[0].copy()
    corners = _corners(alpha, enlarged(shrunk_by(seen.solid, 3), picture))
    for first in range(0, len(corners), AT_ONCE):
        some = corners[first : first + AT_ONCE]
        tiles = np.stack([tile_of(known, *corner) for corner in some])
        for (top, left), tile in zip(some, corrections(tiles), strict=True):
            part = alpha[top : top + TILE, left : left + TILE]
            part += tile[: part.shape[0], : part.shape[1]]
    return alpha


def tile_of(fields: list[Floats], top: int, left: int, side: int = TILE) -> Floats:
    """A square of each field and what lies REACH about it, (6, side + 2·REACH, …); beyond the frame its rim goes on."""
    height, width = fields[0].shape
    ends = (top - REACH, top + side + REACH, left - REACH, left + side + REACH)
    inside = (max(ends[0], 0), min(ends[1], height), max(ends[2], 0), min(ends[3], width))
    parts = [field[inside[0] : inside[1], inside[2] : inside[3]] for field in fields]
    missing = [abs(a - b) for a, b in zip(ends, inside, strict=True)]
    if any(missing):
        beyond = (missing[:2], missing[2:])
        return np.stack([np.pad(part, beyond, mode="edge") for part in parts])
    return np.stack(parts)


def _corners(alpha: Floats, solid: Floats) -> list[tuple[int, int]]:
    """The tiles that hold an edge: neither all screen nor all solid."""
    corners = []
    for top in range(0, alpha.shape[0], TILE):
        for left in range(0, alpha.shape[1], TILE):
            part = (slice(top, top + TILE), slice(left, left + TILE))
            settled = float(solid[part].min()) == 1 or float(alpha[part].min()) >= 1 - CLEAR
            if float(alpha[part].max()) > CLEAR and not settled:
                corners.append((top, left))
    return corners
