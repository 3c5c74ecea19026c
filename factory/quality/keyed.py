"""What a keyer hands in: a folder with a matte for each picture, and foregrounds where it makes some."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from factory.errors import DataError, UsageError
from factory.pictures.folder import files_below
from factory.pictures.matte import decode_levels
from factory.pictures.picture import SUFFIXES, decode_layers, decode_picture
from factory.sample import Matte, Picture

ALPHA, FOREGROUND = ".alpha", ".fg"  # before the suffix: KEY.alpha.png, KEY.fg.png
ALPHAS = ("", ALPHA)


@dataclass(frozen=True, slots=True)
class Keyed:
    """One picture's matte, and its straight foreground where there is one."""

    alpha: Matte
    foreground: Picture | None


def find_keyed(folder: Path) -> dict[str, Path]:
    """Name without the suffix → file, of all pictures in the folder (not below it).

    Raises UsageError where there are none, or where two would be the matte of one picture.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give a folder of mattes, KEY.png or KEY.alpha.png.")
    found: dict[str, Path] = {}
    for name in sorted(path for path in files_below(folder, SUFFIXES) if "/" not in path):
        stem = Path(name).stem
        if stem in found:
            raise UsageError(f"{folder / name} and {found[stem].name} have one name: take one of them away.")
        found[stem] = folder / name
    if not found:
        raise UsageError(f"{folder} holds no picture: give a folder of mattes, KEY.png or KEY.alpha.png.")
    both = [stem for stem in found if f"{stem}{ALPHA}" in found]
    if both:
        raise UsageError(f"{folder} has two mattes of {both[0]}, with and without {ALPHA}: take one of them away.")
    return found


def read_keyed(found: Mapping[str, Path], key: str) -> Keyed:
    """The matte of a picture; an alpha channel is the matte, and its colours the foreground where KEY.fg.png is none.

    16 bits are rounded to 8.  Raises DataError("no_prediction") where there is none, the reader's where it is broken.
    """
    place = next((found[f"{key}{ending}"] for ending in ALPHAS if f"{key}{ending}" in found), None)
    if place is None:
        raise DataError("no_prediction", f"there is no {key}.png and no {key}{ALPHA}.png")
    data = _bytes_of(place)
    colour, alpha = decode_layers(data)
    is_cutout = alpha is not None and not (_is_grey(colour) and alpha.min() == 255)
    matte = alpha if alpha is not None and is_cutout else decode_levels(data)
    if own := found.get(f"{key}{FOREGROUND}"):
        return Keyed(matte, decode_picture(_bytes_of(own)))
    return Keyed(matte, colour if is_cutout and not _is_grey(colour) else None)


def _is_grey(colour: Picture) -> bool:
    return bool(np.array_equal(colour[..., 0], colour[..., 1]) and np.array_equal(colour[..., 1], colour[..., 2]))


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): mend that and try again.") from error
