"""Pairs of videos as a source: one of foregrounds, one of mattes, frame by frame in lockstep (VideoMatte240K)."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from factory.engine.input_files import CRASH, digest, item_of
from factory.engine.survey import Answer, Surveyor
from factory.errors import DataError
from factory.greenscreen.compositing import as_levels
from factory.greenscreen.framing import cut_sides
from factory.greenscreen.on_screen import FramingSettings, painted
from factory.sample import CAPTURED, Matte, Origin, Picture, Request, Sample
from factory.shards.keys import shard_digits
from factory.sources.clips.colour import luma_of, upright
from factory.sources.clips.frames import clip_row, pose_of
from factory.sources.clips.probe import CLIP_LOOK, ClipProbe, chosen, described, upright_rgb
from factory.sources.clips.reader import ClipReader, colours_in, geometry_in, named_moment, one_ahead
from factory.sources.clips.settings import ClipSettings
from factory.sources.clips.video_file import VideoFile
from factory.sources.entry import Row

CODED_NOISE = 2  # levels of alpha that lossy coding adds to plain black and takes from plain white


@dataclass(frozen=True, slots=True, kw_only=True)
class PairProbe:
    """A first look at two clips that belong together. error_kind: "" where they can be used."""

    foreground: ClipProbe
    alpha: ClipProbe
    error_kind: str = ""
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, for `from_json`."""
        return asdict(self) | {"foreground": self.foreground.to_json(), "alpha": self.alpha.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "PairProbe":
        """The same probe again."""
        probes = {name: ClipProbe.from_json(data[name]) for name in ("foreground", "alpha")}
        return cls(**data | probes)


def probe_pair(foreground: Path, alpha: Path, settings: ClipSettings) -> PairProbe:
    """Time stamps and colours of both clips. Frame i of one belongs to frame i of the other, whatever their times."""
    settings = replace(settings, keyed_at=0)  # straight colour must not be averaged without its alpha
    unread = tuple(ClipProbe(size=size, sha256=sha256) for size, sha256 in (digest(foreground), digest(alpha)))
    try:
        with closing(VideoFile(foreground)) as colour, closing(VideoFile(alpha)) as coverage:
            stamps, matching = colour.stamps(), coverage.stamps()
            _check_length(len(stamps.pts), len(matching.pts))
            taken = set(chosen(stamps, settings, colour.time_base))
            both = [pair for pair in zip(stamps.pts, matching.pts, strict=True) if pair[0] in taken]
            probes = (
                described(colour, stamps, [pts for pts, _ in both], settings, unread[0]),
                described(coverage, matching, [pts for _, pts in both], settings, unread[1]),
            )
    except DataError as fault:
        return PairProbe(foreground=unread[0], alpha=unread[1], error_kind=fault.kind, error=str(fault))
    f, a = (probe.geometry for probe in probes)
    if (f.width, f.height) != (a.width, a.height):
        sizes = f"{f.width}×{f.height} and {a.width}×{a.height}"
        return PairProbe(
            foreground=unread[0], alpha=unread[1], error_kind="size", error=f"foreground and alpha differ: {sizes}"
        )
    return PairProbe(foreground=probes[0], alpha=probes[1])


def look_at_pairs(
    surveyor: Surveyor, root: Path, pairs: Sequence[tuple[str, str]], settings: ClipSettings
) -> list[PairProbe]:
    """One probe per pair (foreground, alpha) of clips below a folder, asked through a surveyor."""
    items = [item_of(root, *pair) for pair in pairs]
    question = f"pair {CLIP_LOOK} {asdict(settings)}"
    answers = surveyor("pairs of clips", question, _Look(settings), items, crashed=_crashed)
    return [PairProbe.from_json(answer) for answer in answers]


@dataclass(frozen=True)
class _Look:
    settings: ClipSettings

    def __call__(self, foreground: str, alpha: str) -> Answer:
        return probe_pair(Path(foreground), Path(alpha), self.settings).to_json()


def _crashed(foreground: str, alpha: str) -> Answer:
    return unread_pair(*CRASH).to_json()


def unread_pair(kind: str, sentence: str) -> PairProbe:
    """The probe of a pair that cannot be used."""
    nothing = ClipProbe(size=-1, sha256="")
    return PairProbe(foreground=nothing, alpha=nothing, error_kind=kind, error=sentence)


def _check_length(frames: int, mattes: int) -> None:
    if frames != mattes:
        raise DataError("length", f"the foreground has {frames} frames and the alpha {mattes}: one is cut off")


def pair_row(
    foreground: str, alpha: str, probe: PairProbe, *, source: str, licence: str = "", attribution: str = ""
) -> Row:
    """A pair's row of the frozen table. foreground, alpha: paths relative to the source's folder."""
    names = {"licence": licence, "attribution": attribution}
    return {
        "path": foreground,
        "foreground": clip_row(foreground, probe.foreground, **names),
        "alpha": clip_row(alpha, probe.alpha, **names),
        "source": source,
        "error_kind": probe.error_kind,
        "error": probe.error,
    }


def pair_frame_rows(pair: int, path: str, probe: PairProbe, class_name: str, caption: str) -> list[list[Row]]:
    """A pair's chosen frames as rows of the frozen table, in stretches that begin at key frames of the foreground.

    pair: index of its `pair_row`. A pair that cannot be used has one row, which fails with the pair's fault.
    """

    def row(pts: int, key_pts: int, alpha_pts: int, alpha_key_pts: int, name: str) -> Row:
        return {
            "clip": pair,
            "pts": pts,
            "key_pts": key_pts,
            "alpha_pts": alpha_pts,
            "alpha_key_pts": alpha_key_pts,
            "path": name,
            "class_name": class_name,
            "caption": caption,
        }

    if probe.error_kind:
        return [[row(-1, -1, -1, -1, path)]]
    f, a = probe.foreground, probe.alpha
    rows = [
        row(*stamps, named_moment(path, stamps[0], f.first, f.time_base))
        for stamps in zip(f.pts, f.key_pts, a.pts, a.key_pts, strict=True)
    ]
    return [list(stretch) for _, stretch in groupby(rows, lambda r: r["key_pts"])] if f.seekable else [rows]


class ClipPairs:
    """A finite source: the request's `item` is a row of `pair_frame_rows`. Decodes one frame ahead."""

    def __init__(self, folder: Path, pairs: Sequence[Mapping[str, Any]], framing: FramingSettings) -> None:
        """pairs: the rows of `pair_row`."""
        self._pairs = [dict(pair) for pair in pairs]
        self._framing = framing
        self._foregrounds, self._alphas = ClipReader(folder), ClipReader(folder)
        self._decoding = ThreadPoolExecutor(1, thread_name_prefix="decode")

    def __call__(self, requests: Sequence[Request]) -> list[Sample | DataError]:
        """One composited sample per request, or the fault of its frame. A changed file raises InputChanged."""
        decoded = one_ahead(self._decoding, self._decode, requests)
        return [self._sample(request, pictures) for request, pictures in zip(requests, decoded, strict=True)]

    def _decode(self, request: Request) -> tuple[Picture, Matte] | DataError:
        item, shard = request.item, shard_digits(request.key)
        pair = self._pairs[item["clip"]]
        if pair["error_kind"]:
            return DataError(pair["error_kind"], pair["error"])
        colour, coverage = pair["foreground"], pair["alpha"]
        try:
            frame = self._foregrounds.frame(colour, item["pts"], item["key_pts"], shard)
            foreground = upright_rgb(frame, geometry_in(colour), colours_in(colour))
            frame = self._alphas.frame(coverage, item["alpha_pts"], item["alpha_key_pts"], shard)
            g = geometry_in(coverage)
            alpha = upright(luma_of(frame, colours_in(coverage)), g.rotation, g.width, g.height)
        except DataError as fault:
            return fault
        return as_levels(foreground), clean(as_levels(alpha))

    def _sample(self, request: Request, pictures: tuple[Picture, Matte] | DataError) -> Sample | DataError:
        if isinstance(pictures, DataError):
            return pictures
        foreground, alpha = pictures
        if not alpha.any():
            return DataError("empty", "the frame's alpha is 0 everywhere")
        item = request.item
        pair = self._pairs[item["clip"]]
        origin = Origin(
            kind="composited",
            class_name=item["class_name"],
            caption=item["caption"],
            source=pair["source"],
            item=item["path"],
            colour=str(colours_in(pair["foreground"])),
            licence=pair["foreground"]["licence"],
            attribution=pair["foreground"]["attribution"],
            soft_alpha=True,
            foreground="given",
            digital_source_type=CAPTURED,
        )
        try:
            pose = pose_of(pair["foreground"]["sha256"], request.key)
            return painted(request, origin, foreground, alpha, self._framing, flush=cut_sides(alpha), pose=pose)
        except DataError as fault:
            return fault


def clean(alpha: Matte) -> Matte:
    """Levels that coding noise has moved off 0 and 255 put back: an empty picture must not be faintly there."""
    cleaned = alpha.copy()
    cleaned[alpha <= CODED_NOISE] = 0
    cleaned[alpha >= 255 - CODED_NOISE] = 255
    return cleaned
