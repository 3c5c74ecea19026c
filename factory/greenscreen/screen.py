"""Finding the screen: the one saturated hue that a clip's or picture's border shows, whichever hue that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError
from factory.greenscreen.keying import MIN_CHROMA

Floats = NDArray[np.float32]

LOOKED_AT = 320  # pixels of the long side at which a screen is looked for
FRAMES = 12  # frames that are looked at, evenly over those given
BORDER = 0.04  # width of the border, as a share of each side
HUE_BINS = 72
HUE_REACH = 25.0  # degrees of hue to either side of the mode that are still the screen
ON_BORDER = 0.25  # of the border that the hue must hold …
IN_PICTURE = 0.35  # … or of the whole picture, for a screen that hangs inside the frame
MIN_SATURATION = 0.3  # of (max − min) / max, under which a coloured wall is no screen


@dataclass(frozen=True, slots=True)
class Screen:
    """A screen in 8-bit levels: its mean colour, and the robust σ of its noise about the plate, noisiest channel."""

    colour: tuple[float, float, float]
    noise: float


def find_screen(frames: Sequence[Floats]) -> Screen:
    """The screen that these frames of one clip share (or the one picture given).

    frames: at least one (H, W, 3) in 0..1.  Raises DataError("no_screen") when neither the border nor the whole picture
    shows one saturated hue.
    """
    chosen = [frames[i] for i in sorted({round(i) for i in np.linspace(0, len(frames) - 1, FRAMES)})]
    small = [shrunk(frame, LOOKED_AT) for frame in chosen]
    borders = np.concatenate([_border(frame) for frame in small])
    everything = np.concatenate([frame.reshape(-1, 3) for frame in small])
    hue, on_border = _commonest_hue(borders)
    if on_border < ON_BORDER:
        hue, in_picture = _commonest_hue(everything)
        if in_picture < IN_PICTURE:
            raise DataError(
                "no_screen",
                f"no colour of a screen: the commonest saturated hue holds {on_border:.0%} of the border and "
                f"{in_picture:.0%} of the picture; {ON_BORDER:.0%} or {IN_PICTURE:.0%} is the least",
            )
    pixels = everything[_of_hue(everything, hue)]
    # The median first: what is far from it shares the screen's hue, not its light.
    middle = np.median(pixels, axis=0)
    near = pixels[np.abs(pixels - middle).max(axis=1) < 0.25]
    colour = near.mean(axis=0) if len(near) else middle
    noise = max(_noise(frame, colour.astype(np.float32)) for frame in chosen)
    r, g, b = (float(c) * 255 for c in colour)
    return Screen(colour=(r, g, b), noise=noise)


def shrunk(picture: Floats, long_side: int) -> Floats:
    """The picture at a long side of at most so many pixels, each the mean of those it stands for."""
    height, width = picture.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return picture if scale == 1 else np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def screen_pixels(picture: Floats, colour: Floats, tolerance: float) -> NDArray[np.bool_]:
    """Which pixels are the screen under more or less light: their colour is a multiple of the screen's.

    picture: (H, W, 3) in 0..1.  colour: (3,) or (H, W, 3).  tolerance: 0..1 that a channel may stray from the multiple.
    """
    light = np.sum(picture * colour, axis=-1, keepdims=True) / np.sum(colour * colour, axis=-1, keepdims=True)
    stray = np.abs(picture - light * colour).max(axis=-1)
    return np.asarray((stray <= tolerance * np.minimum(1, light[..., 0] + 0.3)) & (light[..., 0] > 0.3), np.bool_)


def chroma_length(colour: Floats) -> float:
    """How far a colour (3,) lies from grey, 0..1 per channel."""
    return float(np.linalg.norm(colour - colour.mean()))


def _border(frame: Floats) -> Floats:
    rows, columns = (max(1, round(BORDER * side)) for side in frame.shape[:2])
    sides = (frame[:rows], frame[-rows:], frame[:, :columns], frame[:, -columns:])
    return np.concatenate([side.reshape(-1, 3) for side in sides])


def _hue_and_saturation(pixels: Floats) -> tuple[Floats, Floats]:
    """(N,) hue in degrees and (N,) saturation, with all that is too grey or too dark given saturation 0."""
    hsv = cv2.cvtColor(np.ascontiguousarray(pixels.reshape(-1, 1, 3)), cv2.COLOR_RGB2HSV).reshape(-1, 3)
    chroma = np.linalg.norm(pixels - pixels.mean(axis=1, keepdims=True), axis=1)
    return hsv[:, 0], np.asarray(np.where(chroma < MIN_CHROMA / 2, 0, hsv[:, 1]), np.float32)


def _commonest_hue(pixels: Floats) -> tuple[float, float]:
    """The hue (degrees) around which most saturated pixels lie, and their share of all pixels."""
    hue, saturation = _hue_and_saturation(pixels)
    saturated = saturation > MIN_SATURATION
    count = np.bincount((hue[saturated] * HUE_BINS / 360).astype(int) % HUE_BINS, minlength=HUE_BINS).astype(float)
    reach = round(HUE_REACH * HUE_BINS / 360)
    near = sum(np.roll(count, shift) * (1 - 0.5 * abs(shift) / reach) for shift in range(-reach, reach + 1))
    mode = (float(np.argmax(near)) + 0.5) * 360 / HUE_BINS
    return mode, float(np.count_nonzero(_of_hue(pixels, mode))) / len(pixels)


def _of_hue(pixels: Floats, hue: float) -> NDArray[np.bool_]:
    angle, saturation = _hue_and_saturation(pixels)
    away = np.abs((angle - hue + 180) % 360 - 180)
    return np.asarray((away <= HUE_REACH) & (saturation > MIN_SATURATION), np.bool_)


def _noise(frame: Floats, colour: Floats) -> float:
    """σ in levels of what varies faster than light does, on screen pixels that have none but such around them."""
    smooth = cv2.GaussianBlur(frame, (0, 0), 3)
    on_screen = screen_pixels(smooth, colour, 0.1).astype(np.uint8)
    inside = cv2.erode(on_screen, np.ones((9, 9), np.uint8), borderValue=0) > 0
    if np.count_nonzero(inside) < 64:
        return 0.0
    rough = np.abs(frame[inside] - smooth[inside])
    return float(1.4826 * np.median(rough, axis=0).max() * 255)
