"""Mattes by name, wherever they lie: the PNG files of a folder, or the alphas inside a data set's tars."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from factory.errors import DataError, UsageError
from factory.sample import Matte
from factory.shards.layout import Layout
from factory.shards.reader import member_extents, tars_of

ALPHA = "alpha.png"  # the extension of a sample's alpha in a tar
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)  # what Pillow raises


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of one PNG lie: a whole file, or a stretch of a tar."""

    path: Path
    offset: int
    size: int


def find_mattes(root: Path) -> dict[str, Place]:
    """Name → place, sorted by name. Of a data set the name is the key, all its splits together.

    Of any other folder it is the relative path without suffix, at any depth; hidden files are passed over.
    Raises UsageError where there are none, or two of one name.
    """
    if not root.is_dir():
        raise UsageError(f"{root} is no folder: give a folder of PNG mattes or a data set made by factory.")
    layout = Layout(root)
    if tars := tars_of(layout):
        places: dict[str, Place] = {}
        for key, place in (item for tar in tars.values() for item in _alphas(root, tar)):
            if key in places:
                raise UsageError(f"{place.path} has {key} a second time: `factory verify {root}` says more.")
            places[key] = place
        return dict(sorted(places.items()))
    if layout.plan.exists():
        made = "accepted sample" if layout.finished.exists() else "finished shard yet"
        raise UsageError(f"{root} has no {made}: there is nothing to evaluate.")
    return _pictures(root)


def _alphas(root: Path, tar: Path) -> Iterator[tuple[str, Place]]:
    """Every alpha of one tar. Only headers are read."""
    try:
        with tar.open("rb") as file:
            for key, extension, extent in member_extents(tar, file):
                if extension == ALPHA:
                    yield key, Place(tar, extent.offset, extent.size)
    except (DataError, OSError) as error:
        raise UsageError(f"{tar} cannot be read ({error}): `factory verify {root}` says more.") from error


def _pictures(folder: Path) -> dict[str, Place]:
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() == ".png" and not p.name.startswith("."))
    if not paths:
        raise UsageError(f"{folder} holds no PNG file and no shards: give a folder of PNG mattes or a data set.")
    places: dict[str, Place] = {}
    for path in paths:
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in places:
            raise UsageError(f"{path} and {places[name].path.name} have one name: take one of them away.")
        places[name] = Place(path, 0, path.stat().st_size)
    return dict(sorted(places.items()))


def read_matte(place: Place) -> Matte:
    """The matte as it is stored: one grey channel of 8 bits (or fewer, which PNG spreads to 0..255).

    Raises DataError("undecodable", "depth", "not_grey" or "too_large"), UsageError where the file cannot be read.
    """
    try:
        with place.path.open("rb") as file:
            file.seek(place.offset)
            data = file.read(place.size)
    except OSError as error:
        raise UsageError(f"{place.path} cannot be read ({error.strerror}): mend that and try again.") from error
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if data[24] == 16:  # IHDR's bit depth; Pillow would cut colour to 8 without a word
                raise DataError("depth", "16 bits a channel: the errors are defined on 8, convert it")
            if image.mode not in {"1", "L"}:
                raise DataError(
                    "not_grey", f"a picture in mode {image.mode}: save the alpha alone, as one grey channel"
                )
            return np.asarray(image.convert("L"), np.uint8)
    except Image.DecompressionBombError:
        raise DataError("too_large", "more pixels than a matte may have") from None
    except BROKEN:
        raise DataError("undecodable", "no PNG, or broken or cut off") from None
