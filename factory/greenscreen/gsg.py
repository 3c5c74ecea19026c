"""GSG, green-screen generation quality (Eq. 11 of DiffuMatting): how far the picture's main colour is from the key.

An object of one colour that fills half the picture is its main colour, and GSG then says nothing of the screen. So
beside the paper's number stands that of the colour that most of what is not the object has: the two are alike to a
level where the screen is the main colour.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.colours import Colour
from factory.greenscreen.kmeans import dominant_colours
from factory.greenscreen.sampling import SAMPLE, evenly_chosen
from factory.sample import Picture

Colours: TypeAlias = NDArray[np.float64]  # (k, 3), 8-bit levels

GSG_K = 5  # the paper does not say; 1 or 2 average object and screen, more than 8 divide the screen itself
GSG_PIXELS = SAMPLE  # evenly spaced pixels that are clustered; all of them in pictures up to 127 × 127
GSG_DEFINITION = f"K = {GSG_K} on at most {GSG_PIXELS:,} evenly spaced pixels, 8-bit sRGB"  # beside every number


def gsg(picture: Picture, key: Colour) -> float:
    """Euclidean distance, 0..441 levels, from the centre of the largest colour cluster to the key colour."""
    return distance(main_colours(picture)[0], key)


def main_colours(picture: Picture) -> Colours:
    """The centres of the picture's colour clusters, largest first."""
    return dominant_colours(picture, GSG_K)[0]


def screen_colour(picture: Picture, background: NDArray[np.bool_], colours: Colours) -> NDArray[np.float64]:
    """(3,) the mean colour, in levels, of the background's largest part, which is that nearest to one main colour.

    background: (H, W), not empty: what is not the object.  colours: `main_colours` of the picture.
    """
    where = evenly_chosen(np.flatnonzero(background), GSG_PIXELS)
    pixels = picture.reshape(-1, 3)[where].astype(np.float64)
    squares = (colours**2).sum(axis=1)[:, None] - 2 * colours @ pixels.T  # less that of the pixels, alike for all
    nearest = squares.argmin(axis=0)
    return np.asarray(pixels[nearest == np.bincount(nearest).argmax()].mean(axis=0), np.float64)


def distance(colour: NDArray[np.float64], key: Colour) -> float:
    """Euclidean, in levels."""
    return float(np.linalg.norm(colour - np.asarray(key)))
