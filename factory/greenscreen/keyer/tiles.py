"""Networks that look at pictures in tiles, only where something is open: of any size, without seams."""

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

TILE = 64  # pixels of the squares that a picture is cut into
AT_ONCE = 16  # tiles: what a network makes of them fits into a processor's cache


def over_tiles(
    fields: Sequence[Floats],
    corners: Sequence[tuple[int, int]],
    reach: int,
    network: Callable[[Floats], Floats],
) -> Floats:
    """(H, W) what a network makes of these fields (H, W) in these tiles, and 0 elsewhere.

    corners: (top, left) of each tile.  reach: pixels about a tile that its result depends on.
    network: (N, C, TILE + 2·reach, TILE + 2·reach) → (N, TILE, TILE).
    """
    made = np.zeros_like(fields[0])
    for first in range(0, len(corners), AT_ONCE):
        some = corners[first : first + AT_ONCE]
        seen = np.stack([tile_of(fields, *corner, TILE, reach) for corner in some])
        for (top, left), tile in zip(some, network(seen), strict=True):
            part = made[top : top + TILE, left : left + TILE]
            part[:] = tile[: part.shape[0], : part.shape[1]]
    return made


def tile_of(fields: Sequence[Floats], top: int, left: int, side: int, reach: int) -> Floats:
    """A square of each field and what lies about it, (…, side + 2·reach, …); beyond the frame its rim goes on."""
    height, width = fields[0].shape
    ends = (top - reach, top + side + reach, left - reach, left + side + reach)
    inside = (max(ends[0], 0), min(ends[1], height), max(ends[2], 0), min(ends[3], width))
    parts = [field[inside[0] : inside[1], inside[2] : inside[3]] for field in fields]
    above, below, before, after = (abs(a - b) for a, b in zip(ends, inside, strict=True))
    rims = (above, below, before, after)
    if not any(rims):
        return np.stack(parts)
    return np.asarray([cv2.copyMakeBorder(part, *rims, cv2.BORDER_REPLICATE) for part in parts], np.float32)


def tiles(height: int, width: int) -> Iterator[tuple[int, int]]:
    """The corners of all tiles of a picture."""
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            yield top, left
