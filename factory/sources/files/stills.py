"""Stills on a screen of any colour: entry, planner and reader of the source.

A plan freezes size, hash and dimensions of each picture, and of the clean plate beside it. Screen and plate are worked
out where the picture is keyed (refine/keying.py), unlike those of clips: they depend on that picture alone, so there is
nothing that shards must share, and planning decodes no pixels.

The clean plate of `NAME.jpg` is `NAME.plate.jpg` beside it, of any format and size: the same screen, seen by the same
camera, with nothing in front.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from factory.engine.input_files import FEW, item_of, look_at_files, no_hash, read_as_planned
from factory.engine.survey import Answer
from factory.errors import DataError, UsageError, some
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.greenscreen.on_screen import FramingSettings
from factory.pictures.folder import files_below
from factory.pictures.picture import SUFFIXES, chroma_is_halved, decode_layers, decode_picture, probe_picture
from factory.sample import Picture, Request, Sample, Shot
from factory.settings import settings
from factory.sources.captioning.names import name_from_path, with_article
from factory.sources.entry import FiniteEntry, PlannedSource, Planning, Row, SourceKind
from factory.sources.files.origins import origin_of
from factory.sources.files.planned import included, look_with
from factory.sources.files.planning import note_passed_over, plan_pictures

STILL_LOOK = "still 1"  # version of what is asked of stills
PLATE = ".plate"  # what the name of a clean plate has before its suffix
OTHER_SHAPE = 0.02  # share by which a plate may be wider or narrower than its picture


class StillsEntry(FiniteEntry):
    """Pictures on a screen, to be keyed."""

    type: Literal["stills"] = "stills"
    include: Annotated[tuple[str, ...], Field(min_length=1)] = ("**/*",)
    class_name: str = ""  # of them all; "" takes the names of files, or of their folders
    caption_from: Literal["file", "folder"] = "file"
    keyed_at: Annotated[int, Field(ge=0)] = 1080  # lines that larger pictures are averaged to; 0 keys all as they are
    keyer: KeyerSettings = KeyerSettings()
    painted_by: str = ""  # the image model that made the pictures; "" for what a camera saw
    licence: str = ""
    attribution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StillSettings(FramingSettings):
    """How stills are keyed and framed, and what they say of themselves. Part of the plan.

    keyed_at: pictures whose shorter side is larger are averaged by the whole factor that comes nearest to it; 0: none.
    """

    source: str = "stills"
    keyed_at: int = 0
    painted_by: str = ""


def plan(planning: Planning, name: str, entry: StillsEntry) -> None:
    """Look at each picture and freeze what is to know of it."""
    files = list_stills(entry.path, entry.include)
    if not files:
        wanted = ", ".join(entry.include)
        raise UsageError(f"{entry.path} holds no picture ({' '.join(SUFFIXES)}) that matches {wanted}: mend `include`.")
    plan_files(planning, name, entry, files)
    note_passed_over(planning.draft, name, entry, SUFFIXES, included(entry.include))


def list_stills(folder: Path, include: Sequence[str] = ("**/*",)) -> list[str]:
    """Pictures at any depth that are no clean plates, as sorted relative paths (POSIX separators)."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give a folder of pictures on a screen")
    is_included = included(include)
    return sorted(path for path in files_below(folder, SUFFIXES) if is_included(path) and not _pictured(path)[1])


