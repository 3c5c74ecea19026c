"""Green-screen clips as a source: chosen frames, keyed, on a pure screen."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from factory.errors import DataError
from factory.greenscreen.keyer.clean_plate import Picture16
from factory.greenscreen.keyer.screen import Screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.sample import Request, Sample
from factory.shards.keys import shard_digits
from factory.sources.clips.colour import Floats
from factory.sources.clips.probe import ClipProbe, unpacked, upright_rgb
from factory.sources.clips.reader import (
    ClipReader,
    chroma_halved,
    colours_in,
    geometry_in,
    named_moment,
    one_ahead,
)
from factory.sources.entry import Row
from factory.sources.files.keying import keyed, origin_of
from factory.sources.files.on_screen import FramingSettings


def clip_row(path: str, probe: ClipProbe, *, licence: str = "", attribution: str = "") -> Row:
    """A clip's row of the frozen table. path: relative to the source's folder, POSIX separators."""
    return {
        "path": path,
        "size": probe.size,
        "sha256": probe.sha256,
        **asdict(probe.geometry),
        **asdict(probe.colours),
        "seekable": probe.seekable,
        "strict": probe.strict,
        "screen": list(probe.screen.colour),
        "noise": probe.screen.noise,
        "plate": probe.plate,
        "licence": licence,
        "attribution": attribution,
        "error_kind": probe.error_kind,
        "error": probe.error,
    }


def frame_rows(clip: int, path: str, probe: ClipProbe, class_name: str, caption: str) -> list[list[Row]]:
    """A clip's chosen frames as rows of the frozen table, in stretches that each begin at a key frame.

    clip: index of its `clip_row`. A clip that cannot be used has one row, which fails with the clip's fault; one whose
    index cannot be trusted is one stretch.
    """

    def row(pts: int, key_pts: int, name: str) -> Row:
        return {
            "clip": clip,
            "pts": pts,
            "key_pts": key_pts,
            "path": name,
            "class_name": class_name,
            "caption": caption,
        }

    if probe.error_kind:
        return [[row(-1, -1, path)]]
    rows = [
        row(pts, key_pts, named_moment(path, pts, probe.first, probe.time_base))
        for pts, key_pts in zip(probe.pts, probe.key_pts, strict=True)
    ]
    return [list(stretch) for _, stretch in groupby(rows, lambda r: r["key_pts"])] if probe.seekable else [rows]


def pose_of(clip: str, key: str) -> int:
    """The seed of how a clip's object is framed: one for all its frames in a shard, so that near-identical frames stay
    near-identical pictures, which the gate for duplicates sees.  clip: its hash.  key: a sample's.
    """
    return int.from_bytes(hashlib.sha256(f"{clip}:{shard_digits(key)}".encode()).digest()[:8], "big")


class Clips:
    """A finite source: the request's `item` is a row of `frame_rows`. Decodes the next frame while it keys one."""

    def __init__(
        self,
        folder: Path,
        clips: Sequence[Mapping[str, Any]],
        settings: KeyerSettings,
        framing: FramingSettings,
        *,
        source: str = "clips",
        painted_by: str = "",
        shadows: bool = False,
    ) -> None:
        """clips: the rows of `clip_row`.  source: what the folder goes by in every sample.  painted_by: a model.
        shadows: see `keyed`.
        """
        self._clips = [dict(clip) for clip in clips]
        self._settings = settings
        self._framing = framing
        self._source = source
        self._painted_by = painted_by
        self._shadows = shadows
        self._reader = ClipReader(folder)
        self._decoding = ThreadPoolExecutor(1, thread_name_prefix="decode")
        self._plate: tuple[int, Picture16] | None = None  # of the clip in work

    def __call__(self, requests: Sequence[Request]) -> list[Sample | DataError]:
        """One keyed sample per request, or the fault of its frame. A changed file raises InputChanged."""
        decoded = one_ahead(self._decoding, self._picture, requests)
        return [self._keyed(request, picture) for request, picture in zip(requests, decoded, strict=True)]

    def _picture(self, request: Request) -> Floats | DataError:
        item = request.item
        clip = self._clips[item["clip"]]
        if clip["error_kind"]:
            return DataError(clip["error_kind"], clip["error"])
        try:
            frame = self._reader.frame(clip, item["pts"], item["key_pts"], shard_digits(request.key))
            return upright_rgb(frame, geometry_in(clip), colours_in(clip))
        except DataError as fault:
            return fault

    def _keyed(self, request: Request, picture: Floats | DataError) -> Sample | DataError:
        if isinstance(picture, DataError):
            return picture
        item = request.item
        clip = self._clips[item["clip"]]
        colours = colours_in(clip).told(clip["coded_height"])
        try:
            return keyed(
                request,
                origin_of(item, clip, self._source, painted_by=self._painted_by, colour=colours),
                picture,
                self._plate_of(item["clip"]),
                Screen(colour=tuple(clip["screen"]), noise=clip["noise"]),
                settings=self._settings,
                framing=self._framing,
                halved=chroma_halved(clip),
                pose=pose_of(clip["sha256"], request.key),
                shadows=self._shadows,
            )
        except DataError as fault:
            return fault

    def _plate_of(self, clip: int) -> Picture16:
        if self._plate is None or self._plate[0] != clip:
            self._plate = (clip, unpacked(self._clips[clip]["plate"]))
        return self._plate[1]
