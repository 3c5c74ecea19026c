"""The keyer: α and straight foreground of one frame before its clean plate, unattended, for a screen of any colour.

Three questions are asked at a low resolution, for the answers are smooth: how a frame lights the screen (light.py),
what is solid (solid.py), and which functional of colour separates object and screen at each place (separation.py).
The functional is applied at full resolution, where noise and half-resolution chroma are dealt with (subsampling.py).
Then garbage goes (garbage.py), and the foreground's colours follow from α (recovery.py).
"""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.garbage import wanted
from factory.greenscreen.keying import clip_ends, dominance, least_opacity, screen_axis
from factory.greenscreen.light import Backdrop, backdrop
from factory.greenscreen.recovery import recovered_colours
from factory.greenscreen.screen import Screen
from factory.greenscreen.separation import Clouds, applied, foreground_clouds, functional
from factory.greenscreen.solid import shrunk_by, solid_parts
from factory.greenscreen.subsampling import is_subsampled, with_luma_edges

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Pair: TypeAlias = tuple[float, float]

QUIET = 0.004  # σ of α under which there is nothing to smooth
EXACT = 0.4 / 255  # α that rounding to 8 bit makes of nothing
SHADOW = 0.2  # apparent opacity of the darkest shadow on the screen
DEEP = 3  # pixels inside an object at which an opaque pixel need not be the highest around it
SUMMIT_SIZE = 15  # pixels across which it must be otherwise
GAP_SIZE = 9  # pixels across which a gap is looked for
GAP = (0.15, 0.3)  # apparent opacity that a pixel lacks: in a solid part, in a gap
NEARLY = (0.8, 0.95)  # α at a solid part's rim: of an edge, of a solid pixel
LAST_RESORT = 0.003  # weight of opaque pixels at the very edge: they count where there are no others
ENCLOSED = 0.2  # share of its edge that a plateau on a drawn screen must have in common with the screen


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyerSettings:
    """How a frame is keyed. The defaults are the default quality.

    Pairs marked (drawn, filmed) are for a screen of exact levels and for one with noise, spill or coding; those marked
    (full, half) are for chroma of luma's resolution and of half of it.
    """

    work_size: int = 512  # pixels of the long side at which fields and masks are made
    solid: Pair = (0.999, 0.8)  # (drawn, filmed) apparent opacity from which an interior is solid
    opaque: Pair = (0.97, 0.85)  # (drawn, filmed) … from which a pixel's colour is the object's own
    summit: Pair = (0.985, 0.97)  # (drawn, filmed) … if it is at least this share of the highest around it
    few: Pair = (0.01, 0.003)  # (drawn, filmed) weight of opaque samples at which half is left to the prior
    light: Pair = (0.6, 0.1)  # (full, half) σ by which an object's light may differ from its samples'
    quiet: Pair = (1.5, 4.0)  # (full, half) standard deviations of α that are smoothed as noise
    black_point: float = 0.7  # standard deviations of α that count as clean screen
    coding: float = 0.025  # α that coding makes of clean screen
    haze: float = 1.5  # multiples of the haze along the border that count as clean screen
    spill: Pair = (0.15, 0.4)  # screen colour in an object: up to the first it is spill, from the second its own
    doubt: Pair = (0.02, 0.3)  # (drawn, filmed) α under which an unmixed colour counts less than those around it

    def __post_init__(self) -> None:
        if self.work_size < 64:
            raise ValueError(f"work_size is {self.work_size}: below 64 pixels no edge can be told")


