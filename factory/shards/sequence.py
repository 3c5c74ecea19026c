"""Whole clips as files, laid out as VideoMatte240K lays them out: {train,test}/{fgr,pha}/CLIP, and a record of each.

A clip is a folder of PNGs (00000.png …), FFV1 in Matroska (lossless) or ProRes 4444 in QuickTime (10 bits, lossy). Its
record is written last: a clip without one, or with one that tells of other frames, is written anew.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from factory.shards.durable import force_to_disk, fsync, json_bytes, make_folder
from factory.shards.layout import Layout

Form: TypeAlias = Literal["png", "ffv1", "prores"]
SUFFIX: dict[Form, str] = {"png": "", "ffv1": ".mkv", "prores": ".mov"}
FOREGROUNDS, MATTES = "fgr", "pha"
TABLE = "clips.csv"
BT709, LIMITED = 1, 1
PRORES_4444 = "4"  # of its profiles
USUAL = tuple(Fraction(n * 1000, d) for n, d in ((24, 1001), (24, 1000), (25, 1000), (30, 1001), (30, 1000), (50, 1000),
                                                 (60, 1001), (60, 1000)))  # fmt: skip
NEAR = 0.002  # share by which a rate that is told from rounded times may miss a usual one


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRecord:
    """What became of one clip.

    clip: its file, below the folder that was keyed.  name: of its files, without suffix.  status: "written", or
    "refused" for `reason`, as `detail` says.  flicker: mean of `steps`; see quality/flicker.py.  shown: keys of a few
    of its frames.  made_of: hash of its frames' keys and pixels and of what else decides its files.
    """

    clip: str
    name: str
    part: Literal["train", "test"]
    form: Form
    frames: int
    made_of: str
    status: Literal["written", "refused"] = "written"
    reason: str = ""
    detail: str = ""
    flicker: float = 0.0
    steps: tuple[float, ...] = ()
    shown: tuple[str, ...] = ()


class Writes(Protocol):
    """Takes the frames of one sequence in their order: (H, W, 3) or (H, W) of uint8, and the same as PNG."""

    def __call__(self, picture: NDArray[np.uint8], png: bytes) -> None: ...


@contextmanager
def sequence(place: Path, form: Form, rate: Fraction) -> Iterator[Writes]:
    """A new sequence at a place that ends with the form's suffix; all of it is on the disk when this ends."""
    with _folder(place) if form == "png" else _film(place, form, rate) as write:
        yield write
    if place.is_dir():
        force_to_disk(place)
    else:
        fsync(place)


@contextmanager
def _folder(place: Path) -> Iterator[Writes]:
    place.mkdir(parents=True)
    count = 0

    def write(picture: NDArray[np.uint8], png: bytes) -> None:
        nonlocal count
        (place / f"{count:05d}.png").write_bytes(png)
        count += 1

    yield write


@contextmanager
def _film(place: Path, form: Form, rate: Fraction) -> Iterator[Writes]:
    """The stream begins with the first frame, which has its size."""
    import av  # noqa: PLC0415  (a decoder takes its time to load)

    place.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(place), "w") as output:
        stream: Any = output.add_stream("ffv1" if form == "ffv1" else "prores_ks", rate=rate)

        def write(picture: NDArray[np.uint8], png: bytes) -> None:
            is_matte = picture.ndim == 2
            if not stream.codec_context.is_open:
                stream.height, stream.width = picture.shape[:2]
                stream.codec_context.thread_count = 1
                if form == "ffv1":
                    stream.pix_fmt = "gray" if is_matte else "bgr0"
                else:
                    stream.pix_fmt, stream.options = "yuv444p10le", {"profile": PRORES_4444}
                    stream.codec_context.colorspace, stream.codec_context.color_range = BT709, LIMITED
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(picture), format="gray" if is_matte else "rgb24"
            ).reformat(format=stream.pix_fmt, dst_colorspace="ITU709" if form == "prores" else None)
            output.mux(stream.encode(frame))

        yield write
        output.mux(stream.encode(None))


def usual_rate(steps: int, seconds: Fraction | float) -> Fraction:
    """Frames a second of a clip that takes so many steps in a rounded time: a usual rate if one is near."""
    found = steps / seconds
    usual = min(USUAL, key=lambda rate: abs(float(rate) - found))
    return usual if abs(float(usual) / found - 1) <= NEAR else Fraction(found).limit_denominator(1000)


def place_of(root: Path, record: ClipRecord, what: str) -> Path:
    """Where a clip's foregrounds or mattes lie."""
    return root / record.part / what / f"{record.name}{SUFFIX[record.form]}"


def publish_clip(layout: Layout, unfinished: Path, record: ClipRecord) -> None:
    """Move a clip from a scratch folder, where it is laid out alike, to its place; the record comes last.

    Nothing is moved of one that is refused. What lay there before, in whatever form, goes.
    """
    root, told = layout.sequences, record_of(layout, record.name)
    if told.exists():  # before its files go
        layout.store.remove([told])
    for part in ("train", "test"):
        for what in (FOREGROUNDS, MATTES):
            for suffix in SUFFIX.values():
                _remove(root / part / what / f"{record.name}{suffix}")
    if record.status == "written":
        for what in (FOREGROUNDS, MATTES):
            place = place_of(root, record, what)
            make_folder(place.parent)
            place_of(unfinished, record, what).rename(place)
            fsync(place.parent)
    shutil.rmtree(unfinished, ignore_errors=True)
    layout.store.write(told, json_bytes(asdict(record)), layout.scratch)


def record_of(layout: Layout, name: str) -> Path:
    """Where a clip's record lies."""
    return layout.sequences / "records" / f"{name}.json"


def is_there(layout: Layout, record: ClipRecord) -> bool:
    """Whether a clip's files still are."""
    places = [place_of(layout.sequences, record, what) for what in (FOREGROUNDS, MATTES)]
    if record.form == "png" and record.status == "written":
        return all(place.is_dir() and len(list(place.iterdir())) == record.frames for place in places)
    return record.status == "refused" or all(place.is_file() for place in places)


def clip_records(layout: Layout) -> dict[str, ClipRecord]:
    """By name, in the order of names; those that cannot be read are left out, and so made anew."""
    folder = layout.sequences / "records"
    found = {}
    for path in sorted(folder.rglob("*.json")) if folder.is_dir() else ():
        try:
            data = json.loads(path.read_bytes())
            found[str(data["name"])] = ClipRecord(
                **data | {"steps": tuple(data["steps"]), "shown": tuple(data["shown"])}
            )
        except (ValueError, KeyError, TypeError):
            continue
    return found


def remove_others(layout: Layout, wanted: Sequence[str]) -> None:
    """Take away clips that the set no longer has."""
    for name, record in clip_records(layout).items():
        if name not in wanted:
            layout.store.remove([record_of(layout, name)])
            for what in (FOREGROUNDS, MATTES):
                _remove(place_of(layout.sequences, record, what))


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
