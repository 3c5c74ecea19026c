"""Every kind of source that a recipe may name. A new one is a line here."""

from collections.abc import Callable, Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Field

from factory.sample import Source
from factory.sources.clips import videos
from factory.sources.entry import Entry, PlannedSource, SourceKind
from factory.sources.files import pasted, rgba_folder, stills
from factory.sources.procedural import entry as procedural
from factory.sources.public import entry as public

KINDS: tuple[SourceKind[Any], ...] = (
    procedural.KIND,
    rgba_folder.KIND,
    pasted.KIND,
    stills.KIND,
    public.KIND,
    videos.KIND,
)

KIND_OF: Mapping[type[Entry], SourceKind[Any]] = {kind.entry: kind for kind in KINDS}
READERS: Mapping[str, Callable[[PlannedSource], Source]] = {
    name: reader for kind in KINDS for name, reader in kind.readers.items()
}

if TYPE_CHECKING:
    AnyEntry: TypeAlias = Entry
else:  # pydantic tells them apart by their field `type`
    AnyEntry = Annotated[reduce(or_, (kind.entry for kind in KINDS)), Field(discriminator="type")]
