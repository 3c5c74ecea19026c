"""A clip's mattes and foregrounds as files: both there, whole, or neither.

OUT/fgr/NAME and OUT/pha/NAME, as VideoMatte240K lays clips out, and OUT/NAME.json, which says what they were made of.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from factory.errors import MachineError, UsageError, what_failed
from factory.matting.masks_to_trimaps import Band
from factory.matting.video.footage import Footage, in_order
from factory.matting.video.masks import Masks
from factory.matting.video.matting import Matted, Matting, matted
from factory.models.folder import files_fingerprint
from factory.quality.flicker import flicker
from factory.sample import Matte, Picture
from factory.settings import settings as settings_of
from factory.shards.counting import Counting, silent
from factory.shards.durable import fsync, make_folder, write_json
from factory.shards.encoding import encode_png
from factory.shards.lock import hold
from factory.shards.sequence import FOREGROUNDS, MATTES, SUFFIX, Form, Writes, sequence

USUAL_BAND = Band(1, relative=True)
NARROWEST = 2.0  # pixels
WHAT = (FOREGROUNDS, MATTES)


@dataclass(frozen=True, kw_only=True)
class VideoMatting:
    """form: png, a folder of pictures; ffv1, lossless video; prores, ProRes 4444.

    band: least width of the unknown region on each side of a mask's border.  steady: average α with its neighbours'
    along the motion.  wanted: the object, by its index in the masks or its label in the segmenter; "" takes all that
    masks show, or the person.  threads: that are computed with, which changes pixels.
    """

    form: Form = "ffv1"
    band: Band = USUAL_BAND
    steady: bool = True
    wanted: str = ""
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class Made:
    """What became of a clip. flicker: mean change of α a frame along the motion, 0..1.  made_of: hash of all inputs."""

    clip: str
    frames: int
    form: Form
    flicker: float
    made_of: str


def inputs_hash(settings: VideoMatting, clips: Iterable[Path], *fingerprints: str) -> str:
    """One hash of what decides a clip's files.

    clips: of frames and of masks, files and folders of pictures, by names and contents.  fingerprints: of networks.
    """
    total = hashlib.sha256("\n".join((repr(settings), *fingerprints)).encode())
    for clip in clips:
        folder, files = (clip, in_order(clip)) if clip.is_dir() else (clip.parent, [clip])
        total.update(f"\n{files_fingerprint(folder, files)}".encode())
    return total.hexdigest()


def write_clip(
    clip: Footage,
    masks: Masks,
    matting: Callable[[], Matting],
    out: Path,
    settings: VideoMatting,
    *,
    made_of: str,
    progress: Counting = silent,
) -> Made:
    """Matte the clip and write both sequences; what is there already, of the same inputs, is left as it is.

    matting: loads the network, when it is needed.  made_of: of `inputs_hash`.
    Raises UsageError where the folder has this clip made of something else, files of its names that were not made here,
    or another run that works in it, and MachineError where it cannot be written to.
    """
    path = clip.path.resolve()
    name = path.name if path.is_dir() else path.stem
    record, unfinished = out / f"{name}.json", out / f".{name}.unfinished"
    try:
        make_folder(out)
        with hold(out / ".lock", f"matte-video {path.name}"):
            there = _read(record)
            if there is not None and _is_whole(out, name, there):
                if there.made_of == made_of:
                    return there
                raise UsageError(
                    f"{record} tells of other masks, networks or settings: remove it with its files, or give another "
                    "--out."
                )
            if there is not None or unfinished.exists():  # of a run whose files were damaged since, or that was killed
                _remove(_places(out, name, there.form if there is not None else settings.form))
            _check_way(_places(out, name, settings.form))
            shutil.rmtree(unfinished, ignore_errors=True)
            try:
                mean = _written(_frames(clip, masks, matting(), settings), unfinished, clip, settings, progress)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
            for what, place in zip(WHAT, _places(out, name, settings.form), strict=True):
                make_folder(place.parent)
                (unfinished / f"{what}{SUFFIX[settings.form]}").rename(place)
                fsync(place.parent)
            made = Made(clip=path.name, frames=clip.count, form=settings.form, flicker=mean, made_of=made_of)
            write_json(record, asdict(made))
            shutil.rmtree(unfinished, ignore_errors=True)  # last: while it is there, what was moved is known as ours
            return made
    except OSError as error:
        failed = what_failed(error, out)
        raise MachineError(f"the clip cannot be written to {out} ({failed}): mend that, then run it again.") from error


def _frames(clip: Footage, masks: Masks, matting: Matting, settings: VideoMatting) -> Iterator[Matted]:
    band = max(NARROWEST, settings.band.pixels((clip.height, clip.width)))
    return matted(clip.rgb(), masks(), matting, band=band, steady=settings.steady)


def _written(frames: Iterator[Matted], place: Path, clip: Footage, settings: VideoMatting, progress: Counting) -> float:
    """Write them, and measure their flicker."""
    suffix, total = SUFFIX[settings.form], 0.0
    last: tuple[Picture, Matte] | None = None
    with (
        sequence(place / f"{FOREGROUNDS}{suffix}", settings.form, clip.rate) as foregrounds,
        sequence(place / f"{MATTES}{suffix}", settings.form, clip.rate) as mattes,
    ):
        for done, frame in enumerate(frames, start=1):
            _write(foregrounds, frame.foreground, settings.form)
            _write(mattes, frame.alpha, settings.form)
            shown = frame.foreground, frame.alpha
            total += flicker(last, shown) if last is not None else 0.0
            last = shown
            progress(done, clip.count)
    return round(total / max(clip.count - 1, 1), 5)


def _write(writes: Writes, picture: Picture | Matte, form: Form) -> None:
    writes(picture, encode_png(picture) if form == "png" else b"")


def _read(record: Path) -> Made | None:
    """What the record tells of; None where there is none. Raises UsageError for a file that is no record of ours."""
    try:
        return settings_of(Made, json.loads(record.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, UsageError) as error:
        raise UsageError(f"{record} is there and tells of no clip made here: give another --out.") from error


def _places(out: Path, name: str, form: Form) -> list[Path]:
    return [out / what / f"{name}{SUFFIX[form]}" for what in WHAT]


def _is_whole(out: Path, name: str, made: Made) -> bool:
    """Whether the files that a record tells of still are."""
    places = _places(out, name, made.form)
    return all(len(list(p.iterdir())) == made.frames if p.is_dir() else p.is_file() for p in places)


def _remove(places: Iterable[Path]) -> None:
    for place in places:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)


def _check_way(places: Iterable[Path]) -> None:
    for place in places:
        if place.exists():
            raise UsageError(f"{place} is there and was not made here: give another --out.")
