"""Folders of pictures with an alpha channel: entry, planner and reader of the source."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from factory.engine.input_files import FEW, item_of, no_hash, read_as_planned
from factory.engine.survey import Answer, Surveyor
from factory.errors import DataError, UsageError
from factory.greenscreen.on_screen import FramingSettings, painted
from factory.pictures.cutout import Premultiplied, decode, probe
from factory.pictures.folder import files_below
from factory.pictures.picture import FORMATS
from factory.sample import Matte, Origin, Picture, Request, Sample
from factory.settings import settings
from factory.sources.captioning.names import name_from_path, with_article
from factory.sources.entry import FiniteEntry, PlannedSource, Planning, Row, SourceKind
from factory.sources.files.planned import included, look_with
from factory.sources.files.planning import note_passed_over, plan_pictures
from factory.sources.groups import Group, group_of

CUTOUT_LOOK = "cut-out 2"  # version of what is asked of cut-outs: earlier answers refuse 16 bits and TIFF
HAVE_NO_ALPHA = {"JPEG", "BMP"}
SUFFIXES = {suffix for kind, suffixes in FORMATS.items() if kind not in HAVE_NO_ALPHA for suffix in suffixes}
KINDS = " ".join(sorted(SUFFIXES))


class RgbaFolderEntry(FiniteEntry):
    """Pictures with an alpha channel."""

    type: Literal["rgba_folder"] = "rgba_folder"
    include: Annotated[tuple[str, ...], Field(min_length=1)] = ("**/*",)  # glob patterns below the folder
    group: Group | None = None  # only pictures of this group of sources/groups.py; None takes all
    caption_from: Literal["file", "folder"] = "file"
    premultiplied: Premultiplied = None  # whether the colours are multiplied by alpha; None refuses what looks so
    licence: str = ""
    attribution: str = ""


def plan(planning: Planning, name: str, entry: RgbaFolderEntry) -> None:
    """Look at each picture and freeze what is to know of it."""
    rows = list_items(
        entry.path,
        lambda paths: look_at_cutouts(planning.surveyor, entry.path, paths),
        include=entry.include,
        group=entry.group,
        captions=entry.caption_from,
        licence=entry.licence,
        attribution=entry.attribution,
    )
    if not rows:
        wanted = ", ".join(entry.include)
        if not entry.optional:
            raise UsageError(f"{entry.path} holds no picture ({KINDS}) that matches {wanted}: mend `include`.")
        planning.draft.remarks.append(
            f"{entry.path} holds no picture that matches {wanted}: its source is passed over."
        )
        return
    title, _ = entry.known_as()
    own = RgbaSettings(size=planning.size, key=planning.key, source=title)
    source = {"type": entry.type, "settings": asdict(own)}
    known = {} if entry.premultiplied is None else {"premultiplied": entry.premultiplied}
    plan_pictures(planning, name, entry, source, [row | known | {"source": title} for row in rows], title=title)
    note_passed_over(planning.draft, name, entry, SUFFIXES, included(entry.include))


def open_source(planned: PlannedSource) -> "RgbaFolder":
    """The source in a worker."""
    return RgbaFolder(planned.folder, settings(RgbaSettings, planned.settings["settings"]))


KIND = SourceKind(RgbaFolderEntry, plan, {"rgba_folder": open_source})


def look_at_cutouts(surveyor: Surveyor, root: Path, paths: Sequence[str]) -> list[Answer]:
    """A first look at each picture, asked through a surveyor."""
    items = [item_of(root, path) for path in paths]
    return surveyor("pictures", CUTOUT_LOOK, _cutout, items, crashed=no_hash, few=FEW)


def _cutout(path: str) -> Answer:
    return dict(first_look(Path(path)))


def first_look(path: Path) -> Row:
    """What a plan freezes of a cut-out, see `look_with`."""
    return look_with(path, probe)


def list_items(
    folder: Path,
    look: Callable[[Sequence[str]], Sequence[Row]],
    *,
    include: Sequence[str] = ("**/*",),
    group: Group | None = None,
    captions: Literal["file", "folder"] = "file",
    licence: str = "",
    attribution: str = "",
) -> list[Row]:
    """Plan the folder: one row per included picture at any depth, sorted by its relative path (POSIX separators).

    Every row has path, class_name, caption, licence, attribution, and what `first_look` says of it. A picture that
    cannot be used is listed as well: the worker finds the same fault and it becomes a row of the manifest. Hidden
    files are skipped.
    look: relative paths → a `first_look` at each.
    include: glob patterns for the whole relative path, see `matches`.
    group: take only those that a rule on names holds out together, see sources/groups.py.
    captions: take the name of an object from its file or from the folder it lies in.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give a folder of pictures with alpha")
    found = sorted(files_below(folder, SUFFIXES))
    if not found:
        raise UsageError(f"{folder} holds no picture of a kind that has alpha ({KINDS}): give a folder of cut-outs")
    is_included = included(include)
    paths = [path for path in found if is_included(path) and group in (None, group_of(path))]
    rows, folder_name = [], folder.resolve().name
    for path, seen in zip(paths, look(paths), strict=True):
        name = name_from_path(folder_name, path, captions)
        told = Row(class_name=name, caption=with_article(name), licence=licence, attribution=attribution)
        rows.append(Row(path=path) | seen | told)
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class RgbaSettings(FramingSettings):
    """How objects are framed, and the name the folder goes by in every sample. Part of the plan."""

    source: str = "rgba_folder"


@dataclass(frozen=True, slots=True)
class RgbaFolder:
    """A finite source: the request's `item` is a row of `list_items(folder)`, and `premultiplied` where it is known."""

    folder: Path
    settings: RgbaSettings

    def __call__(self, requests: Sequence[Request]) -> Sequence[Sample | DataError]:
        """One composited sample per request, or the fault of its picture. A changed file raises InputChanged."""
        return [self._sample_or_fault(request) for request in requests]

    def _sample_or_fault(self, request: Request) -> Sample | DataError:
        data = read_as_planned(self.folder / str(request.item["path"]), str(request.item["sha256"]))
        try:
            foreground, alpha = decode(data, request.item.get("premultiplied"))
        except DataError as fault:
            return fault
        return self._sample(request, foreground, alpha)

    def _sample(self, request: Request, foreground: Picture, alpha: Matte) -> Sample:
        row = request.item
        origin = Origin(
            kind="composited",
            class_name=str(row["class_name"]),
            caption=str(row["caption"]),
            source=self.settings.source,
            item=str(row["path"]),
            licence=str(row["licence"]),
            attribution=str(row["attribution"]),
            soft_alpha=bool(((alpha > 0) & (alpha < 255)).any()),
        )
        return painted(request, origin, foreground, alpha, self.settings)
