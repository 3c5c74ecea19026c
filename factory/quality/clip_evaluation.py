"""Predicted clips against the true ones, by the whole-picture errors of video matting: frames, clip means, their mean.

Clips are folders of frames. Where a folder on the way is called `pha`, the foregrounds lie in its sibling `fgr`: so
CLIP/pha/0000.png of Robust Video Matting and pha/CLIP/0000.png of VideoMatte240K are both clip CLIP. Frames that lie
in the given folder itself are one clip, called ".". A frame's number is the same with other zeros in front.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from factory.errors import DataError, UsageError, quoted
from factory.pictures.picture import decode_picture
from factory.quality.evaluation import SHOWN, Fault, aligned, check_writable, faults_text, read_side
from factory.quality.matte_sets import Place, find_mattes, read_bytes
from factory.quality.video_metrics import VIDEO_UNITS, Frame, VideoErrors, frame_errors, time_step
from factory.sample import Matte
from factory.shards.counting import Counting, silent
from factory.shards.durable import appearing
from factory.shards.layout import Layout
from factory.shards.reader import tars_of

MATTES, FOREGROUNDS = "pha", "fgr"
DIGITS = 6  # of a frame's number, so that the order of names is that of numbers
CONVENTION = "Robust Video Matting's evaluation: whole pictures; means of frames by clip, then their mean over clips"
HEADINGS = ("MAD", "MSE", "Grad", "Conn", "dtSSD", "fgr MAD", "fgr MSE")


class _Name(NamedTuple):
    """Of a frame. Clips are in the order of names, and the frames in them."""

    clip: str
    frame: str


@dataclass(frozen=True, slots=True)
class FrameScore:
    """One frame's errors."""

    clip: str
    frame: str
    errors: VideoErrors


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipEvaluation:
    """What came out, in the order of clips and frames."""

    scores: tuple[FrameScore, ...]
    faults: tuple[Fault, ...]

    @property
    def clips(self) -> Mapping[str, VideoErrors]:
        """Clip → the means over its frames that were scored."""
        by_clip = groupby(self.scores, key=lambda score: score.clip)
        return {clip: VideoErrors.mean(score.errors for score in scores) for clip, scores in by_clip}

    @property
    def mean(self) -> VideoErrors | None:
        """The mean over clips, a short one as heavy as a long one; None where nothing was scored."""
        return VideoErrors.mean(self.clips.values()) if self.scores else None

    def text(self, shown: int = SHOWN) -> str:
        """A table for the terminal. Of more than `shown` clips only those with the greatest MAD are listed."""
        clips, mean = self.clips, self.mean
        worst = sorted(clips, key=lambda clip: -clips[clip].mad)[:shown]
        listed = list(clips) if len(clips) <= shown else worst
        rows = [["", *HEADINGS], *([clip, *_numbers(clips[clip])] for clip in listed)]
        if mean is not None:
            rows.append([f"mean of {len(clips):,}", *_numbers(mean)])
        lines = aligned(rows)
        if len(listed) < len(clips):
            lines.insert(0, f"The {len(listed)} clips with the greatest MAD; --parquet writes all {len(clips):,}.")
        notes = [f"as in {CONVENTION}"]
        notes += [f"{heading:7} = {unit}" for heading, unit in zip(HEADINGS, VIDEO_UNITS.values(), strict=True)]
        return "\n".join([*lines, "", *notes, *faults_text(self.faults)])


def evaluate_clips(
    prediction: Path, truth: Path, *, parquet: Path | None = None, progress: Counting = silent
) -> ClipEvaluation:
    """Score every frame that both sides have, and name every one that could not be scored. One frame is in memory.

    prediction, truth: folders as above.  parquet: also write the frames' table there.  progress: (frames, in all).
    Raises UsageError where nothing could begin: a data set, no pictures, no frame of one name.
    """
    if parquet is not None:
        check_writable(parquet)
    sides = [_frames(folder) for folder in (prediction, truth)]
    names = sorted(_mattes(sides[0]) | _mattes(sides[1]))
    if _mattes(sides[0]).isdisjoint(_mattes(sides[1])):
        raise UsageError(f"{prediction} and {truth} have no frame of one clip and name: name them alike.")
    scores, faults = list[FrameScore](), list[Fault]()
    for done, (name, found) in enumerate(_measured(names, *sides), start=1):
        if isinstance(found, VideoErrors):
            scores.append(FrameScore(*name, found))
        else:
            faults.append(Fault(str(PurePosixPath(*name)), found.kind, str(found)))
        progress(done, len(names))
    evaluation = ClipEvaluation(scores=tuple(scores), faults=tuple(faults))
    if parquet is not None:
        write_parquet(evaluation, parquet)
    return evaluation


