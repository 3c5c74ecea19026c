"""What GreenPost knows of a picture before it looks at single pixels: a coarse mask, and the clean plate behind it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from factory.equation import plate_picture
from factory.errors import DataError
from factory.greenscreen.colours import Colour
from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.keying import colour_difference, least_opacity, screen_axis, screen_share
from factory.greenscreen.kmeans import dominant_colours
from factory.greenscreen.morphology import disc, eroded
from factory.greenscreen.plates import CLUSTERS, estimate_plate, open_to_border, scaled, sure_background
from factory.sample import Matte, Picture, PlateCoefficients, Sample

Floats = NDArray[np.float32]

BORDER = 8  # pixels at 512 along the border in which the screen's colour is looked for where there is no mask
LEANING = 0.3  # the key along the border colour's axis: itself 1, duller screens more, yellow and cyan 0.5, red −0.5
UNEVEN = 0.1  # by how much a screen that one colour stands for may differ from it (0..1)


class Screen(NamedTuple):
    """A picture's screen."""

    coarse: Matte  # (H, W), where the object is, roughly
    plate: PlateCoefficients
    noise: float  # about the plate, in 8-bit levels
    picture: Floats  # (H, W, 3) the plate as a picture, 0..1


def screen_of(sample: Sample) -> Screen:
    """The plate that K-Means finds outside the mask.

    The coarse mask is `sample.coarse`, else the alpha already there, else a first key on the border's colour.
    Raises DataError("no_screen") where no screen can be found.
    """
    coarse = next((mask for mask in (sample.coarse, sample.alpha) if mask is not None), None)
    if coarse is None:
        coarse = key_on_border(sample.rgb, sample.origin.key_rgb)
    plate, noise = estimate_plate(sample.rgb, sure_background(coarse))
    return Screen(coarse, plate, noise, plate_picture(plate, *sample.rgb.shape[:2]) / np.float32(255))


def far_outside(coarse: Matte, outside: float, reach: float) -> NDArray[np.bool_]:
    """(H, W) where there is no object, whatever colours say: so far from a mask, and open to the picture's border.

    outside: the mask (0..1) under which that may be.  reach: pixels at 512 that it keeps from the rest.
    """
    return open_to_border(eroded(coarse < outside * 255, disc(scaled(reach, coarse.shape))))


def key_on_border(picture: Picture, key: Colour) -> Matte:
    """A coarse mask where nothing is known but the key colour: α against the commonest colour along the border.

    Raises DataError("no_screen") if that colour does not lean towards the key.
    """
    width = scaled(BORDER, picture.shape)
    sides = (picture[:width], picture[-width:], picture[:, :width], picture[:, -width:])
    border = np.concatenate([side.reshape(-1, 3) for side in sides])
    colour = (dominant_colours(border, CLUSTERS)[0][0] / 255).astype(np.float32)
    axis = screen_axis(colour)
    if float(axis @ (np.asarray(key, np.float32) / 255)) <= LEANING:
        r, g, b = (round(float(c) * 255) for c in colour)
        raise DataError("no_screen", f"the picture's border is ({r}, {g}, {b}), not a screen of key colour {key}")
    pixels = as_unit(picture)
    plate = np.broadcast_to(colour, pixels.shape).copy()
    alpha = np.maximum(colour_difference(screen_share(pixels, plate, axis)), least_opacity(pixels, plate, UNEVEN))
    return as_levels(alpha)
