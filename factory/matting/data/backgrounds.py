"""Random backgrounds from a folder of pictures of any kind and size."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from factory.errors import DataError, UsageError
from factory.greenscreen.resizing import size_within
from factory.home import at_home
from factory.matting.data.cache import Arrays, Cache
from factory.pictures.folder import files_below
from factory.pictures.picture import SUFFIXES, decode_picture
from factory.sample import Picture
from factory.shards.layout import Layout

LONGEST = 2048  # pixels of a side: more would be shrunk again in most windows


@dataclass(frozen=True)
class Backgrounds:
    """names: of the picture files below the folder, sorted."""

    folder: Path
    names: tuple[str, ...]

    def read(self, number: int, cache: Cache | None) -> Picture:
        """(H, W, 3) uint8 sRGB, no side above 2048. Raises DataError where the file is no picture that can be read."""
        path = self.folder / self.names[number]
        try:
            if cache is None:
                return _decoded(path)[0]
            there = path.stat()
            return cache.get(f"{path} {there.st_size} {there.st_mtime_ns}", lambda: _decoded(path))[0]
        except OSError as error:
            raise DataError("unreadable", f"the file cannot be read ({error.strerror})") from error


def find_backgrounds(folder: str) -> Backgrounds:
    """Raises UsageError where there are no pictures, or where they are the samples of a set."""
    path = at_home(Path(folder)).absolute()
    if Layout(path).manifest.exists() or Layout(path).plan.exists():
        raise UsageError(f"{path} is a data set, whose pictures show objects: name a folder of background pictures.")
    names = tuple(sorted(files_below(path, SUFFIXES)))
    if not names:
        raise UsageError(f"there is no picture in {path}: name a folder of background pictures.")
    return Backgrounds(path, names)


def _decoded(path: Path) -> Arrays:
    picture = decode_picture(path.read_bytes())
    if max(picture.shape) > LONGEST:
        size = size_within(picture.shape, LONGEST)
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return (picture,)
