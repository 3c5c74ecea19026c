"""A clip as frames, one after the other: a video file, or a folder of pictures in the order of their names."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from factory.errors import DataError, UsageError
from factory.greenscreen.compositing import as_unit
from factory.pictures.folder import files_below
from factory.pictures.picture import SUFFIXES, decode_picture, probe_picture
from factory.shards.sequence import usual_rate
from factory.sources.clips.colour import Colours, Floats, luma_of, to_rgb, upright
from factory.sources.clips.probe import ClipProbe, described
from factory.sources.clips.settings import ClipSettings
from factory.sources.clips.video_file import VideoFile

DIGITS = re.compile(r"(\d+)")
AS_FILMED = ClipSettings(every=1, keyed_at=0)
USUAL_RATE = Fraction(25)  # of a single frame, and of pictures in a folder


@dataclass(frozen=True, kw_only=True)
class Footage:
    """What was found of a clip before its frames are read.

    count: of its frames.  width, height: of all of them, upright.  numbers: a number for each frame, rising, by which
    other tools may have named what belongs to it.  rgb: opens it at its beginning; (H, W, 3) float32 in 0..1.
    levels: the same for a clip of masks; (H, W) float32 in 0..1.
    """

    path: Path
    count: int
    width: int
    height: int
    rate: Fraction
    numbers: tuple[int, ...]
    rgb: Callable[[], Iterator[Floats]]
    levels: Callable[[], Iterator[Floats]]


def open_footage(path: Path) -> Footage:
    """Look at a clip. Raises UsageError for one that is missing, broken, cut off, interlaced or of frames of two sizes.

    Its iterators raise UsageError at a frame that cannot be decoded, and name it.
    """
    if not path.exists():
        raise UsageError(f"{path}: there is no such clip; give a video file, or a folder of pictures.")
    return _folder(path) if path.is_dir() else _video(path)


def in_order(folder: Path) -> list[Path]:
    """Pictures of a folder by name, numbers as numbers: 9 comes before 10. Raises UsageError if there are none."""
    names = sorted(files_below(folder, SUFFIXES, depth=0), key=_natural)
    if not names:
        raise UsageError(f"{folder} holds no pictures: give the folder in which a clip's frames lie, one a file.")
    return [folder / name for name in names]


def numbers_of(files: Sequence[Path]) -> tuple[int, ...]:
    """The last number in each name; their places where one has none, or where they do not rise."""
    found = [DIGITS.findall(file.stem) for file in files]
    numbers = tuple(int(each[-1]) for each in found if each)
    rise = len(numbers) == len(files) and all(a < b for a, b in pairwise(numbers))
    return numbers if rise else tuple(range(len(files)))


def _natural(name: str) -> list[tuple[int, str]]:
    """Numbers before words; DIGITS splits a name into words and numbers in turn."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in DIGITS.split(name)]


def _folder(path: Path) -> Footage:
    files = in_order(path)
    sizes = {file: _size(file) for file in files}
    width, height = sizes[files[0]]
    for file, size in sizes.items():
        if size != (width, height):
            raise UsageError(
                f"{file} is {size[0]}×{size[1]} in a clip of {width}×{height} pixels: give one clip alone."
            )

    def rgb() -> Iterator[Floats]:
        for file in files:
            with reading(path, file.name):
                picture = decode_picture(file.read_bytes())
            yield as_unit(picture)

    return Footage(
        path=path,
        count=len(files),
        width=width,
        height=height,
        rate=USUAL_RATE,
        numbers=numbers_of(files),
        rgb=rgb,
        levels=lambda: (np.asarray(picture.mean(axis=2), np.float32) for picture in rgb()),
    )


def _size(file: Path) -> tuple[int, int]:
    width, height, fault = probe_picture(file.read_bytes())
    if fault is not None:
        raise UsageError(f"{file}: {fault}.")
    return width, height


def _video(path: Path) -> Footage:
    """Its time stamps are read, and of its frames the first that can be decoded."""
    with reading(path), closing(VideoFile(path)) as video:
        stamps = video.stamps()
        absent = video.absent(stamps)
        probe = described(video, stamps, stamps.pts, AS_FILMED, ClipProbe(size=0, sha256=""))
    if absent:
        seconds = float((absent[0] - probe.first) * probe.time_base)
        raise UsageError(
            f"{path} is cut off after {seconds:.1f} s ({len(probe.pts)} frames): copy it again, or write what is there "
            "as a clip of its own (`ffmpeg -i CLIP -c copy NEW`)."
        )
    taken = (probe.pts[-1] - probe.pts[0]) * probe.time_base
    return Footage(
        path=path,
        count=len(probe.pts),
        width=probe.geometry.width,
        height=probe.geometry.height,
        rate=usual_rate(len(probe.pts) - 1, taken) if taken else USUAL_RATE,
        numbers=tuple(range(len(probe.pts))),
        rgb=lambda: _decoded(path, probe, to_rgb),
        levels=lambda: _decoded(path, probe, luma_of),
    )


def _decoded(path: Path, probe: ClipProbe, read: Callable[[Any, Colours], Floats]) -> Iterator[Floats]:
    g = probe.geometry
    with closing(VideoFile(path, seekable=probe.seekable, strict=probe.strict)) as video:
        for number, (pts, key_pts) in enumerate(zip(probe.pts, probe.key_pts, strict=True)):
            name = f"frame {number} (of 0 to {len(probe.pts) - 1})"
            with reading(path, name):
                frame = video.frame(pts, key_pts)
                picture = read(frame, probe.colours)
            if picture.shape[:2] != (g.coded_height, g.coded_width):
                raise UsageError(f"{path}, {name} is of another size than those before: cut the clip there.")
            yield upright(picture, g.rotation, g.width, g.height)


@contextmanager
def reading(path: Path, name: str = "") -> Iterator[None]:
    """A fault of the data as a UsageError that says where.  name: of a part; "" for all of it."""
    try:
        yield
    except DataError as fault:
        where = f"{path}, {name}" if name else f"{path}"
        raise UsageError(f"{where}: {fault}.") from fault
