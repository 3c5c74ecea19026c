"""The keyer: α and straight foreground of one frame before its clean plate, unattended, for a screen of any colour.

What the frame shows is gathered first (evidence.py). α is the functional that separates object and screen, applied at
full resolution. There a network corrects it by what neighbours tell (edges.py); for pictures with noise and chroma of
full resolution there is none, and noise is smoothed. Solid parts are held out; where the object's shape contradicts
what colours say, it is believed (shape.py). Garbage goes (garbage.py). A network that knows all this has the last word
on what is still open (refinement.py). The foreground's colours follow from α (recovery.py), and so does how far α may
be off (deviation.py).
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.compositing import composite
from factory.greenscreen.keyer.deviation import clues_of_error, expected_error
from factory.greenscreen.keyer.edges import corrected
from factory.greenscreen.keyer.evidence import QUIET, Evidence, dirt_on, evidence, filmed_of
from factory.greenscreen.keyer.garbage import wanted
from factory.greenscreen.keyer.recovery import recovered_colours
from factory.greenscreen.keyer.refinement import clues_of, largest_difference, refined, what_is_open
from factory.greenscreen.keyer.screen import Screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.greenscreen.keyer.shape import agreed, own_share_about
from factory.greenscreen.keyer.solid import shrunk_by
from factory.greenscreen.keying import clip_ends
from factory.greenscreen.morphology import square
from factory.greenscreen.resizing import enlarged, resized

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

EXACT = 0.4 / 255  # α that rounding to 8 bit makes of nothing: not yet half a level
BLOCKS = 0.06  # α that a codec's blocks make of a clean screen, if nothing denser is near: seen on docs/keyer.png
MOST_CLEAN = 0.2  # α that is called clean screen at the most: from 0.25 on `clip_ends` leaves no α as it is
WINDOW = (5, 5)  # pixels across that the denoiser looks at
FLAT = 1e-9  # variance of α that only keeps an even place from being 0 by 0
GAP_SIZE = 9  # pixels across which a gap is looked for
# What follows is for α by colour alone, and for α that a network corrected, which so knows better by itself.
GAP = ((0.15, 0.3), (0.05, 0.15))  # apparent opacity that a pixel lacks: in a solid part, in a gap
NEARLY = ((0.8, 0.95), (0.92, 0.99))  # α at a solid part's rim: of an edge, of a solid pixel


class Keyed(NamedTuple):
    """One frame, float32 in 0..1."""

    alpha: Floats  # (H, W)
    foreground: Floats  # (H, W, 3) straight, despilled, defined everywhere
    deviation: Floats  # (H, W) the |error| that α is expected to have; 0 on sure screen and inside sure object


class ByRules(NamedTuple):
    """(H, W) each: α in 0..1 before the fine pass, and all but garbage."""

    alpha: Floats
    kept: Mask


class Looked(NamedTuple):
    """One frame before it is said how far α may be off."""

    alpha: Floats
    foreground: Floats
    clues: list[Floats]  # of the error
    open: Mask  # (H, W) where there may be one


def key_frame(
    picture: Floats,
    plate: Floats,
    screen: Screen,
    settings: KeyerSettings,
    *,
    halved: bool = False,
    shapes: bytes | None = None,
) -> Keyed:
    """Key one frame.

    picture: (H, W, 3) in 0..1, gamma-encoded.  plate: (h, w, 3) in 0..1, the clean plate at any size.
    halved: whether rows are known to have fewer chroma samples than luma ones (4:2:0, 4:2:2); else looks decide.
    shapes: a safetensors file with weights of another shape network than the one that ships.
    Raises DataError("no_screen") where the screen is too grey to key against.
    """
    found = looked_at(picture, plate, screen, settings, halved=halved, shapes=shapes)
    return Keyed(found.alpha, found.foreground, expected_error(found.clues, found.open))


def looked_at(
    picture: Floats,
    plate: Floats,
    screen: Screen,
    settings: KeyerSettings,
    *,
    halved: bool,
    shapes: bytes | None = None,
) -> Looked:
    """Key one frame, but for the deviation; with what that is told from. Arguments as of `key_frame`."""
    seen = evidence(picture, plate, screen, settings, halved=halved, shapes=shapes)
    before, kept = by_rules(seen, picture, settings)
    where = what_is_open(seen, picture, before, kept)
    known = clues_of(seen, picture, before)
    alpha = refined(known, where, before)
    behind = seen.behind
    doubt, typical = filmed_of(settings.doubt, behind), seen.clouds.mean
    own, spill = own_share_about(seen.shape, seen.small), settings.spill
    colours = recovered_colours(picture, alpha, seen.small, behind, typical, own=own, spill=spill, doubt=doubt)
    missed = largest_difference(picture, composite(colours, alpha, enlarged(behind.plate, picture)))
    return Looked(alpha, colours, clues_of_error(known, before, alpha, missed), where.doubt)


def by_rules(seen: Evidence, picture: Floats, settings: KeyerSettings) -> ByRules:
    """What the fine pass begins with.  picture: (H, W, 3) in 0..1."""
    behind, filmed = seen.behind, seen.behind.filmed
    alpha = _alpha(seen, picture, settings)
    coding = settings.coding[seen.half] * filmed
    clean = max(settings.black_point * seen.noise, coding, settings.haze * behind.haze, EXACT)
    alpha = clip_ends(alpha, min(clean, MOST_CLEAN))
    if filmed == 0:  # a drawn screen has no marks, no dirt and no edge
        return ByRules(alpha, np.ones(alpha.shape, np.bool_))
    coarse = resized(alpha, seen.small.shape[1::-1])
    kept = enlarged(wanted(coarse, max(dirt_on(behind), BLOCKS)), picture)
    return ByRules(alpha * kept, kept > 0)


def denoised(alpha: Floats, noise: float) -> Floats:
    """The self-guided filter (He et al. 2010): flat where α varies by no more than its noise, else untouched.

    noise: σ of α.
    """
    mean = cv2.blur(alpha, WINDOW)
    variance = cv2.blur(alpha * alpha, WINDOW) - mean * mean
    gain = np.maximum(variance - np.float32(noise**2), 0) / (variance + np.float32(FLAT))
    return np.asarray(cv2.blur(gain, WINDOW) * alpha + cv2.blur(mean - gain * mean, WINDOW), np.float32)


def _alpha(seen: Evidence, picture: Floats, settings: KeyerSettings) -> Floats:
    """α of every pixel from its colour and its neighbours, 0..1."""
    alpha, noise = seen.alpha, settings.quiet * seen.noise
    if _learned(seen):
        alpha = corrected(seen, picture)
    elif noise > QUIET:
        alpha = denoised(alpha, noise)
    alpha = np.asarray(np.clip(alpha, 0, 1), np.float32)
    alpha = np.maximum(alpha, cv2.erode(seen.own, square(1)))
    alpha = _held_out(alpha, seen)
    return agreed(alpha, seen.shape, filmed=seen.surely_filmed)


def _held_out(alpha: Floats, seen: Evidence) -> Floats:
    """α raised to 1 inside solid parts; near their rim, where they are known too coarsely, only if it is nearly 1.

    A pixel that shows more of the screen than those around it keeps its α: it is a slit, too fine for the mask.
    """
    nearly, gap = NEARLY[_learned(seen)], GAP[_learned(seen)]
    bounded = np.minimum(seen.apparent, 1)
    dip = cv2.blur(bounded, (GAP_SIZE, GAP_SIZE)) - bounded
    rim = enlarged(shrunk_by(seen.solid, 1), alpha) * np.clip((alpha - nearly[0]) / (nearly[1] - nearly[0]), 0, 1)
    inside = np.maximum(rim, enlarged(shrunk_by(seen.solid, 3), alpha))
    return np.asarray(np.maximum(alpha, inside * np.clip((gap[1] - dip) / (gap[1] - gap[0]), 0, 1)), np.float32)


def _learned(seen: Evidence) -> bool:
    return seen.half or seen.drawn
