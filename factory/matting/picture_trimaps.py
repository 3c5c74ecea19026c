"""Where the trimaps of a folder's pictures come from: given ones, masks, or the keyer where a screen is seen."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError
from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.frame import key_frame
from factory.greenscreen.keyer.screen import find_screen, unaveraged
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.matting.applying import check_trimap
from factory.matting.masks_to_trimaps import Band, trimap_of_mask
from factory.quality.matte_sets import Place, read_matte
from factory.sample import Matte, Picture

Floats = NDArray[np.float32]

Trimaps: TypeAlias = Callable[[str, Picture], Matte]
"""The trimap of a picture (H, W, 3) by its name: (H, W) of 0, 128 and 255. Raises DataError where it has none."""

LONG_SIDE = 1920  # pixels of what screen and plate are found in
OPEN = 0.02  # α nearer to 0 and 1 than this is the keyer's noise


def given_trimaps(places: Mapping[str, Place]) -> Trimaps:
    """Files of the pictures' names."""

    def trimap(name: str, picture: Picture) -> Matte:
        found = read_matte(_place("trimap", name, places))
        check_trimap(found, picture)
        return found

    return trimap


def from_masks(places: Mapping[str, Place], band: Band) -> Trimaps:
    """Bands about the edges of masks of the pictures' names."""

    def trimap(name: str, picture: Picture) -> Matte:
        mask = read_matte(_place("mask", name, places))
        if mask.shape != picture.shape[:2]:
            sizes = f"{mask.shape[1]}×{mask.shape[0]}, the picture {picture.shape[1]}×{picture.shape[0]}"
            raise DataError("size", f"the mask is {sizes}: they must be of one size")
        return trimap_of_mask(mask, band.pixels(picture.shape))

    return trimap


def keyed(band: Band) -> Trimaps:
    """Bands about what the keyer leaves open, of pictures before a screen of any colour."""

    def trimap(name: str, picture: Picture) -> Matte:
        return trimap_of_mask(as_levels(_keyed(as_unit(picture))), band.pixels(picture.shape), OPEN)

    return trimap


def _keyed(picture: Floats) -> Floats:
    """α by the keyer. Raises DataError where no screen is seen."""
    looks = [unaveraged(picture, LONG_SIDE)]
    try:
        screen = find_screen(looks)
        plate = plate_at(clean_plate(looks, screen), *picture.shape[:2])
        return key_frame(picture, plate, screen, KeyerSettings()).alpha
    except DataError as error:
        raise DataError(error.kind, f"{error}; give a mask (--masks) or a trimap (--trimaps)") from None


def _place(what: str, name: str, places: Mapping[str, Place]) -> Place:
    if name not in places:
        raise DataError(f"no_{what}", f"there is no {what} of this name")
    return places[name]
