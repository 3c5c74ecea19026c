"""The keyer: α and straight foreground of one frame before its clean plate, unattended, for a screen of any colour.

Three questions at a low resolution, for their answers are smooth: how this frame lights the screen (light.py), what is
solid (solid.py), and which functional of colour separates object and screen at each place (separation.py). The functional
is applied at full resolution; noise and half-resolution chroma are dealt with there.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.filling import fill
from factory.greenscreen.garbage import wanted
from factory.greenscreen.keying import clip_ends, dominance, least_opacity, screen_axis
from factory.greenscreen.light import Backdrop, backdrop
from factory.greenscreen.screen import Screen
from factory.greenscreen.separation import applied, foreground_clouds, functional
from factory.greenscreen.solid import shrunk_by, solid_parts
from factory.greenscreen.subsampling import is_subsampled, with_luma_edges

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyerSettings:
    """How a frame is keyed. Pairs (drawn, filmed): for a screen of exact levels, and for one with noise and spill."""

    work_size: int = 512  # pixels of the long side at which fields and masks are made
    solid: tuple[float, float] = (0.99, 0.8)  # apparent opacity from which an interior is solid
    opaque: tuple[float, float] = (0.97, 0.85)  # … from which a pixel's colour is the object's own
    summit: tuple[float, float] = (0.985, 0.97)  # … if that is this share of the highest around it
    light: tuple[float, float] = (0.6, 0.1)  # freedom of the foreground's light where chroma is at full, at half resolution
    black_point: float = 1.0  # noise of α, in standard deviations, that counts as clean screen
    quiet: tuple[float, float] = (1.5, 4.0)  # noise of α that is smoothed, where chroma is at full, at half resolution
    spill: tuple[float, float] = (0.15, 0.4)  # screen colour in the object up to which it is spill, from which it is its own
    doubt: tuple[float, float] = (0.02, 0.3)  # α under which a pixel's unmixed colour counts less than its neighbours'


def key_frame(picture: Floats, plate: Floats, screen: Screen, settings: KeyerSettings) -> tuple[Floats, Floats]:
    """α (H, W) and straight, despilled foreground (H, W, 3), defined everywhere; float32 in 0..1.

    picture: (H, W, 3) in 0..1, gamma-encoded.  plate: (h, w, 3) in 0..1, the clean plate at any size.
    Raises DataError("no_screen") where the screen is too grey to key against.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, settings.work_size / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = _resized(picture, size)
    colour = np.asarray(screen.colour, np.float32) / 255
    axis = screen_axis(colour)
    noise = screen.noise / 255 * float(np.sqrt(axis @ axis))  # σ of α
    behind = backdrop(small, _resized(plate, size), screen)
    inverse = cv2.resize(1 / behind.strength, (width, height), interpolation=cv2.INTER_LINEAR)

    apparent = 1 - dominance(small, colour) / behind.strength
    bound = np.where(behind.seen, 0, least_opacity(small, behind.plate, 3 * screen.noise / 255 + 0.01))
    solid = solid_parts(cv2.GaussianBlur(np.maximum(apparent, bound), (0, 0), 1), _between(settings.solid, behind))
    sharp = 1 - dominance(picture, colour) * inverse
    own = _own_colours(sharp, noise, behind, settings)
    half = behind.filmed > 0 and is_subsampled(picture)
    clouds = foreground_clouds(
        picture, np.maximum(own, _enlarged(shrunk_by(solid, 2), picture)), size, settings.light[half]
    )
    alpha = applied(functional(clouds, behind.plate), picture)
    if half:
        alpha = with_luma_edges(alpha, picture)
    if noise > QUIET:
        alpha = denoised(alpha, settings.quiet[half] * noise)
    alpha = np.maximum(np.clip(alpha, 0, 1), cv2.erode(own, np.ones((3, 3), np.uint8)))
    alpha = np.maximum(alpha, _enlarged(shrunk_by(solid, 1), picture))
    clean = max(settings.black_point * noise, behind.haze if behind.haze > HAZY else 0)
    alpha = clip_ends(alpha, float(np.clip(clean, EXACT, 0.2)))
    if behind.filmed > 0:  # a drawn screen has no marks, no dirt and no edge
        alpha *= _enlarged(wanted(_resized(alpha, size)), picture)
    return alpha, _foreground(picture, alpha, small, behind, inverse, colour, settings)


