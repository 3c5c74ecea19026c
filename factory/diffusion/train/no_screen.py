"""Training pictures that show no screen: objects before photographs, and ordinary pictures with their captions."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError, UsageError
from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.pictures.folder import files_below
from factory.pictures.picture import SUFFIXES, decode_picture
from factory.sample import Matte, Picture
from factory.shards.commit import sha256_of
from factory.shards.layout import Layout

LEAST = 4  # times the training's side: a photograph is kept no larger, which leaves room for windows of many sizes
KEPT = 2**28  # bytes of photographs in memory
CAPTION = ".txt"  # beside a picture, as other trainers have it


class Prompt(str):
    """A caption of a picture that shows no screen: it is its own prompt, and no word of it is supervised."""

    __slots__ = ()


@dataclass(frozen=True)
class Photographs:
    """Of a folder, at any depth, to stand behind objects of `size` pixels.  plain: share of single colours instead."""

    folder: Path
    size: int
    plain: float = 0.0

    @cached_property
    def names(self) -> list[str]:
        """Sorted. Raises UsageError where there are none."""
        found = sorted(files_below(self.folder, SUFFIXES))
        if not found:
            raise UsageError(f"there is no picture in {self.folder}: name a folder of photographs as backgrounds.")
        return found

    def behind(self, foreground: Picture, alpha: Matte, key: str) -> Picture:
        """The object before a window of a photograph, or before one colour; all is drawn from the sample's key."""
        random = np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big"))
        background = _colour(random) if random.random() < self.plain else as_unit(self._window(random))
        return as_levels(composite(as_unit(foreground), as_unit(alpha), background))

    def _window(self, random: np.random.Generator) -> Picture:
        photograph = self._read(int(random.integers(len(self.names))))
        height, width = photograph.shape[:2]
        most = min(height, width)
        side = int(random.integers(min(self.size, most), most + 1))
        top, left = (int(random.integers(room - side + 1)) for room in (height, width))
        window = photograph[top : top + side, left : left + side]
        way = cv2.INTER_AREA if side >= self.size else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(window, (self.size, self.size), interpolation=way), np.uint8)

    @cached_property
    def _read(self) -> Callable[[int], Picture]:
        return lru_cache(maxsize=max(1, KEPT // (3 * (LEAST * self.size) ** 2)))(self._decoded)

    def _decoded(self, number: int) -> Picture:
        path = self.folder / self.names[number]
        try:
            photograph = decode_picture(path.read_bytes())
        except (DataError, OSError) as error:
            raise UsageError(f"{path} cannot be read ({error}): take it out of the backgrounds.") from error
        return _within(photograph, LEAST * self.size)


def _colour(random: np.random.Generator) -> NDArray[np.float32]:
    """(3,) in 0..1: a quarter of the time each channel is off, a quarter full, so that pure colours are among them."""
    return np.asarray(np.clip(random.uniform(-0.5, 1.5, 3), 0, 1), np.float32)


def _within(picture: Picture, side: int) -> Picture:
    """Its shorter side at most that many pixels."""
    if (scale := side / min(picture.shape[:2])) >= 1:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def is_pictures(folder: Path) -> bool:
    """Whether a folder holds ordinary pictures, and no data set."""
    layout = Layout(folder)
    if any(place.exists() for place in (layout.plan, layout.manifest, layout.parts, layout.finished)):
        return False
    return any(files_below(folder, SUFFIXES))


def captions_of(folder: Path) -> dict[str, Prompt]:
    """File → its caption, in the order of their names. Raises UsageError where one has none."""
    captions = {}
    for name in sorted(files_below(folder, SUFFIXES)):
        beside = (folder / name).with_suffix(CAPTION)
        if not beside.is_file():
            raise UsageError(f"{folder / name} has no caption: write one into {beside.name} beside it.")
        captions[name] = Prompt(" ".join(beside.read_text(encoding="utf-8").split()))
    return captions


def pictures_of(folder: Path, size: int) -> Iterator[tuple[Picture, Prompt]]:
    """The middle square of each picture, at (size, size, 3), and its caption."""
    for name, caption in captions_of(folder).items():
        try:
            picture = decode_picture((folder / name).read_bytes())
        except (DataError, OSError) as error:
            raise UsageError(f"{folder / name} cannot be read ({error}): take it out, or mend it.") from error
        side = min(picture.shape[:2])
        top, left = ((room - side) // 2 for room in picture.shape[:2])
        square = picture[top : top + side, left : left + side]
        way = cv2.INTER_AREA if side >= size else cv2.INTER_CUBIC
        yield np.asarray(cv2.resize(square, (size, size), interpolation=way), np.uint8), caption


def content_sha256(folder: Path) -> str:
    """Of its pictures and captions."""
    lines = [
        f"{name}\0{sha256_of(folder / name)}\0{hashlib.sha256(caption.encode()).hexdigest()}\n"
        for name, caption in captions_of(folder).items()
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
