"""What a frame shows of its screen and its object, before α is made of it.

Four questions are asked at a low resolution, for the answers are smooth: how a frame lights the screen (light.py), what
is object by its shape (shape.py), what is solid (solid.py), and which functional of colour separates object and screen
at each place (separation.py).
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.keyer.light import Backdrop, backdrop
from factory.greenscreen.keyer.screen import Screen
from factory.greenscreen.keyer.separation import (
    Clouds,
    Samples,
    applied,
    foreground_clouds,
    functional,
    gathered,
    sampled,
)
from factory.greenscreen.keyer.settings import KeyerSettings, Pair
from factory.greenscreen.keyer.shape import Shape, shape_of, whole
from factory.greenscreen.keyer.solid import shrunk_by, solid_parts
from factory.greenscreen.keyer.subsampling import is_subsampled
from factory.greenscreen.keying import dominance, least_opacity, screen_axis
from factory.greenscreen.morphology import square
from factory.greenscreen.resizing import enlarged, resized, size_within
from factory.greenscreen.unmixing import unmixed

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

HALVED_TO = 384  # pixels of the long side; at 448 pictures of 448 pixels take twice as long and come out no better
QUIET = 0.004  # σ of α under which there is nothing to smooth: one level
STRAY = 3  # standard deviations of noise that clean screen may lie from its plate …
UNEVEN = 0.01  # … and by how much more (0..1), for a plate is smooth and a screen has creases
GRAIN = 1.0  # σ in low-resolution pixels at which opacity is looked at
SHORT_OF_1 = 1.2  # standard deviations of noise by which a fully opaque pixel may fall short of 1
ABRUPT = 0.01  # least width of the ramp from mixed to opaque
TO_SUMMIT = 0.7  # of the way from the least share of a summit to the summit itself, on which a pixel comes to count
MOST_DIRT = 0.5  # what is denser is no dirt, however hazy the border
SHADOW = 0.2  # apparent opacity of the darkest shadow on the screen
INTERIOR = 3  # pixels inside an object at which an opaque pixel need not be the highest around it …
SUMMIT_REACH = 7  # … within so many; did all opaque pixels count as the object's own colour: MSE × 1.6, pure
LAST_RESORT = 0.003  # weight of opaque pixels at the very edge: they count where there are no others
MIXED = 0.3  # weight of a mixed colour, times its α, against an opaque one's; 0: MSE × 1.4, h264
DIRT = 6.0  # multiples of the haze along the border up to which α may be the screen's own
ROUNDS = 2  # of unmixing
ENCLOSED = 0.2  # share of its edge that a plateau on a drawn screen must share with clear screen; 0: MSE × 1.2, pure


class Evidence(NamedTuple):
    """What a frame (H, W) shows; fields at low resolution are (h, w)."""

    small: Floats  # (h, w, 3) the frame
    behind: Backdrop
    noise: float  # σ of α
    half: bool  # whether the frame was filmed with chroma of half of luma's resolution
    solid: Mask  # (h, w) where the object is opaque
    apparent: Floats  # (H, W) α, if the object has none of the screen's colour
    own: Floats  # (H, W) 0..1, how surely a pixel shows the object alone
    clouds: Clouds  # the object's colours about each place
    field: Floats  # (h, w, 4) the functional that separates them from the screen's
    alpha: Floats  # (H, W) what the functional says, not clipped
    shape: Shape  # what the object's shape says

    @property
    def drawn(self) -> bool:
        """Whether every level of the screen is exact."""
        return self.behind.filmed == 0

    @property
    def surely_filmed(self) -> bool:
        """Whether a camera saw it beyond doubt, so that colours are not exact."""
        return self.behind.filmed == 1


def evidence(
    picture: Floats,
    plate: Floats,
    screen: Screen,
    settings: KeyerSettings,
    *,
    halved: bool = False,
    shapes: bytes | None = None,
) -> Evidence:
    """All that `key_frame` makes α of, from its arguments. Raises DataError("no_screen")."""
    small = resized(picture, _low(picture, settings.work_size))
    axis = screen_axis(screen.unit)
    noise = screen.noise / 255 * float(np.sqrt(axis @ axis))
    behind = backdrop(small, resized(plate, small.shape[1::-1]), screen)

    least_clear = ENCLOSED * (1 - behind.filmed)
    solid = solid_parts(_apparent_opacity(small, behind, screen), filmed_of(settings.solid, behind), least_clear)
    apparent = _apparent(picture, behind)
    own = _own_colours(apparent, noise, behind, settings)
    shape = shape_of(small, behind.plate, screen.unit, shapes)
    if behind.filmed == 1:
        solid |= shrunk_by(whole(shape, small), 2) > 0
    half = behind.filmed > 0 and (halved or is_subsampled(picture))
    opaque = sampled(picture, np.maximum(own, enlarged(shrunk_by(solid, 2), picture)), small.shape[1::-1])
    clouds = _clouds(opaque, small, behind, settings.light[half], filmed_of(settings.few, behind))
    field = functional(clouds, behind.plate)
    return Evidence(small, behind, noise, half, solid, apparent, own, clouds, field, applied(field, picture), shape)


def _low(picture: Floats, most: int) -> tuple[int, int]:
    """Width and height of the low resolution: half of the picture's, but no coarser than `HALVED_TO`."""
    longest = max(picture.shape[:2])
    return size_within(picture.shape, min(most, max(HALVED_TO, longest // 2)))


def _clouds(opaque: Samples, small: Floats, behind: Backdrop, light: float, few: float) -> Clouds:
    """The object's colours: of the opaque pixels at first, then also of the mixed ones, unmixed with what these tell.

    An object's rim, its hair, its flames are not of the colours of its middle. Unmixed at half the low resolution.
    """
    alone = gathered(opaque)
    height, width = small.shape[:2]
    half = (-(-width // 2), -(-height // 2))
    colours, plate, near = resized(small, half), resized(behind.plate, half), gathered(sampled(*opaque, half), 0.5)
    dirt, mixed = dirt_on(behind), np.zeros_like(near)
    for _ in range(ROUNDS):
        field = functional(foreground_clouds(near + mixed, light, few), plate)
        alpha = np.asarray(np.clip(applied(field, colours), 0, 1), np.float32)
        weight = np.asarray(MIXED * np.maximum((alpha - dirt) / (1 - dirt), 0), np.float32)
        mixed = gathered(Samples(unmixed(colours, alpha, plate), weight), scale=0.5)
    return foreground_clouds(alone + enlarged(mixed, small), light, few)


def dirt_on(screen: Backdrop) -> float:
    """α that may be the screen's own, in the middle of the frame as well as along the border."""
    return min(DIRT * screen.haze, MOST_DIRT)


def filmed_of(drawn_and_filmed: Pair, behind: Backdrop) -> float:
    """The value between those for drawn and for filmed screens that this screen calls for."""
    drawn, filmed = drawn_and_filmed
    return drawn + behind.filmed * (filmed - drawn)


def _apparent(picture: Floats, behind: Backdrop) -> Floats:
    """1 less the screen's dominance in each pixel: α, if the object has none of the screen's colour."""
    inverse = np.asarray(1 / behind.strength, np.float32)
    if inverse.shape != picture.shape[:2]:
        inverse = enlarged(inverse, picture)
    return np.asarray(1 - dominance(picture, behind.colour) * inverse, np.float32)


def _apparent_opacity(small: Floats, behind: Backdrop, screen: Screen) -> Floats:
    """How much of an object each place shows, as far as a single pixel tells, without noise and shadows."""
    apparent = _apparent(small, behind)
    bound = least_opacity(small, behind.plate, STRAY * screen.noise / 255 + UNEVEN)
    opacity = np.maximum(apparent, np.where(behind.seen, 0, bound))
    opacity[behind.seen & (apparent < SHADOW)] = 0
    return np.asarray(cv2.GaussianBlur(opacity, (0, 0), GRAIN), np.float32)


def _own_colours(apparent: Floats, noise: float, behind: Backdrop, settings: KeyerSettings) -> Floats:
    """(H, W) how far a pixel shows the object's own colour and none of the screen's: deep inside, or on a summit."""
    level, summit = filmed_of(settings.opaque, behind), filmed_of(settings.summit, behind)
    smooth = cv2.GaussianBlur(apparent, (3, 3), 0) if noise > 2 * QUIET else apparent
    opaque = np.square(np.clip((smooth - level) / max(1 - level - SHORT_OF_1 * noise, ABRUPT), 0, 1))
    highest = np.maximum(cv2.dilate(smooth, square(SUMMIT_REACH)), level)
    relative = np.clip((smooth / highest - summit) / (TO_SUMMIT * (1 - summit)), 0, 1)
    deep = cv2.erode(opaque, square(INTERIOR))
    return np.asarray(np.maximum(deep, opaque * relative) + LAST_RESORT * opaque, np.float32)
