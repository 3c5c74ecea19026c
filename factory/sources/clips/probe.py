"""A first look at green-screen clips: what planning freezes of each, so that workers only have to follow."""

import base64
import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from factory.engine.input_files import CRASH, digest, item_of
from factory.engine.survey import Answer, Surveyor
from factory.errors import DataError, UsageError
from factory.greenscreen.keyer.clean_plate import Picture16, clean_plate, sure_screen
from factory.greenscreen.keyer.screen import Screen, find_screen, unaveraged
from factory.pictures.folder import files_below
from factory.sources.clips.colour import Colours, Floats, colours_of, to_rgb, upright, with_evidence
from factory.sources.clips.settings import ClipSettings
from factory.sources.clips.video_file import Stamps, VideoFile
from factory.sources.files.planned import included

if TYPE_CHECKING:
    from av import VideoFrame

SUFFIXES = {
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv"),
    *(".ts", ".mts", ".m2ts", ".mpg", ".mpeg"),
}
CLIP_LOOK = 4  # version of what is asked of clips: earlier answers take skies for screens, and trust no screen's colour
LOOKED_AT = 9  # frames, spread over the clip, from which screen and plate are found
LONG_SIDE = 1920  # of those frames while they are held together
BLACKEST = 20 / 255  # of every pixel in a bar
THINNEST = 0.02  # share of the frame that a bar takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How a clip's frames lie and are shown. width, height: to be keyed at; upright, with square pixels."""

    width: int
    height: int
    coded_width: int
    coded_height: int
    rotation: int  # degrees counterclockwise that make a coded frame upright


