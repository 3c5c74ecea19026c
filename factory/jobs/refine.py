"""New mattes for an existing set: the job `refine`."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from factory.engine.draft import Draft
from factory.engine.line import Line
from factory.engine.plan import Plan
from factory.engine.survey import Memory
from factory.jobs.base import DerivedSet, Job
from factory.jobs.input_set import derive, hand_on_changes, open_stored, read_set
from factory.jobs.line import matting_line
from factory.models.device import CPU, best_device
from factory.quality.scorers.scorers import Scorers, plan_scorers
from factory.quality.scores import ScoreSettings
from factory.refine.refiners import Refiners, in_plan, plan_weights, planned, want_a_device
from factory.settings import said
from factory.shards.members import with_trust


class RefineRecipe(Refiners, DerivedSet):
    """Other refiners, or other settings of them, over an existing set: same keys, new mattes."""

    job: Literal["refine"] = "refine"
    gates: dict[str, Any] = Field(default_factory=dict)  # what differs from the set's own gates
    trust: bool = False  # store beside each matte how far it may be trusted, pixel by pixel, as the set may do already
    scorers: Scorers = Scorers()  # those of the set itself judged other mattes: they are not handed on


def plan(recipe: RefineRecipe, _memory: Memory) -> Draft:
    """Raises UsageError where the set or the settings cannot be used."""
    draft = derive(recipe, read_set(recipe.data), recipe.gates)
    if recipe.trust:
        draft.members = with_trust(draft.members)
    plan_weights(recipe, draft)
    draft.settings |= {**planned(recipe), "scores": said(ScoreSettings())}
    plan_scorers(recipe.scorers, draft)
    return draft


def line(plan: Plan, root: Path) -> Line:
    """The stored samples through every stage."""
    sources = {"dataset": open_stored(plan, root)}
    wants_device = any(refiner.on_device for refiner in in_plan(plan.settings).values())
    return matting_line(plan, sources, best_device() if wants_device else CPU)


def _runs_a_model(recipe: RefineRecipe) -> bool:
    return want_a_device(recipe) or bool(recipe.scorers.named())


JOB = Job(RefineRecipe, plan, line, runs_a_model=_runs_a_model, lay_beside=hand_on_changes)
