"""Green-screen clips in a recipe: which frames, of which clips, keyed how."""

from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import Field

from factory.errors import UsageError
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.sample import Source
from factory.settings import settings
from factory.sources.captioning.names import with_article
from factory.sources.clips.planning import plan_clips
from factory.sources.clips.settings import ClipSettings
from factory.sources.entry import FiniteEntry, PlannedSource, Planning, Row, SourceKind
from factory.sources.files.on_screen import FramingSettings
from factory.sources.files.planned import included
from factory.sources.files.planning import note_passed_over

# Probing and keying are imported where they are used: reading a recipe loads no decoder.


class VideosEntry(FiniteEntry):
    """Green-screen clips, to be keyed."""

    type: Literal["videos"] = "videos"
    name: str = "clips"
    include: Annotated[tuple[str, ...], Field(min_length=1)] = ("**/*",)
    select: ClipSettings = ClipSettings()  # which frames, and how their colours are read
    validation: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # share of the clips
    class_name: str = "person"
    keyer: KeyerSettings = KeyerSettings()
    licence: str = ""
    attribution: str = ""


def plan(planning: Planning, name: str, entry: VideosEntry) -> None:
    """Clips are looked at whole, on workers; a split takes whole clips, never some of a clip's frames."""
    from factory.sources.clips.keyed import clip_row, frame_rows  # noqa: PLC0415
    from factory.sources.clips.probe import SUFFIXES, assign_split, list_clips, look_at_clips  # noqa: PLC0415

    files = list_clips(entry.path, entry.include)
    if not files:
        raise UsageError(f"{entry.path} holds no clip that matches {', '.join(entry.include)}: mend `include`.")
    probes = look_at_clips(planning.surveyor, entry.path, files, entry.select)
    clips = [
        clip_row(path, probe, licence=entry.licence, attribution=entry.attribution)
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
        stretches[split] += frame_rows(number, path, probe, entry.class_name, with_article(entry.class_name))
    framing = FramingSettings(size=planning.size, key=planning.key)
    source = {"type": entry.type, "settings": asdict(framing), "keyer": asdict(entry.keyer), "name": entry.name}
    plan_clips(planning, name, entry, source, clips=clips, stretches=stretches, title=entry.name, called=entry.name)
    note_passed_over(planning.draft, name, entry, SUFFIXES, included(entry.include))


def open_source(planned: PlannedSource) -> Source:
    """The source in a worker. What is to know of the clips lies in a table beside that of their frames."""
    from factory.sources.clips.keyed import Clips  # noqa: PLC0415

    own = planned.settings
    keyer, framing = settings(KeyerSettings, own["keyer"]), settings(FramingSettings, own["settings"])
    return Clips(planned.folder, planned.rows("clips"), keyer, framing, own["name"])


KIND = SourceKind(VideosEntry, plan, {"videos": open_source})
