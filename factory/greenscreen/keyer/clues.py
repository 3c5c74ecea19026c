"""What single pixels tell of object and screen, in numbers that do not depend on the screen's colour."""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.keyer.subsampling import LUMA
from factory.greenscreen.keying import dominance, least_opacity, screen_axis, screen_share

Floats = NDArray[np.float32]

CLUES = 9
UNEVEN = 0.03  # deviations from the plate (0..1) that creases, noise and a wrong plate make of clean screen
WEAKEST = 0.02  # dominance (0..1) that a plate is taken to have at the least
FARTHEST = 2.0  # what is farther beyond the screen, or the grey, tells nothing more
GAIN = 2.0  # of differences of light, to be of the size of the others


def clues(picture: Floats, plate: Floats, colour: Floats) -> Floats:
    """Fields of the order of 1 that say how a picture differs from its plate: (CLUES, H, W).

    Of opacity, each under another guess of the object's colour: that it is grey along the screen's axis; that it has
    none of the screen's dominant channels' excess; that it may be any (then it is a lower bound). Then the differences
    of light, of the third direction of colour, and of the channel that differs most; the picture's own light, the
    plate's, and by how much its colour stands out.
    picture, plate: (H, W, 3) in 0..1.  colour: (3,) the screen's.  Raises DataError("no_screen") for a grey screen.
    """
    axis = screen_axis(colour)
    across = np.cross(axis, LUMA[0])
    third = np.asarray(across / np.linalg.norm(across), np.float32)[None]
    strength = np.maximum(dominance(plate, colour), WEAKEST)
    difference = picture - plate
    light, behind = cv2.transform(picture, LUMA), cv2.transform(plate, LUMA)
    fields = [
        1 - screen_share(picture, plate, axis),
        1 - dominance(picture, colour) / strength,
        least_opacity(picture, plate, UNEVEN),
        GAIN * (light - behind),
        GAIN * cv2.transform(difference, third),
        GAIN * np.abs(difference).max(axis=-1),
        light,
        behind,
        strength,
    ]
    return np.asarray(np.clip(np.stack(fields), -FARTHEST, FARTHEST), np.float32)


def own_share(foreground: Floats, plate: Floats, colour: Floats) -> Floats:
    """(H, W) in 0..1 how much of the screen's dominance an object's colours have of their own.

    foreground, plate: (H, W, 3) in 0..1.  colour: (3,) the screen's.
    """
    strength = np.maximum(dominance(plate, colour), WEAKEST)
    return np.asarray(np.clip(dominance(foreground, colour) / strength, 0, 1), np.float32)
