"""The samples of an existing set that pass (other) gates: the job `filter`."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from factory.engine.draft import Draft
from factory.engine.line import Line
from factory.engine.plan import Plan
from factory.engine.survey import Memory
from factory.jobs.base import DerivedSet, Job
from factory.jobs.input_set import NO_KEYS, derive, duplicates, hand_on_changes, open_stored, read_set
from factory.jobs.line import matting_line


class FilterRecipe(DerivedSet):
    """The samples of an existing set that pass (other) gates."""

    job: Literal["filter"] = "filter"
    gates: dict[str, Any] = Field(default_factory=dict)  # what differs from the set's own gates
    drop_duplicates: bool = False  # also those the manifest marks as duplicate_of another shard's sample


def plan(recipe: FilterRecipe, _memory: Memory) -> Draft:
    """The recorded scores are judged; those that an older set lacks are measured.

    Raises UsageError for a set or gates of no use.
    """
    without = duplicates(recipe.data) if recipe.drop_duplicates else NO_KEYS
    return derive(recipe, read_set(recipe.data, without), recipe.gates)


def line(plan: Plan, root: Path) -> Line:
    """The stored samples through the gates."""
    return matting_line(plan, {"dataset": open_stored(plan, root)})


JOB = Job(FilterRecipe, plan, line, lay_beside=hand_on_changes)
