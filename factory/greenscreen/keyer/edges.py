"""α with what a pixel's neighbours tell: a small network corrects what the pixel's colour alone says.

Where chroma has half of luma's resolution (4:2:0), colour tells object from screen, but it is blurred, and coding makes
blocks of it; luma keeps the edges, but it cannot tell an edge of α from one in the object. Before a drawn screen a
little green of the object's own and a little of the screen shining through give the same pixel, and how a shape and a
texture go on tells them apart. All this depends on the shapes of hair, of rims and of a codec's losses, so it is
learned, for either case by a network of its own (edge_network.py). They see colours only as they lie to the screen's,
so they serve screens of every colour.
"""

from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.keyer.evidence import Evidence
from factory.greenscreen.keyer.separation import deviation
from factory.greenscreen.keyer.solid import shrunk_by
from factory.greenscreen.keyer.subsampling import LUMA
from factory.greenscreen.keyer.tiles import TILE, over_tiles, tiles
from factory.greenscreen.keying import screen_axis
from factory.greenscreen.resizing import enlarged

Floats = NDArray[np.float32]

LAYERS = 5  # convolutions of 3 × 3 at half the picture's size: each takes one pixel off every side
REACH = 2 * LAYERS  # pixels about a tile that its result depends on, beside what the features tell of farther ones
OVERSHOOT = (-0.5, 1.5)  # range of an α that is not yet clipped
GAIN = 4.0  # of the features that are not an α, to be of its size
MOST_DOUBT = 0.5  # σ of α beyond which it tells nothing more
ABOUT = 41  # pixels across which a pixel's surroundings are averaged
DEEP = 48.0  # pixels from the outside at which a pixel is as deep inside an object as it gets
EXACT = (0.004, 0.012)  # distance of α from 0 or 1 up to which colour alone has told it, and from which it has not
RAISED = 0.5  # of a greater α at a rim, the share that is taken; 1: MSE × 1.05, pure
RIM = (8.0, 32.0)  # pixels from the outside up to which that is so, and from which all of it is taken
CLEAR = (0.005, 0.05)  # (drawn, half) distance of α from 0, or from 1, within which a whole tile holds no edge


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
    """α (H, W) with the network's change, not clipped; for chroma of half resolution or a drawn screen.

    Before a drawn screen the change is taken only in part, see `_measured`.  picture: (H, W, 3) in 0..1.
    """
    from factory.greenscreen.keyer.edge_network import corrections  # noqa: PLC0415  (torch: a second, and only here)

    known = features(seen, picture)
    alpha = 1 - known[0]
    settled = seen.solid if seen.half else np.zeros_like(seen.solid)  # on a drawn screen what is solid may have gaps
    corners = _corners(alpha, enlarged(shrunk_by(settled, 3), picture), CLEAR[seen.half])
    change = over_tiles(known, corners, REACH, partial(corrections, half=seen.half))
    return alpha + (_measured(change, alpha, _depth(seen)) if seen.drawn else change)


def _measured(change: Floats, alpha: Floats, depth: Floats) -> Floats:
    """How much of a change of α is taken before a drawn screen.

    None where colour alone tells clear screen or the bare object, to the level. Of a greater α a part at rims, all of
    it in the depth: painted objects, which the network learned from, are more opaque at rims than glass and the mattes
    that generators make.
    """
    from_ends = np.abs(alpha - np.clip(np.rint(alpha), 0, 1))
    unsure = np.clip((from_ends - EXACT[0]) / (EXACT[1] - EXACT[0]), 0, 1)
    raised = RAISED + (1 - RAISED) * np.clip((depth - RIM[0]) / (RIM[1] - RIM[0]), 0, 1)
    return np.asarray(change * unsure * np.where(change > 0, raised, 1), np.float32)


def _depth(seen: Evidence) -> Floats:
    """(H, W) pixels to the outside, 0 there."""
    inside = np.asarray(seen.alpha > 0.5, np.uint8)
    return np.asarray(cv2.distanceTransform(inside, cv2.DIST_L2, 3), np.float32)


def _more(seen: Evidence, picture: Floats) -> list[Floats]:
    """Features for a drawn screen: the rest of the colour, and the surroundings."""
    axis = screen_axis(seen.behind.colour)
    across = np.cross(axis, LUMA[0])  # to the screen's chroma and to luma
    colour, contrast = _beside_screen(seen, picture, np.asarray(across / np.linalg.norm(across), np.float32)[None])
    alpha = np.asarray(np.clip(seen.alpha, 0, 1), np.float32)
    return [
        colour,
        contrast,
        np.asarray(1 - cv2.blur(alpha, (ABOUT, ABOUT)), np.float32),
        np.asarray(np.minimum(_depth(seen) / DEEP, 1), np.float32),
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
    for top, left in tiles(*alpha.shape):
        part = (slice(top, top + TILE), slice(left, left + TILE))
        settled = float(solid[part].min()) == 1 or float(alpha[part].min()) >= 1 - clear
        if float(alpha[part].max()) > clear and not settled:
            corners.append((top, left))
    return corners
