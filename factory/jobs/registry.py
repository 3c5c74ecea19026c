"""Every job that a recipe may name. A new one is a line here."""

from functools import reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from factory.errors import UsageError
from factory.jobs import build, filter, generate, greenbench, key, recaption, refine, train, train_keyer, train_matting
from factory.jobs.base import Job, Recipe, RunSettings, Training, name_of
from factory.recipe_faults import faults_in

ALL: tuple[Job[Any] | Training[Any], ...] = (
    generate.JOB,
    build.JOB,
    greenbench.JOB,
    key.JOB,
    refine.JOB,
    filter.JOB,
    recaption.JOB,
    train.JOB,
    train_keyer.JOB,
    train_matting.JOB,
)

JOBS: dict[str, Job[Any] | Training[Any]] = {name_of(job): job for job in ALL}
_RECIPES: Any = Annotated[reduce(or_, (job.recipe for job in ALL)), Field(discriminator="job")]
_ADAPTER: TypeAdapter[Recipe] = TypeAdapter(_RECIPES)


def job_of(recipe: RunSettings) -> Job[Any]:
    """The job that makes the data set of a recipe."""
    job = JOBS[recipe.job]
    assert isinstance(job, Job)  # a recipe with RunSettings is never one of a training
    return job


def training_of(recipe: Recipe) -> Training[Any] | None:
    """The training that a recipe describes; None where it describes a data set."""
    job = JOBS[recipe.job]
    return job if isinstance(job, Training) else None


def parse(fields: dict[str, Any]) -> Recipe:
    """The recipe in these fields. Raises UsageError naming each wrong field."""
    try:
        return _ADAPTER.validate_python(fields)
    except ValidationError as error:
        raise UsageError(f"wrong recipe: {'; '.join(faults_in(error, _ADAPTER))}.") from error