def plan_files(planning: Planning, name: str, entry: StillsEntry, files: Sequence[str]) -> None:
    """The same for these pictures of the entry's folder."""
    looks = planning.surveyor(
        "pictures", STILL_LOOK, _look, [item_of(entry.path, path) for path in files], crashed=no_hash, few=FEW
    )
    plates = _plates_below(entry.path)
    hashes = look_at_files(planning.surveyor, entry.path, list(plates.values()))
    if idle := sorted(plates[shown] for shown in plates.keys() - {_pictured(path)[0] for path in files}):
        planning.draft.remarks.append(f"clean plates without a picture that is taken: {some(idle)}.")
    root = entry.path.resolve().name
    title, _ = entry.known_as()
    rows: list[Row] = []
    for path, look in zip(files, looks, strict=True):
        class_name = entry.class_name or name_from_path(root, path, entry.caption_from)
        plate = plates.get(_pictured(path)[0], "")
        told = {"plate": plate, "plate_sha256": hashes[plate][1] if plate else ""}
        told |= {"class_name": class_name, "caption": with_article(class_name), "source": title}
        rows.append({"path": path} | look | told | {"licence": entry.licence, "attribution": entry.attribution})
    own = StillSettings(
        size=planning.size, key=planning.key, source=title, keyed_at=entry.keyed_at, painted_by=entry.painted_by
    )
    source = {"type": entry.type, "settings": asdict(own), "keyer": asdict(entry.keyer)}
    plan_pictures(planning, name, entry, source, rows, title=title)


def open_source(planned: PlannedSource) -> "Stills":
    """The source in a worker."""
    return Stills(planned.folder, planned.name, settings(StillSettings, planned.settings["settings"]))


KIND = SourceKind(StillsEntry, plan, {"stills": open_source})


def _pictured(path: str) -> tuple[str, bool]:
    """What a file shows, by its path without the suffix, and whether it is the clean plate of it."""
    stem = PurePosixPath(path).with_suffix("")
    is_plate = stem.suffix.lower() == PLATE
    return str(stem.with_suffix("") if is_plate else stem), is_plate


def _plates_below(folder: Path) -> dict[str, str]:
    """What is shown → its clean plate; of several the first by name."""
    pictured = [(path, *_pictured(path)) for path in sorted(files_below(folder, SUFFIXES), reverse=True)]
    return {shown: path for path, shown, is_plate in pictured if is_plate}


def _look(path: str) -> Answer:
    return look_with(Path(path), probe_picture)


@dataclass(frozen=True, slots=True)
class Stills:
    """A finite source: the request's `item` is a row of the frozen table."""

    folder: Path
    name: str  # in the plan
    settings: StillSettings

    def __call__(self, requests: Sequence[Request]) -> Iterator[Sample | DataError]:
        """One picture per request, not yet keyed, or its fault. A changed file raises InputChanged."""
        return map(self._sample_or_fault, requests)

    def _sample_or_fault(self, request: Request) -> Sample | DataError:
        row, own = request.item, self.settings
        data = self._read(row["path"], row["sha256"])
        plate = self._read(row["plate"], row["plate_sha256"]) if row["plate"] else None
        try:
            picture = _opaque(data)
            return Sample(
                request=request,
                origin=origin_of(row, row, own.source, painted_by=own.painted_by),
                rgb=picture,
                shot=Shot(
                    source=self.name,
                    empty=None if plate is None else _plate_for(picture, plate),
                    halved=chroma_is_halved(data),
                ),
            )
        except DataError as fault:
            return fault

    def _read(self, path: str, sha256: str) -> bytes:
        return read_as_planned(self.folder / path, sha256)


def _opaque(data: bytes) -> Picture:
    """Raises DataError, also for a picture that is cut out already."""
    picture, alpha = decode_layers(data)
    if alpha is not None and alpha.min() < 255:
        raise DataError(
            "alpha",
            "the picture has an alpha channel, so it is cut out already and is not keyed: take its folder as a source "
            "of `type: rgba_folder`",
        )
    return picture


def _plate_for(picture: Picture, data: bytes) -> Picture:
    """The clean plate beside a picture. Raises DataError("plate")."""
    try:
        plate = decode_picture(data)
    except DataError as fault:
        raise DataError("plate", f"the clean plate beside it cannot be used: {fault}") from None
    ratio = (plate.shape[1] / plate.shape[0]) / (picture.shape[1] / picture.shape[0])
    if abs(ratio - 1) > OTHER_SHAPE:
        sizes = " and ".join(f"{each.shape[1]}×{each.shape[0]}" for each in (picture, plate))
        raise DataError("plate", f"picture and clean plate have another shape ({sizes}): they show not the same screen")
    return plate
