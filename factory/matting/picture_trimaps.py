"""Where the trimaps of a folder's pictures come from: given ones, masks, or the keyer where a screen is seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError, UsageError
from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.frame import key_frame
from factory.greenscreen.keyer.screen import find_screen, unaveraged
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.matting.applying import check_size, check_trimap
from factory.matting.masks_to_trimaps import Band, trimap_of_mask
from factory.pictures.matte import decode_levels
from factory.quality.matte_sets import Place, read_bytes
from factory.sample import Matte, Picture

Floats = NDArray[np.float32]

LONG_SIDE = 1920  # pixels of what screen and plate are found in
OPEN = 0.02  # α nearer to 0 and 1 than this is the keyer's noise


@dataclass(frozen=True, slots=True)
class Trimaps:
    """how: where they come from, in words that a resume compares.

    told: by the name of a picture, the file that says where its object is; b"" where the picture itself does.
    of: that file's content and the picture, (H, W, 3), to (H, W) uint8 of 0, 128 and 255. Both raise DataError.
    """

    how: str
    told: Callable[[str], bytes]
    of: Callable[[bytes, Picture], Matte]


def given_trimaps(places: Mapping[str, Place]) -> Trimaps:
    """Files of the pictures' names."""

    def trimap(told: bytes, picture: Picture) -> Matte:
        found = decode_levels(told)
        check_trimap(found, picture)
        return found

    return Trimaps("given", lambda name: _read("trimap", name, places), trimap)


def from_masks(places: Mapping[str, Place], band: Band) -> Trimaps:
    """Bands about the edges of masks of the pictures' names."""

    def trimap(told: bytes, picture: Picture) -> Matte:
        mask = decode_levels(told)
        check_size("mask", mask, picture)
        return trimap_of_mask(mask, band.pixels(picture.shape))

    return Trimaps(f"of masks, band {band}", lambda name: _read("mask", name, places), trimap)


def keyed(band: Band) -> Trimaps:
    """Bands about what the keyer leaves open, of pictures before a screen of any colour."""

    def trimap(_: bytes, picture: Picture) -> Matte:
        return trimap_of_mask(as_levels(_keyed(as_unit(picture))), band.pixels(picture.shape), OPEN)

    return Trimaps(f"keyed, band {band}", lambda _: b"", trimap)


def _keyed(picture: Floats) -> Floats:
    """α by the keyer. Raises DataError where no screen is seen."""
    looks = [unaveraged(picture, LONG_SIDE)]
    try:
        screen = find_screen(looks)
        plate = plate_at(clean_plate(looks, screen), *picture.shape[:2])
        return key_frame(picture, plate, screen, KeyerSettings()).alpha
    except DataError as error:
        raise DataError(error.kind, f"{error}; give a mask (--masks) or a trimap (--trimaps)") from None


def _read(what: str, name: str, places: Mapping[str, Place]) -> bytes:
    if name not in places:
        raise DataError(f"no_{what}", f"there is no {what} of this name")
    try:
        return read_bytes(places[name])
    except UsageError:  # it was there when the run began
        raise DataError("unreadable", f"the {what} cannot be read") from None