UNKNOWN_GEOMETRY = Geometry(width=-1, height=-1, coded_width=-1, coded_height=-1, rotation=0)
UNKNOWN_COLOURS = Colours(matrix="bt709", range="tv")
UNKNOWN_SCREEN = Screen(colour=(0.0, 0.0, 0.0), noise=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipProbe:
    """What a first look found out. error_kind: "" where the clip can be used; else most fields say nothing.

    pts, key_pts: the chosen frames, and for each the key frame from which it is decoded.  first: when the clip starts.
    plate: the clean plate as 16-bit RGB PNG.
    """

    size: int
    sha256: str
    geometry: Geometry = UNKNOWN_GEOMETRY
    colours: Colours = UNKNOWN_COLOURS
    seekable: bool = False
    strict: bool = True
    time_base: Fraction = Fraction(1)
    first: int = 0
    pts: tuple[int, ...] = ()
    key_pts: tuple[int, ...] = ()
    screen: Screen = UNKNOWN_SCREEN
    plate: bytes = b""
    error_kind: str = ""
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, for `from_json`."""
        return asdict(self) | {"time_base": str(self.time_base), "plate": base64.b64encode(self.plate).decode()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ClipProbe":
        """The same probe again."""
        screen = data["screen"]
        red, green, blue = screen["colour"]
        return cls(
            **data
            | {
                "geometry": Geometry(**data["geometry"]),
                "colours": Colours(**data["colours"]),
                "time_base": Fraction(data["time_base"]),
                "pts": tuple(data["pts"]),
                "key_pts": tuple(data["key_pts"]),
                "screen": Screen(colour=(red, green, blue), noise=screen["noise"]),
                "plate": base64.b64decode(data["plate"]),
            }
        )


def list_clips(folder: Path, include: Sequence[str] = ("**/*",)) -> list[str]:
    """Video files at any depth, as sorted relative paths (POSIX separators). Hidden files and folders are skipped.

    include: glob patterns for the whole relative path.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give a folder of video clips")
    names = sorted(files_below(folder, SUFFIXES))
    if not names:
        raise UsageError(f"{folder} holds no video file: give a folder of clips ({' '.join(sorted(SUFFIXES))})")
    return list(filter(included(include), names))


def assign_split(paths: Sequence[str], share: float, seed: int) -> set[str]:
    """The clips that are for validation: about `share` of them, whole, and the same ones when others are added."""
    limit = int(share * 2**64)
    return {
        path for path in paths if int.from_bytes(hashlib.sha256(f"{seed}:{path}".encode()).digest()[:8], "big") < limit
    }


def probe_clip(path: Path, settings: ClipSettings) -> ClipProbe:
    """Time stamps, colours, screen and clean plate of a clip; bad content is told in the answer, not raised."""
    size, sha256 = digest(path)
    try:
        return _probed(path, settings, ClipProbe(size=size, sha256=sha256))
    except DataError as fault:
        return ClipProbe(size=size, sha256=sha256, error_kind=fault.kind, error=str(fault))


def _probed(path: Path, settings: ClipSettings, empty: ClipProbe) -> ClipProbe:
    with closing(VideoFile(path)) as video:
        stamps = video.stamps()
        pts = chosen(stamps, settings, video.time_base) + video.absent(stamps)
        probe = described(video, stamps, pts, settings, empty)
        if video.hides_alpha:
            raise _has_alpha()
        looks = [_look(frame, probe) for frame in _spread(video, probe)]
        refuse_bars(looks)
        screen = find_screen(looks)
        if (colours := _told_by(screen, video, probe)) != probe.colours:
            probe = replace(probe, colours=colours)
            looks = [_look(frame, probe) for frame in _spread(video, probe)]
            screen = find_screen(looks)
        return replace(probe, seekable=video.seekable, screen=screen, plate=_packed(clean_plate(looks, screen)))


def _told_by(screen: Screen, video: VideoFile, probe: ClipProbe) -> Colours:
    """The clip's colours in the light of its screen, by the first frame that shows some of it."""
    for frame in _spread(video, probe) if probe.colours.assumed else ():
        is_screen = sure_screen(to_rgb(frame, probe.colours), screen)
        if is_screen.any():
            return with_evidence(probe.colours, frame, is_screen)
    return probe.colours


def described(
    video: VideoFile, stamps: Stamps, pts: Sequence[int], settings: ClipSettings, empty: ClipProbe
) -> ClipProbe:
    """The probe with the chosen frames, and with geometry and colours as the first that can be decoded tells them."""
    entries = video.entries(stamps)
    probe = replace(
        empty,
        time_base=video.time_base,
        first=stamps.pts[0],
        pts=tuple(pts),
        key_pts=tuple(entries[bisect_right(entries, shown) - 1] for shown in pts),
    )
    first = next(_spread(video, probe), None)
    if first is None:
        raise DataError("undecodable", "none of the clip's frames can be decoded: it is broken")
    if first.interlaced_frame:
        raise DataError("interlaced", "the clip is interlaced: deinterlace it first (ffmpeg -vf bwdif)")
    return replace(
        probe,
        seekable=video.seekable,
        strict=video.strict,
        colours=_decided(colours_of(first), settings),
        geometry=geometry_of(first, video.pixel_aspect, settings.keyed_at),
    )


def _decided(tagged: Colours, settings: ClipSettings) -> Colours:
    """The clip's own colours, except where the settings say otherwise."""
    if tagged.matrix == "rgb":
        return tagged
    return replace(
        tagged,
        matrix=tagged.matrix if settings.matrix == "auto" else settings.matrix,
        range=tagged.range if settings.range == "auto" else settings.range,
        assumed=tagged.assumed and settings.matrix == "auto",
        siting=tagged.siting if settings.siting == "auto" else settings.siting,
    )


def geometry_of(frame: "VideoFrame", pixel_aspect: Fraction, keyed_at: int) -> Geometry:
    """Raises DataError("rotation") for a clip that is mirrored, or turned by other than quarter turns."""
    rotation = frame.rotation % 360
    if _is_mirrored(frame):
        raise DataError(
            "rotation", "the clip's metadata mirrors it: encode it again, ffmpeg writes frames as players show them"
        )
    if rotation % 90:
        raise DataError("rotation", f"the clip is turned by {rotation}°: only quarter turns can be made upright")
    shown = (frame.width * pixel_aspect, Fraction(frame.height))
    factor = max(1, round(min(shown) / keyed_at)) if keyed_at else 1
    size = (round(shown[0] / factor), round(shown[1] / factor))
    width, height = size if rotation % 180 == 0 else size[::-1]
    return Geometry(width=width, height=height, coded_width=frame.width, coded_height=frame.height, rotation=rotation)


def _is_mirrored(frame: "VideoFrame") -> bool:
    """Whether the frame's display matrix, of which PyAV tells the rotation alone, has a negative determinant."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False
    a, b, _, c, d, *_ = (int(entry) for entry in np.frombuffer(bytes(matrix), np.int32))
    return a * d - b * c < 0


def upright_rgb(frame: "VideoFrame", geometry: Geometry, colours: Colours) -> Floats:
    """(height, width, 3) in 0..1."""
    return upright(to_rgb(frame, colours), geometry.rotation, geometry.width, geometry.height)


def chosen(stamps: Stamps, settings: ClipSettings, time_base: Fraction) -> tuple[int, ...]:
    """Time stamps of the frames to take, rising."""
    match settings.frames:
        case "every":
            return stamps.pts[:: settings.every]
        case "keyframes":
            return stamps.keys
        case "rate":
            step = 1 / (Fraction(settings.rate) * time_base)
            count = int((stamps.pts[-1] - stamps.pts[0]) / step) + 1
            wanted = (stamps.pts[0] + k * step for k in range(count))
            return tuple(sorted({stamps.pts[bisect_left(stamps.pts, moment)] for moment in wanted}))


def _spread(video: VideoFile, probe: ClipProbe) -> Iterator["VideoFrame"]:
    """Some chosen frames over the whole clip, or their key frames if there are enough, for they cost little.

    What cannot be decoded, or is of another size once the geometry is known, is left out here: it is met again, and
    recorded, when it is to become a sample.
    """
    keys = sorted(set(probe.key_pts))
    pairs = zip(keys, keys, strict=True) if len(keys) >= LOOKED_AT else zip(probe.pts, probe.key_pts, strict=True)
    frames = list(pairs)
    size = (probe.geometry.coded_width, probe.geometry.coded_height)
    for index in sorted({round(i) for i in np.linspace(0, len(frames) - 1, LOOKED_AT)}):
        try:
            frame = video.frame(*frames[index])
        except DataError:
            continue
        if size in {(-1, -1), (frame.width, frame.height)}:
            yield frame


def _look(frame: "VideoFrame", probe: ClipProbe) -> Floats:
    if any(component.is_alpha for component in frame.format.components) and _is_see_through(frame):
        raise _has_alpha()
    return unaveraged(upright_rgb(frame, probe.geometry, probe.colours), LONG_SIDE)


def _has_alpha() -> DataError:
    return DataError(
        "alpha",
        "the clip has an alpha channel, so it is cut out already and is not keyed: write its colours and its matte as "
        "two clips and name them as a source of `type: public` with `dataset: videomatte240k`",
    )


def _is_see_through(frame: "VideoFrame") -> bool:
    return bool(frame.to_ndarray(format="rgba")[..., 3].min() < 255)


def refuse_bars(looks: Sequence[Floats]) -> None:
    """Raise DataError("bars") where black bars frame every one of a clip's frames, as letterboxing leaves them.

    Bars lie at both of two opposite sides; a screen that hangs before a dark wall may be black at one.
    """
    is_black = np.max([look.max(axis=2) for look in looks], axis=0) <= BLACKEST
    for along, before, after in ((1, "above", "below"), (0, "at the left", "at the right")):
        lines = is_black.all(axis=along)
        first, last = int(np.argmin(lines)), int(np.argmin(lines[::-1]))
        if min(first, last) > THINNEST * len(lines):
            shares = f"{first / len(lines):.0%} {before} and {last / len(lines):.0%} {after}"
            raise DataError(
                "bars", f"black bars frame the clip, {shares}: crop them off (ffmpeg -vf cropdetect says how)"
            )


def _packed(plate: Picture16) -> bytes:
    done, data = cv2.imencode(".png", cv2.cvtColor(plate, cv2.COLOR_RGB2BGR))
    if not done:
        raise DataError("no_screen", "the clean plate could not be stored")
    return data.tobytes()


def unpacked(plate: bytes) -> Picture16:
    """The plate in a probe's PNG."""
    picture = cv2.imdecode(np.frombuffer(plate, np.uint8), cv2.IMREAD_UNCHANGED)
    return np.asarray(picture, np.uint16)[..., ::-1]


def look_at_clips(surveyor: Surveyor, root: Path, paths: Sequence[str], settings: ClipSettings) -> list[ClipProbe]:
    """One probe per clip, asked through a surveyor."""
    question = f"clip {CLIP_LOOK} {asdict(settings)}"
    answers = surveyor("clips", question, _Look(settings), [item_of(root, path) for path in paths], crashed=_crashed)
    return [ClipProbe.from_json(answer) for answer in answers]


@dataclass(frozen=True)
class _Look:
    settings: ClipSettings

    def __call__(self, path: str) -> Answer:
        return probe_clip(Path(path), self.settings).to_json()


def _crashed(path: str) -> Answer:
    size, sha256 = digest(Path(path))
    return ClipProbe(size=size, sha256=sha256, error_kind=CRASH[0], error=CRASH[1]).to_json()
