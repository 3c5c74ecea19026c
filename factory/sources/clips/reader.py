"""Reading the planned frames of clips in a worker: one open decoder that goes forward, one frame ahead of its user."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from factory.engine.input_files import digest
from factory.errors import DataError, InputChanged
from factory.sources.clips.colour import Colours
from factory.sources.clips.probe import Geometry
from factory.sources.clips.video_file import VideoFile
from factory.sources.entry import Row

if TYPE_CHECKING:
    from av import VideoFrame

T = TypeVar("T")
R = TypeVar("R")


class ClipReader:
    """Keeps the last clip open. A clip's hash is compared with the plan's once; a changed one raises InputChanged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._as_planned: set[str] = set()
        self._video: VideoFile | None = None
        self._shard = ""

    def frame(self, clip: Row, pts: int, key_pts: int, shard: str) -> "VideoFrame":
        """The planned frame of the clip (a row of `clip_row`). Raises DataError.

        shard: where another begins, so does the decoder, for a shard must not depend on the one made before it.
        """
        video = self._opened(clip)
        if shard != self._shard:
            video.rewind()
            self._shard = shard
        frame = video.frame(pts, key_pts)
        if (frame.width, frame.height) != (clip["coded_width"], clip["coded_height"]):
            planned = f"{clip['coded_width']}×{clip['coded_height']}"
            raise DataError("size", f"the frame is {frame.width}×{frame.height} in a clip of {planned} pixels")
        return frame

    def _opened(self, clip: Row) -> VideoFile:
        path = self._folder / clip["path"]
        if self._video is not None and self._video.path == path:
            return self._video
        if self._video is not None:
            self._video.close()
            self._video = None
        if clip["path"] not in self._as_planned:
            _check(path, clip["sha256"])
            self._as_planned.add(clip["path"])
        self._video = VideoFile(path, seekable=clip["seekable"], strict=clip["strict"])
        return self._video


def _check(path: Path, sha256: str) -> None:
    try:
        same = digest(path)[1] == sha256
    except FileNotFoundError:
        raise InputChanged(
            f"{path} was there when the run was planned and is gone: put it back or start a new run"
        ) from None
    if not same:
        raise InputChanged(f"{path} has changed since the run was planned: restore the file or start a new run")


def geometry_in(clip: Row) -> Geometry:
    """As `clip_row` wrote it."""
    return Geometry(**{field.name: clip[field.name] for field in fields(Geometry)})


def colours_in(clip: Row) -> Colours:
    """As `clip_row` wrote it."""
    return Colours(**{field.name: clip[field.name] for field in fields(Colours)})


def chroma_halved(clip: Row) -> bool:
    """Whether its frames surely have blurred colours when they are keyed: frames made smaller may have sharp ones."""
    g = geometry_in(clip)
    return bool(clip["halved"]) and g.width * g.height >= g.coded_width * g.coded_height


def named_moment(path: str, pts: int, first: int, time_base: Fraction) -> str:
    """A frame's name for people: "clips/a.mp4@3.200s", counted from the clip's first frame."""
    return f"{path}@{float((pts - first) * time_base):.3f}s"


def one_ahead(pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """work(item) for each item in order, computed in the pool's one thread while its user is busy with the last."""
    pending: deque[Future[R]] = deque()
    for item in items:
        pending.append(pool.submit(work, item))
        if len(pending) > 1:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
