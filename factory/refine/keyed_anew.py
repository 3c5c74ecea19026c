"""The backend `keyer`: our keyer, as it is today, on a picture as it is stored, against the plate that it has.

So a set of any age gets the mattes that the keyer makes now. The old matte has no say. A picture that a model has just
painted has no plate yet, but a mask: K-Means finds the plate outside of it, and far from it there is no object.
"""

from dataclasses import replace

import cv2
import numpy as np

from factory.equation import plate_picture
from factory.errors import DataError
from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.keyer.frame import key_frame
from factory.greenscreen.keyer.screen import Screen, noise_of
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.refine.screen import far_outside, screen_of
from factory.sample import Sample
from factory.trust import TRUST, as_trust

SETTINGS = KeyerSettings()


def keyed_anew(sample: Sample, outside: float, reach: float) -> Sample:
    """Fill in `alpha` and `foreground`, and the plate where there is none.

    outside, reach: see `far_outside`; they count where there is a coarse mask.
    DataError kinds: no_screen, empty (the picture shows nothing but its plate).
    """
    plate = sample.plate or screen_of(sample).plate
    picture = as_unit(sample.rgb)
    behind = plate_picture(plate, *sample.rgb.shape[:2]) / np.float32(255)
    red, green, blue = (float(level) for level in cv2.mean(behind)[:3])
    noise = noise_of(picture, np.array((red, green, blue), np.float32))
    found = key_frame(picture, behind, Screen((red * 255, green * 255, blue * 255), noise), SETTINGS)
    alpha = as_levels(found.alpha)
    if sample.coarse is not None:
        alpha[far_outside(sample.coarse, outside, reach)] = 0
    if not alpha.any():
        raise DataError("empty", "the picture shows nothing but its screen")
    origin = replace(sample.origin, foreground="unmixed")
    layers = {**sample.layers, TRUST: as_trust(found.deviation)}
    foreground = as_levels(found.foreground)
    return replace(sample, origin=origin, alpha=alpha, foreground=foreground, plate=plate, layers=layers)
