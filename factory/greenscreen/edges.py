"""α with what a pixel's neighbours tell: a small network corrects what its colour alone says.

Where chroma has half of luma's resolution (4:2:0), colour tells object from screen, but it is blurred, and coding makes
blocks of it; luma keeps the edges, but it cannot tell an edge of α from one in the object. Before a drawn screen a
little green of the object's own and a little of the screen shining through give the same pixel, and how a shape and a
texture go on tells them apart. All this depends on the shapes of hair, of rims and of a codec's losses, so it is
learned (edge_network.py), for either case by itself. The network sees colours only as they lie to the screen's, so it
is the same for screens of every colour.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.evidence import Evidence, enlarged
from factory.greenscreen.keying import screen_axis
from factory.greenscreen.separation import deviation
from factory.greenscreen.solid import shrunk_by
from factory.greenscreen.subsampling import LUMA

Floats = NDArray[np.float32]

LAYERS = 5  # convolutions of 3 × 3 at half the picture's size: each takes one pixel off every side
TILE = 64  # pixels of the squares that the picture is cut into; only those that hold an edge are looked at
REACH = 2 * LAYERS  # pixels about a tile that its result depends on, beside what the features tell of farther ones
OVERSHOOT = (-0.5, 1.5)  # range of an α that is not yet clipped
GAIN = 4.0  # of the features that are not an α, to be of its size
MOST_DOUBT = 0.5  # σ of α beyond which it tells nothing more
ABOUT = 41  # pixels across which a pixel's surroundings are averaged
DEEP = 48.0  # pixels from the outside at which a pixel is as deep inside an object as it gets
RAISED = 0.5  # of a greater α at a rim: things learned from are more opaque there than glass and generated mattes are
RIM, INNER = 8.0, 32.0  # pixels from the outside up to which that holds, and from which all is taken
AT_ONCE = 16  # tiles: what the network makes of them fits into a processor's cache
CLEAR = (0.005, 0.05)  # (drawn, half) α up to which, and from 1 less which on, a tile holds no edge


def features(seen: Evidence, picture: Floats) -> list[Floats]:
    """What the network is told of each pixel: fields (H, W) of the order of 1, the first of them 1 − α.

    Six for chroma of half resolution, ten for a drawn screen.  picture: (H, W, 3) in 0..1.
    """
    luma, contrast = _beside_screen(seen, picture, LUMA)
    clouds, doubt = seen.clouds, np.minimum(deviation(seen.field[..., :3], seen.clouds), np.float32(MOST_DOUBT))
    known = [np.asarray(1 - np.clip(alpha, *OVERSHOOT), np.float32) for alpha in (seen.alpha, seen.apparent)]
    known += [luma, contrast, *(GAIN * enlarged(field, picture) for field in (deviation(LUMA[0], clouds), doubt))]
    return known if seen.half else known + _more(seen, picture)


def corrected(seen: Evidence, picture: Floats) -> Floats:
    """α (H, W) as the network has it, not clipped; for chroma of half resolution or a drawn screen.

    picture: (H, W, 3) in 0..1.
    """
    from factory.greenscreen.edge_network import corrections  # noqa: PLC0415  (torch: a second, and only here)

    known = features(seen, picture)
    alpha = 1 - known[0]
    change = np.zeros_like(alpha)
    settled = seen.solid if seen.half else np.zeros_like(seen.solid)  # on a drawn screen what is solid may have gaps
    solid = enlarged(shrunk_by(settled, 3), picture)
    corners = _corners(alpha, solid, CLEAR[seen.half])
    for first in range(0, len(corners), AT_ONCE):
        some = corners[first : first + AT_ONCE]
        tiles = np.stack([tile_of(known, *corner) for corner in some])
        for (top, left), tile in zip(some, corrections(tiles, half=seen.half), strict=True):
            part = change[top : top + TILE, left : left + TILE]
            part[:] = tile[: part.shape[0], : part.shape[1]]
    if seen.drawn:
        change *= np.where(change > 0, _trust(DEEP * known[-1]), 1)
    return alpha + change


def tile_of(fields: list[Floats], top: int, left: int, side: int = TILE) -> Floats:
    """A square of each field and what lies REACH about it, (…, side + 2·REACH, …); beyond the frame its rim goes on."""
    height, width = fields[0].shape
    ends = (top - REACH, top + side + REACH, left - REACH, left + side + REACH)
    inside = (max(ends[0], 0), min(ends[1], height), max(ends[2], 0), min(ends[3], width))
    parts = [field[inside[0] : inside[1], inside[2] : inside[3]] for field in fields]
    missing = [abs(a - b) for a, b in zip(ends, inside, strict=True)]
    if any(missing):
        beyond = (missing[:2], missing[2:])
        return np.stack([np.pad(part, beyond, mode="edge") for part in parts])
    return np.stack(parts)


def _trust(depth: Floats) -> Floats:
    """The share of a greater α that is taken at so many pixels from the outside."""
    return np.asarray(RAISED + (1 - RAISED) * np.clip((depth - RIM) / (INNER - RIM), 0, 1), np.float32)


def _more(seen: Evidence, picture: Floats) -> list[Floats]:
    """Features for a drawn screen: the rest of the colour, and the surroundings."""
    axis = screen_axis(seen.behind.colour)
    across = np.cross(axis, LUMA[0])  # to the screen's chroma and to luma
    colour, contrast = _beside_screen(seen, picture, np.asarray(across / np.linalg.norm(across), np.float32)[None])
    alpha = np.asarray(np.clip(seen.alpha, 0, 1), np.float32)
    depth = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    return [
        colour,
        contrast,
        np.asarray(1 - cv2.blur(alpha, (ABOUT, ABOUT)), np.float32),
        np.asarray(np.minimum(depth / DEEP, 1), np.float32),
    ]


def _beside_screen(seen: Evidence, picture: Floats, functional: Floats) -> tuple[Floats, Floats]:
    """(H, W) by how much each pixel, and the object's mean colour there, exceed the screen in one way of colour."""
    plate = np.asarray(cv2.transform(seen.behind.plate, functional), np.float32)
    typical = np.asarray(cv2.transform(seen.clouds.mean, functional), np.float32)
    here = np.asarray(cv2.transform(picture, functional), np.float32)
    return GAIN * (here - enlarged(plate, picture)), GAIN * enlarged(typical - plate, picture)


def _corners(alpha: Floats, solid: Floats, clear: float) -> list[tuple[int, int]]:
    """The tiles that hold an edge: neither all screen nor all solid."""
    corners = []
    for top in range(0, alpha.shape[0], TILE):
        for left in range(0, alpha.shape[1], TILE):
            part = (slice(top, top + TILE), slice(left, left + TILE))
            settled = float(solid[part].min()) == 1 or float(alpha[part].min()) >= 1 - clear
            if float(alpha[part].max()) > clear and not settled:
                corners.append((top, left))
    return corners
