"""Green-screen clips as a source: chosen frames as they were filmed, to be keyed."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from factory.errors import DataError
from factory.greenscreen.compositing import as_levels
from factory.sample import Request, Sample, SeenScreen, Shot
from factory.shards.keys import shard_digits
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
from factory.sources.files.origins import origin_of


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
    """A finite source: the request's `item` is a row of `frame_rows`. Decodes the next frame while one is keyed."""

    def __init__(
        self,
        folder: Path,
        clips: Sequence[Mapping[str, Any]],
        *,
        name: str,
        source: str = "clips",
        painted_by: str = "",
    ) -> None:
        """clips: the rows of `clip_row`.  name: in the plan.  source: in every sample.  painted_by: a model."""
        self._clips = [dict(clip) for clip in clips]
        self._name = name
        self._source = source
        self._painted_by = painted_by
        self._reader = ClipReader(folder)
        self._decoding = ThreadPoolExecutor(1, thread_name_prefix="decode")
        self._screen: tuple[int, SeenScreen] | None = None  # of the clip in work

    def __call__(self, requests: Sequence[Request]) -> Iterator[Sample | DataError]:
        """One frame per request, not yet keyed, or its fault. A changed file raises InputChanged."""
        return one_ahead(self._decoding, self._sample_or_fault, requests)

    def _sample_or_fault(self, request: Request) -> Sample | DataError:
        item = request.item
        clip = self._clips[item["clip"]]
        if clip["error_kind"]:
            return DataError(clip["error_kind"], clip["error"])
        try:
            frame = self._reader.frame(clip, item["pts"], item["key_pts"], shard_digits(request.key))
            picture = upright_rgb(frame, geometry_in(clip), colours_in(clip))
        except DataError as fault:
            return fault
        colours = colours_in(clip).told(clip["coded_height"])
        return Sample(
            request=request,
            origin=origin_of(item, clip, self._source, painted_by=self._painted_by, colour=colours),
            rgb=as_levels(picture),
            shot=Shot(
                source=self._name,
                exact=picture,
                screen=self._screen_of(item["clip"]),
                halved=chroma_halved(clip),
                pose=pose_of(clip["sha256"], request.key),
            ),
        )

    def _screen_of(self, number: int) -> SeenScreen:
        if self._screen is None or self._screen[0] != number:
            clip = self._clips[number]
            self._screen = (number, SeenScreen(tuple(clip["screen"]), clip["noise"], unpacked(clip["plate"])))
        return self._screen[1]