def key_frame(picture: Floats, plate: Floats, screen: Screen, settings: KeyerSettings) -> tuple[Floats, Floats]:
    """α (H, W) and straight, despilled foreground (H, W, 3), defined everywhere; float32 in 0..1.

    picture: (H, W, 3) in 0..1, gamma-encoded.  plate: (h, w, 3) in 0..1, the clean plate at any size.
    Raises DataError("no_screen") where the screen is too grey to key against.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, settings.work_size / max(height, width))
    small = _resized(picture, (max(1, round(width * scale)), max(1, round(height * scale))))
    axis = screen_axis(screen.unit)
    noise = screen.noise / 255 * float(np.sqrt(axis @ axis))  # σ of α
    behind = backdrop(small, _resized(plate, small.shape[1::-1]), screen)

    solid = solid_parts(_apparent_opacity(small, behind, screen), filmed_of(settings.solid, behind), _clear(behind))
    apparent = _apparent(picture, behind)
    own = _own_colours(apparent, noise, behind, settings)
    half = behind.filmed > 0 and is_subsampled(picture)
    samples = np.maximum(own, _enlarged(shrunk_by(solid, 2), picture))
    few = filmed_of(settings.few, behind)
    clouds = foreground_clouds(picture, samples, small.shape[1::-1], settings.light[half], few)

    alpha = _separated(picture, clouds, behind, settings.quiet[half] * noise, half)
    alpha = np.maximum(alpha, cv2.erode(own, np.ones((3, 3), np.uint8)))
    alpha = _held_out(alpha, solid, apparent)
    clean = max(settings.black_point * noise, settings.coding * behind.filmed, settings.haze * behind.haze, EXACT)
    alpha = clip_ends(alpha, min(clean, 0.2))
    if behind.filmed > 0:  # a drawn screen has no marks, no dirt and no edge
        alpha *= _enlarged(wanted(_resized(alpha, small.shape[1::-1])), picture)
    doubt = filmed_of(settings.doubt, behind)
    return alpha, recovered_colours(picture, alpha, small, behind, clouds.mean, spill=settings.spill, doubt=doubt)


def denoised(alpha: Floats, noise: float) -> Floats:
    """The self-guided filter (He et al. 2010): flat where α varies by no more than its noise, else untouched.

    noise: σ of α.
    """
    window = (5, 5)
    mean = cv2.blur(alpha, window)
    variance = cv2.blur(alpha * alpha, window) - mean * mean
    gain = np.maximum(variance - np.float32(noise**2), 0) / (variance + np.float32(1e-9))
    return np.asarray(cv2.blur(gain, window) * alpha + cv2.blur(mean - gain * mean, window), np.float32)


def filmed_of(drawn_and_filmed: Pair, behind: Backdrop) -> float:
    """The value between those for drawn and for filmed screens that this screen calls for."""
    drawn, filmed = drawn_and_filmed
    return drawn + behind.filmed * (filmed - drawn)


def _separated(picture: Floats, clouds: Clouds, behind: Backdrop, noise: float, half: bool) -> Floats:
    """α of every pixel from its colour, 0..1."""
    alpha = applied(functional(clouds, behind.plate), picture)
    if half:
        alpha = with_luma_edges(alpha, picture)
    if noise > QUIET:
        alpha = denoised(alpha, noise)
    return np.asarray(np.clip(alpha, 0, 1), np.float32)


def _apparent(picture: Floats, behind: Backdrop) -> Floats:
    """1 less the screen's dominance in each pixel: α, if the object has none of the screen's colour."""
    inverse = np.asarray(1 / behind.strength, np.float32)
    if inverse.shape != picture.shape[:2]:
        inverse = _enlarged(inverse, picture)
    return np.asarray(1 - dominance(picture, behind.colour) * inverse, np.float32)


def _apparent_opacity(small: Floats, behind: Backdrop, screen: Screen) -> Floats:
    """How much of an object each place shows, as far as a single pixel tells, without noise and shadows."""
    apparent = _apparent(small, behind)
    bound = least_opacity(small, behind.plate, 3 * screen.noise / 255 + 0.01)
    opacity = np.maximum(apparent, np.where(behind.seen, 0, bound))
    opacity[behind.seen & (apparent < SHADOW)] = 0
    return np.asarray(cv2.GaussianBlur(opacity, (0, 0), 1), np.float32)


def _own_colours(apparent: Floats, noise: float, behind: Backdrop, settings: KeyerSettings) -> Floats:
    """(H, W) how far a pixel shows the object's own colour and none of the screen's: deep inside, or on a summit."""
    level, summit = filmed_of(settings.opaque, behind), filmed_of(settings.summit, behind)
    smooth = cv2.GaussianBlur(apparent, (3, 3), 0) if noise > 2 * QUIET else apparent
    opaque = np.square(np.clip((smooth - level) / max(1 - level - 1.2 * noise, 0.01), 0, 1))
    highest = np.maximum(cv2.dilate(smooth, np.ones((SUMMIT_SIZE, SUMMIT_SIZE), np.uint8)), level)
    relative = np.clip((smooth / highest - summit) / (0.7 * (1 - summit)), 0, 1)
    deep = cv2.erode(opaque, np.ones((2 * DEEP + 1, 2 * DEEP + 1), np.uint8))
    return np.asarray(np.maximum(deep, opaque * relative) + LAST_RESORT * opaque, np.float32)


def _held_out(alpha: Floats, solid: Mask, apparent: Floats) -> Floats:
    """α raised to 1 inside solid parts; near their rim, where they are known too coarsely, only if it is nearly 1.

    A pixel that shows more of the screen than those around it keeps its α: it is a slit, too fine for the mask.
    """
    bounded = np.minimum(apparent, 1)
    dip = cv2.blur(bounded, (GAP_SIZE, GAP_SIZE)) - bounded
    rim = _enlarged(shrunk_by(solid, 1), alpha) * np.clip((alpha - NEARLY[0]) / (NEARLY[1] - NEARLY[0]), 0, 1)
    inside = np.maximum(rim, _enlarged(shrunk_by(solid, 3), alpha))
    return np.asarray(np.maximum(alpha, inside * np.clip((GAP[1] - dip) / (GAP[1] - GAP[0]), 0, 1)), np.float32)


def _clear(behind: Backdrop) -> float:
    return ENCLOSED * (1 - behind.filmed)


def _resized(picture: Floats, size: tuple[int, ...]) -> Floats:
    way = cv2.INTER_AREA if picture.shape[1] > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=way), np.float32)


def _enlarged(field: Floats, picture: Floats) -> Floats:
    height, width = picture.shape[:2]
    return np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
