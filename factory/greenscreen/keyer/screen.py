"""Finding the screen: the one saturated colour that a clip's or picture's border shows, whichever colour that is."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError
from factory.greenscreen.keyer.surface import Surface, surface
from factory.greenscreen.morphology import square
from factory.greenscreen.plates import SIGMA_OF_MEDIAN
from factory.greenscreen.resizing import size_within

Floats = NDArray[np.float32]

LOOKED_AT = 320  # pixels of the long side at which a screen is looked for
FRAMES = 12  # frames that are looked at, evenly over those given
BORDER = 0.04  # width of the border, as a share of each side
HUE_BINS = 72
HUE_REACH = 25.0  # degrees of hue to either side of the mode that are still the screen
ON_BORDER = 0.25  # of the border that the screen must hold …
IN_PICTURE = 0.35  # … or of the whole picture, for a screen that hangs inside the frame
SATURATED = 0.3  # (max − min) / max from which a pixel has a hue
CHROMA = 0.13  # distance from grey (0..1 per channel) from which a colour can be a screen
FLESH = (335.0, 48.0)  # degrees of hue, through red: skin, wood and brick, never told from a screen of that colour
SKY = (190.0, 250.0, 0.55)  # degrees of hue, and the saturation from which it is no sky
TEXTURE = 9.0  # levels of noise from which a surface is no screen but grass, leaves or brick
STRAY = 0.35  # share of the screen's chroma by which its pixels may stray from its colour, lighter or darker
OTHER_LIGHT = 0.25  # distance from the middle colour (0..1 per channel) of what the mean is not taken of
COLOURLESS = 0.053  # distance from grey under which a pixel has no hue
FAR_HUE = 0.5  # of their weight that hues lose towards `HUE_REACH` from the mode
LIGHT = 3.0  # σ in pixels of what may be the screen's light; finer things are noise
CLEAR = 4  # pixels about one that tells noise, which must all be screen: an edge near by would be blurred into it
ENOUGH = 64  # such places from which it can be told
WATER = (165.0, 260.0, 0.43)  # degrees of hue, and the drift from which it is a sky or water
RESTLESS = 0.012  # unrest from which a surface of such a hue is water; of screens it is under 0.003
ROUGH = 0.02  # texture from which a surface is grass, leaves, waves or hair
HIDDEN_BORDER = 0.06  # of the border, the least that a subject may leave of a screen; it must then have …
HIDDEN_TEXTURE, HIDDEN_DRIFT = 0.008, 0.25  # … no more of these,
HIDDEN_RIM, HIDDEN_CHROMA = 1.0, 0.2  # … and no less of these
BLACK = 1e-6  # squared length of a colour that only keeps black from being divided by
DARKEST = 0.3  # share of the screen's light in the deepest shadow that is still screen


@dataclass(frozen=True, slots=True)
class Screen:
    """A screen in 8-bit levels: its mean colour, and the robust σ of its noise about the plate, noisiest channel."""

    colour: tuple[float, float, float]
    noise: float

    @property
    def unit(self) -> Floats:
        """(3,) the colour in 0..1."""
        return np.asarray(np.asarray(self.colour) / 255, np.float32)


def find_screen(frames: Sequence[Floats]) -> Screen:
    """The screen that these frames of one clip share (or the one picture given).

    frames: at least one (H, W, 3) in 0..1.  Raises DataError("no_screen") when neither the border nor the whole picture
    shows one saturated colour that a screen can have, flat as a screen is.
    """
    chosen = evenly(frames, FRAMES)
    small = [shrunk(frame, LOOKED_AT) for frame in chosen]
    borders = np.concatenate([frame[along_border(frame.shape[:2])] for frame in small])
    everything = np.concatenate([frame.reshape(-1, 3) for frame in small])
    try:
        return _judged(chosen, small, _commonest_colour(borders, everything))
    except DataError:
        hidden = _hidden_screens(chosen, small, borders, everything)
        if len(hidden) != 1:
            raise
        return hidden[0]


def _commonest_colour(borders: Floats, everything: Floats) -> Floats:
    """(3,) of what holds most of the border, or of the picture. Raises DataError where no hue holds enough."""
    hue = _commonest_hue(borders)
    pixels, share = borders, [_share(borders, everything, hue)]
    if share[0] < 1:
        pixels, hue = everything, _commonest_hue(everything)
        share.append(_share(everything, everything, hue) * ON_BORDER / IN_PICTURE)
    if max(share) < 1:
        raise DataError(
            "no_screen",
            f"no one colour holds {ON_BORDER:.0%} of the border or {IN_PICTURE:.0%} of the picture as a screen would",
        )
    return _mean_colour(pixels, everything, hue)


def _judged(chosen: Sequence[Floats], small: Sequence[Floats], colour: Floats) -> Screen:
    """The screen of this colour. Raises DataError where a surface of such a colour, texture or noise is none."""
    noise = max(noise_of(frame, colour) for frame in chosen)
    _refuse_what_is_no_screen(colour, noise, _surface(small, colour))
    r, g, b = (float(c) * 255 for c in colour)
    return Screen(colour=(r, g, b), noise=noise)


def _hidden_screens(
    chosen: Sequence[Floats], small: Sequence[Floats], borders: Floats, everything: Floats
) -> list[Screen]:
    """What may be the screen behind a subject that fills the frame: little of it is seen, but that beyond doubt.

    Of a chart of many colours each is as flat and as sharply bounded as a screen.
    """
    found = []
    for hue in _hues(borders):
        if _share(borders, everything, hue) * ON_BORDER < HIDDEN_BORDER:
            continue
        colour = _mean_colour(borders, everything, hue)
        seen = _surface(small, colour)
        is_sure = seen.texture <= HIDDEN_TEXTURE and seen.drift <= HIDDEN_DRIFT and seen.rim >= HIDDEN_RIM
        if is_sure and float(chroma_length(colour)) >= HIDDEN_CHROMA:
            with suppress(DataError):
                found.append(_judged(chosen, small, colour))
    return found


def evenly(frames: Sequence[Floats], most: int) -> list[Floats]:
    """At most so many of the frames, evenly over all of them, the first and the last among them."""
    return [frames[i] for i in sorted({round(i) for i in np.linspace(0, len(frames) - 1, most)})]


def shrunk(picture: Floats, long_side: int) -> Floats:
    """The picture at a long side of at most so many pixels, each the mean of those it stands for."""
    if max(picture.shape[:2]) <= long_side:
        return picture
    size = size_within(picture.shape, long_side)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def unaveraged(picture: Floats, long_side: int) -> Floats:
    """Some of the picture's pixels, unchanged: averages would have less noise than the picture that is keyed."""
    step = -(-max(picture.shape[:2]) // long_side)
    return np.ascontiguousarray(picture[::step, ::step])


def screen_pixels(picture: Floats, colour: Floats) -> NDArray[np.bool_]:
    """Which pixels are the screen under more or less light: their colour is about a multiple of the screen's.

    picture: (..., 3) in 0..1.  colour: the screen's, (3,) or of the picture's shape.  Returns (...).
    """
    light = dot(picture, colour) / np.maximum(dot(colour, colour), np.float32(BLACK))
    away = np.abs(picture - light[..., None] * colour)
    stray = np.maximum(np.maximum(away[..., 0], away[..., 1]), away[..., 2])
    reach = STRAY * chroma_length(colour) * np.minimum(1, light + DARKEST)
    return np.asarray((stray <= reach) & (light > DARKEST), np.bool_)


def dot(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Scalar products of colours along the last axis, six times as fast as einsum."""
    return np.asarray(a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2], np.float32)


def chroma_length(colour: Floats) -> Floats:
    """How far colours (..., 3) lie from grey, 0..1 per channel. Returns (...)."""
    grey = (colour[..., 0] + colour[..., 1] + colour[..., 2]) / 3
    chroma = colour - grey[..., None]
    return np.asarray(np.sqrt(dot(chroma, chroma)), np.float32)


def deviation(picture: Floats, colour: Floats) -> tuple[Floats, Floats]:
    """How far pixels (..., 3) stray from a multiple of the screen's colour, 1 as far as the screen's own may; and which
    multiple it is, their light. Both (...).
    """
    light = dot(picture, colour) / np.maximum(dot(colour, colour), np.float32(BLACK))
    stray = np.abs(picture - light[..., None] * colour).max(axis=-1)
    reach = STRAY * chroma_length(colour) * np.minimum(1, light + DARKEST)
    away = np.where(light > DARKEST, stray / np.maximum(reach, np.float32(BLACK)), np.inf)
    return np.asarray(away, np.float32), np.asarray(light, np.float32)


def _surface(small: Sequence[Floats], colour: Floats) -> Surface:
    deviations, lights = zip(*(deviation(frame, colour) for frame in small), strict=True)
    return surface(deviations, lights)


def _refuse_what_is_no_screen(colour: Floats, noise: float, found: Surface) -> None:
    r, g, b = (round(float(c) * 255) for c in colour)
    hue, saturation = (float(v[0]) for v in _hue_and_saturation(colour[None]))
    if float(chroma_length(colour)) < CHROMA:
        raise DataError("no_screen", f"the background is ({r}, {g}, {b}), too grey to be a screen")
    if hue > FLESH[0] or hue < FLESH[1]:
        raise DataError("no_screen", f"the background is ({r}, {g}, {b}), a colour that skin and wood have too")
    if SKY[0] < hue < SKY[1] and saturation < SKY[2]:
        raise DataError("no_screen", f"the background is ({r}, {g}, {b}), as pale as a sky: no blue screen")
    if WATER[0] < hue < WATER[1] and found.drift > WATER[2]:
        raise DataError("no_screen", f"the background, about ({r}, {g}, {b}), changes its hue as a sky or water does")
    if WATER[0] < hue < WATER[1] and found.unrest > RESTLESS:
        raise DataError("no_screen", f"the background, about ({r}, {g}, {b}), moves as water does")
    if found.texture > ROUGH:
        raise DataError(
            "no_screen", f"the background's light varies by {found.texture:.0%} from place to place: no screen"
        )
    if noise > TEXTURE:
        raise DataError("no_screen", f"the background has texture (σ = {noise:.0f} levels), which screens have not")


def _share(pixels: Floats, everything: Floats, hue: float) -> float:
    """Share of the pixels that are the screen of this hue, as a multiple of the least share of a border."""
    if not _of_hue(everything, hue).any():
        return 0.0
    return float(np.mean(screen_pixels(pixels, _mean_colour(pixels, everything, hue)))) / ON_BORDER


def _mean_colour(pixels: Floats, everything: Floats, hue: float) -> Floats:
    """(3,) mean over all of this hue that is not of quite another light than it is among `pixels`, some of them.

    A green object that fills the picture is so not taken for a screen that only its border shows.
    """
    of_hue = everything[_of_hue(everything, hue)]
    among = pixels[_of_hue(pixels, hue)]
    middle = np.median(among if len(among) else of_hue, axis=0)
    near = of_hue[np.abs(of_hue - middle).max(axis=1) < OTHER_LIGHT]
    return np.asarray(near.mean(axis=0) if len(near) else middle, np.float32)


def along_border(shape: tuple[int, ...], share: float = BORDER) -> NDArray[np.bool_]:
    """(H, W) the outermost pixels of a picture of this shape, as far in as this share of each side."""
    rows, columns = (max(1, round(share * side)) for side in shape)
    border = np.ones(shape, np.bool_)
    border[rows:-rows, columns:-columns] = False
    return border


def _commonest_hue(pixels: Floats) -> float:
    """The hue (degrees) around which most saturated pixels lie."""
    hue, saturation = _hue_and_saturation(pixels)
    saturated = saturation > SATURATED
    count = np.bincount((hue[saturated] * HUE_BINS / 360).astype(int) % HUE_BINS, minlength=HUE_BINS).astype(float)
    reach = round(HUE_REACH * HUE_BINS / 360)
    near = sum(np.roll(count, shift) * (1 - FAR_HUE * abs(shift) / reach) for shift in range(-reach, reach + 1))
    return (float(np.argmax(near)) + 0.5) * 360 / HUE_BINS


def _hues(pixels: Floats) -> Iterator[float]:
    """Hues in the order of how many saturated pixels lie around them, each away from all before."""
    hue, saturation = _hue_and_saturation(pixels)
    saturated = saturation > SATURATED
    hue = hue[saturated]
    while len(hue) >= HIDDEN_BORDER * len(pixels):
        centre = _commonest_hue(pixels[saturated])
        yield centre
        near = np.abs((hue - centre + 180) % 360 - 180) <= HUE_REACH
        if not near.any():  # two hues as common, as far to either side as counts
            return
        saturated[np.flatnonzero(saturated)[near]] = False
        hue = hue[~near]


def _of_hue(pixels: Floats, hue: float) -> NDArray[np.bool_]:
    angle, saturation = _hue_and_saturation(pixels)
    away = np.abs((angle - hue + 180) % 360 - 180)
    return np.asarray((away <= HUE_REACH) & (saturation > SATURATED), np.bool_)


def _hue_and_saturation(pixels: Floats) -> tuple[Floats, Floats]:
    """(N,) hue in degrees and (N,) saturation, 0 for what is too grey or too dark to have a hue."""
    column = np.ascontiguousarray(pixels.reshape(-1, 1, 3))
    hsv = np.asarray(cv2.cvtColor(column, cv2.COLOR_RGB2HSV), np.float32).reshape(-1, 3)
    return hsv[:, 0], np.asarray(np.where(chroma_length(pixels) < COLOURLESS, 0, hsv[:, 1]), np.float32)


def noise_of(frame: Floats, colour: Floats) -> float:
    """σ in levels of what varies faster than light does, on screen pixels that have none but such around them."""
    smooth = np.asarray(cv2.GaussianBlur(frame, (0, 0), LIGHT), np.float32)
    on_screen = screen_pixels(smooth, colour).astype(np.uint8)
    inside = cv2.erode(on_screen, square(CLEAR), borderValue=0) > 0
    if np.count_nonzero(inside) < ENOUGH:
        return 0.0
    rough = np.abs(frame[inside] - smooth[inside])
    return float(SIGMA_OF_MEDIAN * np.median(rough, axis=0).max() * 255)