HAZY = 0.03  # haze under which a screen is as clean as they get
QUIET = 0.004  # σ of α under which there is nothing to smooth
EXACT = 0.4 / 255  # α that rounding to 8 bit makes of nothing
DEEP = 3  # pixels inside an object at which an opaque pixel need not be the highest around it
SUMMIT_SIZE = 15  # pixels across which it must be otherwise
LAST_RESORT = 0.003  # weight of opaque pixels at the very edge: they count where there are no others


def denoised(alpha: Floats, noise: float) -> Floats:
    """The self-guided filter (He et al.): flat where α varies no more than its noise, untouched where it varies more."""
    window = (5, 5)
    mean = cv2.blur(alpha, window)
    variance = cv2.blur(alpha * alpha, window) - mean * mean
    gain = np.maximum(variance - np.float32(noise**2), 0) / (variance + np.float32(1e-9))
    return np.asarray(cv2.blur(gain, window) * alpha + cv2.blur(mean - gain * mean, window), np.float32)


def _own_colours(apparent: Floats, noise: float, behind: Backdrop, settings: KeyerSettings) -> Floats:
    """(H, W) how far a pixel shows the object's own colour and none of the screen's: deep inside, or on a summit."""
    level, summit = _between(settings.opaque, behind), _between(settings.summit, behind)
    noise = noise * 1.22
    smooth = cv2.GaussianBlur(apparent, (3, 3), 0) if noise > 0.01 else apparent
    opaque = np.square(np.clip((smooth - level) / max(1 - level - noise, 0.01), 0, 1))
    highest = np.maximum(cv2.dilate(smooth, np.ones((SUMMIT_SIZE, SUMMIT_SIZE), np.uint8)), level)
    relative = np.clip((smooth / highest - summit) / (0.7 * (1 - summit)), 0, 1)
    deep = cv2.erode(opaque, np.ones((2 * DEEP + 1, 2 * DEEP + 1), np.uint8))
    return np.asarray(np.maximum(deep, opaque * relative) + LAST_RESORT * opaque, np.float32)


def _foreground(
    picture: Floats,
    alpha: Floats,
    small: Floats,
    behind: Backdrop,
    inverse: Floats,
    colour: Floats,
    settings: KeyerSettings,
) -> Floats:
    """F = (I − (1 − α)B) / α, drawn to the colours around it the less α there is, without the screen's spill."""
    a = _resized(alpha, (small.shape[1], small.shape[0]))
    around = _unspilled(_unmixed(small, a, behind.plate), behind.plate, 1 / behind.strength, colour, settings)
    around = _enlarged(fill(around, np.where(a > SEEN, a, 0)), picture)
    plate = _enlarged(behind.plate, picture)
    exact = _unspilled(_unmixed(picture, alpha, plate), plate, inverse, colour, settings)
    doubt = _between(settings.doubt, behind) * (1 - alpha)
    belief = np.square(alpha) / (np.square(alpha) + np.square(doubt) + np.float32(1e-12))
    return np.asarray(around + belief[..., None] * (exact - around), np.float32)


SEEN = 0.02  # α from which on a colour can be unmixed


def _unmixed(picture: Floats, alpha: Floats, plate: Floats) -> Floats:
    a = alpha[..., None]
    return np.asarray(np.clip((picture - (1 - a) * plate) / np.maximum(a, SEEN), 0, 1), np.float32)


def _unspilled(foreground: Floats, plate: Floats, inverse: Floats, colour: Floats, settings: KeyerSettings) -> Floats:
    """Less the light that the screen throws on the object; what has much of the screen's colour has it of its own."""
    share = np.maximum(dominance(foreground, colour) * inverse, 0)
    low, high = settings.spill
    own = np.clip((share - low) / (high - low), 0, 1)
    spill = share * (1 - own * own * (3 - 2 * own))
    return np.asarray(np.clip(foreground - spill[..., None] * plate, 0, 1), np.float32)


def _between(drawn_and_filmed: tuple[float, float], behind: Backdrop) -> float:
    drawn, filmed = drawn_and_filmed
    return drawn + behind.filmed * (filmed - drawn)


def _resized(picture: Floats, size: tuple[int, int]) -> Floats:
    way = cv2.INTER_AREA if picture.shape[1] > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=way), np.float32)


def _enlarged(field: Floats, picture: Floats) -> Floats:
    height, width = picture.shape[:2]
    return np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
