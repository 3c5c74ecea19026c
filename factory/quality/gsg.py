"""GSG, green-screen generation quality (Eq. 11 of DiffuMatting): how far the picture's main colour is from the key."""

import numpy as np

from factory.greenscreen.colours import Colour
from factory.greenscreen.kmeans import dominant_colours
from factory.greenscreen.sampling import SAMPLE
from factory.sample import Picture

GSG_K = 5  # the paper does not say; 1 or 2 average object and screen, more than 8 divide the screen itself
GSG_PIXELS = SAMPLE  # evenly spaced pixels that are clustered; all of them in pictures up to 127 × 127
GSG_DEFINITION = f"K = {GSG_K} on {GSG_PIXELS:,} evenly spaced pixels, 8-bit sRGB"  # to be shown beside every number


def gsg(picture: Picture, key: Colour) -> float:
    """Euclidean distance, 0..441 levels, from the centre of the largest colour cluster to the key colour."""
    centre = dominant_colours(picture, GSG_K)[0][0]
    return float(np.linalg.norm(centre - np.asarray(key)))
