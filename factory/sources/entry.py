"""What every kind of source has: its entry in a recipe, a planner, and readers. Side by side, one file a kind.

A new kind is such a file with a `SourceKind`, and a line in `kinds.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeAlias, TypeVar

from pydantic import Field

from factory.engine.draft import Draft
from factory.engine.inputs import InputTable
from factory.engine.survey import Surveyor
from factory.greenscreen.colours import KeyChoice
from factory.sample import Source
from factory.settings import Place, Strict

Row: TypeAlias = dict[str, Any]
"""A row of a frozen input table: what a request's `item` will hold."""


class Entry(Strict):
    """A source as a recipe names it."""

    type: str


class FiniteEntry(Entry):
    """Files on the user's disk."""

    path: Place
    captions: Place | None = None  # a table (csv, jsonl, parquet) with a caption for each file
    at_most: Annotated[int, Field(ge=0)] = 0  # pictures (of clips: frames) to take, drawn by the seed; 0 is all
    repeat: Annotated[int, Field(ge=1)] = 1  # framings of each picture
    paper: Annotated[int, Field(ge=0)] = 0  # images that the paper took of this source
    allowed_failures: Annotated[float, Field(ge=0, le=1)] = 0.0  # share of items with bad data that is no failure
    optional: bool = False  # an absent folder is skipped with a word, not refused
    name: str = ""  # what it goes by in every sample; "" is the folder's name

    def known_as(self) -> tuple[str, int]:
        """Its title for people, and how many images the paper took of it, without a look at its files."""
        return self.name or self.path.resolve().name, 0


@dataclass(frozen=True)
class Planning:
    """What a planner is given by the recipe around its entry, and the draft that it fills."""

    size: int  # 0: each picture's own
    key: KeyChoice
    seed: int
    shard_size: int
    max_attempts: int
    surveyor: Surveyor  # looks at files, on workers where there are many
    draft: Draft
    kept_out: Mapping[str, str]  # SHA-256 of images of public benchmarks → their names


@dataclass(frozen=True)
class PlannedSource:
    """What a worker opens a source from.

    settings: as the planner left them in the plan.  folder: where its files lie ("." for one without files).
    inputs: the run's folder of frozen tables.
    """

    name: str
    settings: Mapping[str, Any]
    folder: Path
    inputs: Path

    def rows(self, table: str) -> list[Row]:
        """All rows of a frozen table beside that of the source's items: `NAME-table`."""
        return list(InputTable(self.inputs / f"{self.name}-{table}.arrow").table.to_pylist())


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class SourceKind(Generic[E]):
    """One kind of source.

    plan: looks at what the entry names and fills the draft; told the source's name in the plan.
    readers: by the `type` that the planner writes into the source's settings.
    """

    entry: type[E]
    plan: Callable[[Planning, str, E], None]
    readers: Mapping[str, Callable[[PlannedSource], Source]]
