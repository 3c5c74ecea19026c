"""The samples of an existing set that pass (other) gates: the job `filter`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from factory.engine.draft import Draft
from factory.engine.inputs import holes
from factory.engine.line import Line
from factory.engine.plan import Plan
from factory.engine.survey import Memory
from factory.jobs.base import DerivedSet, Job
from factory.jobs.input_set import NO_KEYS, STORED, derive, duplicates, hand_on_changes, open_stored, read_set
from factory.jobs.kept_attempts import taken_back, with_kept_attempts
from factory.jobs.line import matting_line
from factory.quality.scorers.scorers import Scorers, plan_scorers


class FilterRecipe(DerivedSet):
    """The samples of an existing set that pass (other) gates."""

    job: Literal["filter"] = "filter"
    gates: dict[str, Any] = Field(default_factory=dict)  # what differs from the set's own gates
    drop_duplicates: bool = False  # also those the manifest marks as duplicate_of another shard's sample
    scorers: Scorers = Scorers()  # what is to be measured anew, or for the first time


def plan(recipe: FilterRecipe, _memory: Memory) -> Draft:
    """The recorded scores are judged; those that an older set lacks are measured.

    Raises UsageError for a set or gates of no use.
    """
    without = duplicates(recipe.data) if recipe.drop_duplicates else NO_KEYS
    given = with_kept_attempts(recipe.data, read_set(recipe.data, without), without)
    draft = derive(recipe, given, recipe.gates)
    plan_scorers(recipe.scorers, draft, kept=given.plan.asked_scores)
    if given.attempts > 1:  # it ends all the same: a slot that none of them fills is not missing
        filled = sum(table.num_rows - holes(table) for table in given.samples)
        draft.census[STORED] = {"title": recipe.data.resolve().name, "found": filled}
    return draft


def line(plan: Plan, root: Path) -> Line:
    """The stored samples through the gates."""
    return matting_line(plan, {STORED: open_stored(plan, root)})


def tell(recipe: FilterRecipe) -> Sequence[str]:
    """How many rejected attempts came back."""
    return taken_back(recipe.data, recipe.out)


def _runs_a_model(recipe: FilterRecipe) -> bool:
    return bool(recipe.scorers.named())


JOB = Job(FilterRecipe, plan, line, runs_a_model=_runs_a_model, lay_beside=hand_on_changes, tell=tell)
