"""Drawn objects in a recipe: as many as you like, nothing needed."""

from typing import Annotated, Literal

from pydantic import Field

from factory.engine.plan import Segment
from factory.sample import Source
from factory.settings import said, settings
from factory.sources.entry import Entry, PlannedSource, Planning, SourceKind

# The painters are imported where they are used: their meshes take a second to make.


class ProceduralEntry(Entry):
    """Drawn objects, as many as you like."""

    type: Literal["procedural"] = "procedural"
    n: Annotated[int, Field(ge=1)]
    validation: Annotated[int, Field(ge=0)] = 0  # of further samples for the validation split
    classes: tuple[str, ...] = ()  # () is all
    textured: Annotated[float, Field(ge=0, le=1)] = 0.0  # share in a texture's colours; captions name no colour then


def plan(planning: Planning, name: str, entry: ProceduralEntry) -> None:
    """Everything that decides a drawing, "all classes" spelled out: a later version may know more."""
    from factory.sources.procedural.render import CLASSES  # noqa: PLC0415
    from factory.sources.procedural.source import ProceduralSettings  # noqa: PLC0415

    key = "green" if planning.key == "nearest" else planning.key  # nothing was filmed before a screen
    own = ProceduralSettings(size=planning.size, key=key, classes=entry.classes or CLASSES, textured=entry.textured)
    planning.draft.settings["sources"][name] = {"type": entry.type, "settings": said(own)}
    planning.draft.census[name] = {"title": "drawn objects"}
    for split, slots in (("train", entry.n), ("validation", entry.validation)):
        if slots:
            segment = Segment(source=name, split=split, slots=slots, attempts=planning.max_attempts)
            planning.draft.segments.append(segment)


def open_source(planned: PlannedSource) -> Source:
    """The source in a worker."""
    from factory.sources.procedural.source import ProceduralObjects, ProceduralSettings  # noqa: PLC0415

    return ProceduralObjects(settings(ProceduralSettings, planned.settings["settings"]))


KIND = SourceKind(ProceduralEntry, plan, {"procedural": open_source})
