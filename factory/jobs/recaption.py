"""An existing set with the captions of a corrected table: the job `captions`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from factory.engine.draft import Draft
from factory.engine.line import Line
from factory.engine.plan import Plan
from factory.engine.survey import Memory
from factory.errors import UsageError
from factory.jobs.base import DerivedSet, Job
from factory.jobs.input_set import SAMPLES, derive, hand_on_changes, open_stored, read_set
from factory.jobs.line import matting_line
from factory.quality.scorers.scorers import Scorers, plan_scorers
from factory.settings import Place
from factory.sources.captioning.captioned import Recaptioned
from factory.sources.captioning.corrections import CHANGES, corrected, read_corrections


class CaptionsRecipe(DerivedSet):
    """An existing set with the captions of a corrected table."""

    job: Literal["captions"] = "captions"
    table: Place  # as `factory captions export` wrote it, corrected
    by: Annotated[str, Field(min_length=1)]  # who corrected it


def plan(recipe: CaptionsRecipe, _memory: Memory) -> Draft:
    """Raises UsageError where the set or the table cannot be used, or nothing changes."""
    given = read_set(recipe.data)
    draft = derive(recipe, given, {})
    plan_scorers(Scorers(), draft, kept=given.plan.asked_scores)
    corrections = read_corrections(recipe.data, recipe.table)
    if not corrections:
        raise UsageError(f"{recipe.table} changes no caption of {recipe.data}: there is nothing to make.")
    draft.tables |= {
        name: corrected(table, corrections) for name, table in draft.tables.items() if name.startswith(SAMPLES)
    }
    return draft


def line(plan: Plan, root: Path) -> Line:
    """The stored samples with their new captions."""
    return matting_line(plan, {"dataset": Recaptioned(open_stored(plan, root))})


def _hand_on_corrections(recipe: CaptionsRecipe) -> None:
    if not (recipe.out / CHANGES).exists():
        hand_on_changes(recipe, read_corrections(recipe.data, recipe.table), recipe.by)


JOB = Job(CaptionsRecipe, plan, line, lay_beside=_hand_on_corrections)
