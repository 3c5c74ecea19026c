"""Green-screen clips in a recipe: which frames, of which clips, keyed how."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from factory.errors import UsageError
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.greenscreen.on_screen import FramingSettings
from factory.sample import Source
from factory.sources.captioning.names import name_from_path, with_article
from factory.sources.clips.planning import plan_clips
from factory.sources.clips.settings import ClipSettings
from factory.sources.entry import FiniteEntry, PlannedSource, Planning, Row, SourceKind
from factory.sources.files.planned import included
from factory.sources.files.planning import note_passed_over

# Probe and decoder are imported where they are used: reading a recipe loads no decoder.


class VideosEntry(FiniteEntry):
    """Green-screen clips, to be keyed."""

    type: Literal["videos"] = "videos"
    name: str = "clips"
    include: Annotated[tuple[str, ...], Field(min_length=1)] = ("**/*",)
    select: ClipSettings = ClipSettings()  # which frames, and how their colours are read
    validation: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # share of the clips
    class_name: str = "person"  # "" takes the names of files, or of their folders
    caption_from: Literal["file", "folder"] = "file"
    painted_by: str = ""  # the video model that made the clips; "" for what a camera saw
    keyer: KeyerSettings = KeyerSettings()
    licence: str = ""
    attribution: str = ""


def plan(planning: Planning, name: str, entry: VideosEntry) -> None:
    """Clips are looked at whole, on workers; a split takes whole clips, never some of a clip's frames."""
    from factory.sources.clips.probe import SUFFIXES, list_clips  # noqa: PLC0415

    files = list_clips(entry.path, entry.include)
    if not files:
        raise UsageError(f"{entry.path} holds no clip that matches {', '.join(entry.include)}: mend `include`.")
    plan_files(planning, name, entry, files)
    note_passed_over(planning.draft, name, entry, SUFFIXES, included(entry.include))


def plan_files(
    planning: Planning, name: str, entry: VideosEntry, files: Sequence[str], *, steady: int | None = None
) -> None:
    """The same for these clips of the entry's folder.

    steady: their frames shall make whole clips again; so many on each side have a say in each frame's matte.
    """
    from factory.sources.clips.frames import clip_row, frame_rows, order_of  # noqa: PLC0415
    from factory.sources.clips.probe import assign_split, look_at_clips  # noqa: PLC0415

    probes = look_at_clips(planning.surveyor, entry.path, files, entry.select)
    clips = [
        clip_row(path, probe, licence=entry.licence, attribution=entry.attribution)
        | (order_of(probe) if steady else {})
        for path, probe in zip(files, probes, strict=True)
    ]
    held_out = assign_split(files, entry.validation, planning.seed)
    if entry.validation and not held_out:
        planning.draft.remarks.append(
            f"{entry.name}: of {len(files):,} clips none fell to the validation split, which takes "
            f"{entry.validation:.1%} of them: raise `validation`, or choose another seed."
        )
    stretches: dict[str, list[list[Row]]] = {"train": [], "validation": []}
    for number, (path, probe) in enumerate(zip(files, probes, strict=True)):
        split = "validation" if path in held_out else "train"
        class_name = entry.class_name or name_from_path(entry.path.resolve().name, path, entry.caption_from)
        stretches[split] += frame_rows(number, path, probe, class_name, with_article(class_name))
    framing = FramingSettings(size=planning.size, key=planning.key)
    source: dict[str, Any] = {
        "type": entry.type,
        "settings": asdict(framing),
        "keyer": asdict(entry.keyer),
        "name": entry.name,
    }
    if entry.painted_by:  # not in the plans of earlier sets
        source["painted_by"] = entry.painted_by
    if steady is not None:
        source["steady"] = steady
    plan_clips(planning, name, entry, source, clips=clips, stretches=stretches, title=entry.name, called=entry.name)


def open_source(planned: PlannedSource) -> Source:
    """The source in a worker. What is to know of the clips lies in a table beside that of their frames."""
    from factory.sources.clips.frames import Clips  # noqa: PLC0415

    own = planned.settings
    return Clips(
        planned.folder,
        planned.rows("clips"),
        name=planned.name,
        source=own["name"],
        painted_by=own.get("painted_by", ""),
        steady=own.get("steady", 0),
    )


KIND = SourceKind(VideosEntry, plan, {"videos": open_source})
