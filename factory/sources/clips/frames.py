"""Green-screen clips as a source: chosen frames as they were filmed, to be keyed."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from factory.errors import DataError
from factory.greenscreen.compositing import as_levels
from factory.sample import Neighbour, Request, Sample, SeenScreen, Shot
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


def order_of(probe: ClipProbe) -> Row:
    """A clip's frames in the order shown, in its row, where frames are to be keyed with their neighbours."""
    return {"pts": list(probe.pts), "key_pts": list(probe.key_pts)}


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
        steady: int = 0,
    ) -> None:
        """clips: the rows of `clip_row`.  name: in the plan.  source: in every sample.  painted_by: a model.

        steady: frames on each side that shall have a say in a frame's matte; the rows then have `order_of` too.
        """
        self._clips = [dict(clip) for clip in clips]
        self._name = name
        self._source = source
        self._painted_by = painted_by
        self._steady = steady
        self._pictures: OrderedDict[tuple[int, int], Floats] = OrderedDict()  # of a shard's last frames
        self._shard = ""
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
        shard = shard_digits(request.key)
        beside: tuple[Neighbour, ...] = ()
        try:
            if self._steady:
                before, after = self._around(item["clip"], item["pts"])
                beside = self._neighbours(item["clip"], before, shard)
                picture = self._picture(item["clip"], item["pts"], item["key_pts"], shard)
                beside += self._neighbours(item["clip"], after, shard)
            else:
                picture = self._read(clip, item["pts"], item["key_pts"], shard)
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
                name=(item["clip"], item["pts"]) if self._steady else None,
                beside=beside,
            ),
        )

    def _read(self, clip: Row, pts: int, key_pts: int, shard: str) -> Floats:
        return upright_rgb(self._reader.frame(clip, pts, key_pts, shard), geometry_in(clip), colours_in(clip))

    def _around(self, number: int, pts: int) -> tuple[list[int], list[int]]:
        """Where the frames before and after one stand in its clip's order."""
        at = self._clips[number]["pts"].index(pts)
        last = len(self._clips[number]["pts"])
        return list(range(max(0, at - self._steady), at)), list(range(at + 1, min(last, at + self._steady + 1)))

    def _neighbours(self, number: int, places: Sequence[int], shard: str) -> tuple[Neighbour, ...]:
        """These frames, without those that cannot be decoded: they are faults of their own."""
        clip, found = self._clips[number], []
        for place in places:
            pts, key_pts = clip["pts"][place], clip["key_pts"][place]
            try:
                found.append(Neighbour((number, pts), self._picture(number, pts, key_pts, shard)))
            except DataError:
                continue
        return tuple(found)

    def _picture(self, number: int, pts: int, key_pts: int, shard: str) -> Floats:
        """The frame, kept while its neighbours may ask for it. Raises DataError."""
        if shard != self._shard:
            self._pictures.clear()
            self._shard = shard
        picture = self._pictures.get((number, pts))
        if picture is None:
            picture = self._read(self._clips[number], pts, key_pts, shard)
            self._pictures[number, pts] = picture
            while len(self._pictures) > 2 * self._steady + 1:
                self._pictures.popitem(last=False)
        return picture

    def _screen_of(self, number: int) -> SeenScreen:
        if self._screen is None or self._screen[0] != number:
            clip = self._clips[number]
            self._screen = (number, SeenScreen(tuple(clip["screen"]), clip["noise"], unpacked(clip["plate"])))
        return self._screen[1]
