"""Mattes by name, wherever they lie: the pictures of a folder, or the alphas inside a data set's tars."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from factory.errors import DataError, UsageError, quoted
from factory.pictures.folder import files_below
from factory.pictures.matte import decode_levels
from factory.pictures.picture import SUFFIXES
from factory.sample import Matte
from factory.shards.layout import Layout
from factory.shards.reader import member_extents, tars_of

ALPHA = "alpha.png"  # the extension of a sample's alpha in a tar


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of one picture lie: a whole file, or a stretch of a tar."""

    path: Path
    offset: int
    size: int


def find_mattes(root: Path) -> dict[str, Place]:
    """Name → place, sorted by name. Of a data set the name is the key, all its splits together.

    Of any other folder it is the relative path without suffix, at any depth; hidden files are passed over.
    Raises UsageError where there are none, or two of one name.
    """
    if not root.is_dir():
        raise UsageError(f"{root} is no folder: give a folder of mattes or a data set made by factory.")
    layout = Layout(root)
    if tars := tars_of(layout):
        places: dict[str, Place] = {}
        for key, place in (item for tar in tars.values() for item in _alphas(root, tar)):
            if key in places:
                raise UsageError(f"{place.path} has {key} a second time: `factory verify {quoted(root)}` says more.")
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
        raise UsageError(f"{tar} cannot be read ({error}): `factory verify {quoted(root)}` says more.") from error


def _pictures(folder: Path) -> dict[str, Place]:
    """Of a picture and a matte of one name, as some sets have them side by side, the PNG is the matte."""
    files = sorted(files_below(folder, SUFFIXES), key=lambda path: (not _is_png(path), path))
    if not files:
        raise UsageError(f"{folder} holds no picture and no shards: give a folder of mattes or a data set.")
    places: dict[str, Place] = {}
    for file in files:
        path, name = folder / file, PurePosixPath(file).with_suffix("").as_posix()
        if name not in places:
            places[name] = Place(path, 0, path.stat().st_size)
        elif _is_png(file) or not _is_png(places[name].path.name):
            raise UsageError(f"{path} and {places[name].path.name} have one name: take one of them away.")
    return dict(sorted(places.items()))


def _is_png(path: str) -> bool:
    return path.lower().endswith(".png")


def read_matte(place: Place) -> Matte:
    """The matte as it is stored, by the reader of all sources (`decode_levels`): 16 bits are rounded to 8.

    Raises DataError("undecodable", "depth", "no_matte" or "too_large"), UsageError where the file cannot be read.
    """
    return decode_levels(read_bytes(place))


def read_bytes(place: Place) -> bytes:
    """What lies there. Raises UsageError where the file cannot be read."""
    try:
        with place.path.open("rb") as file:
            file.seek(place.offset)
            return file.read(place.size)
    except OSError as error:
        raise UsageError(f"{place.path} cannot be read ({error.strerror}): mend that and try again.") from error