Side = Mapping[str, Mapping[_Name, Place]]
"""MATTES and FOREGROUNDS → name → place."""


def _frames(folder: Path) -> Side:
    layout = Layout(folder)
    if layout.plan.exists() or tars_of(layout):
        export = f"factory export {quoted(folder)} --to folder --out NEW"
        raise UsageError(f"{folder} is a data set, whose samples are no clips: give folders of frames ({export}).")
    side: dict[str, dict[_Name, Place]] = {MATTES: {}, FOREGROUNDS: {}}
    for path, place in find_mattes(folder).items():
        *above, frame = PurePosixPath(path).parts
        kind = next((part for part in reversed(above) if part in side), MATTES)
        if kind in above:
            del above[len(above) - 1 - above[::-1].index(kind)]
        name = _Name("/".join(above) or ".", f"{int(frame):0{DIGITS}}" if frame.isdecimal() else frame)
        if name in side[kind]:
            raise UsageError(f"{place.path} and {side[kind][name].path} are one frame of one clip: take one away.")
        side[kind][name] = place
    return side


def _mattes(side: Side) -> set[_Name]:
    return set(side[MATTES])


def _measured(names: Sequence[_Name], prediction: Side, truth: Side) -> Iterator[tuple[_Name, VideoErrors | DataError]]:
    """Errors of each frame, or why there are none. The step into a frame is measured where the one before was read."""
    clip, before = "", None
    for name in names:
        first = name.clip != clip
        clip, past, before = name.clip, None if first else before, None
        try:
            ours, true = _read("prediction", name, prediction), _read("truth", name, truth)
            now = ours.alpha, true.alpha
            before = now if ours.alpha.shape == true.alpha.shape else None
            yield name, frame_errors(ours, true, 0.0 if first else _step(past, now))
        except DataError as fault:
            yield name, fault


def _step(before: tuple[Matte, Matte] | None, now: tuple[Matte, Matte]) -> float:
    same = before is not None and before[0].shape == now[0].shape == now[1].shape
    return time_step(before, now) if before is not None and same else math.nan


def _read(word: str, name: _Name, side: Side) -> Frame:
    alpha = read_side(word, name, side[MATTES])
    place = side[FOREGROUNDS].get(name)
    try:
        return Frame(alpha, None if place is None else decode_picture(read_bytes(place)))
    except DataError as error:
        raise DataError(error.kind, f"the {word}'s foreground: {error}") from None


def _numbers(errors: VideoErrors) -> list[str]:
    values = (getattr(errors, name) for name in VIDEO_UNITS)
    return ["–" if math.isnan(value) else f"{value:.4f}" for value in values]


SCHEMA = pa.schema(
    [
        ("clip", pa.string()),
        ("frame", pa.string()),
        *((field.name, pa.float64()) for field in fields(VideoErrors)),
        ("fault", pa.string()),
        ("detail", pa.string()),
    ]
)


def write_parquet(evaluation: ClipEvaluation, path: Path) -> None:
    """One row a frame, in order; errors that could not be measured are null, and `fault` names why there are none.

    The file's metadata `evaluation` is JSON: convention, units, the means of the clips and over them.
    """
    rows: list[dict[str, object]] = [
        {"clip": score.clip, "frame": score.frame, **_known(score.errors)} for score in evaluation.scores
    ]
    for fault in evaluation.faults:
        place = PurePosixPath(fault.name)
        rows.append({"clip": str(place.parent), "frame": place.name, "fault": fault.kind, "detail": fault.sentence})
    about = {
        "convention": CONVENTION,
        "units": VIDEO_UNITS,
        "clips": {clip: _known(errors) for clip, errors in evaluation.clips.items()},
        "mean": _known(mean) if (mean := evaluation.mean) else None,
        "not_scored": len(evaluation.faults),
    }
    schema = SCHEMA.with_metadata({"evaluation": json.dumps(about, ensure_ascii=False)})
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: (str(row["clip"]), str(row["frame"]))), schema=schema)
    try:
        with appearing(path) as file:
            pq.write_table(table, file, compression="zstd")
    except OSError as error:
        raise UsageError(f"--parquet {path} cannot be written ({error}): choose another place.") from error


def _known(errors: VideoErrors) -> dict[str, float]:
    return {name: value for name, value in asdict(errors).items() if not math.isnan(value)}
