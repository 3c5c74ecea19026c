"""Every job that a recipe may name. A new one is a line here."""

from collections.abc import Sequence
from functools import reduce
from itertools import takewhile
from operator import or_
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from factory.errors import UsageError
from factory.jobs import build, filter, generate, recaption, refine, train
from factory.jobs.base import Job, Recipe, RunSettings, Training, name_of
from factory.settings import numbers

ALL: tuple[Job[Any] | Training[Any], ...] = (
    generate.JOB,
    build.JOB,
    refine.JOB,
    filter.JOB,
    recaption.JOB,
    train.JOB,
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
        return _ADAPTER.validate_python(numbers(fields))
    except ValidationError as error:
        faults = []
        found = error.errors()
        for fault in found:
            if any(len(other["loc"]) > len(fault["loc"]) == _shared(other["loc"], fault["loc"]) for other in found):
                continue  # it only follows from a fault inside of it
            within = fault["loc"][1:] if fault["loc"][:1] == (fields.get("job"),) else fault["loc"]
            place = ".".join(map(str, within))
            faults.append(f"{place or 'job'}: {fault['msg']}")
        raise UsageError("wrong recipe: " + "; ".join(faults) + ".") from error
    except ValueError as error:
        raise UsageError(f"wrong recipe: {error}.") from error


def _shared(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many parts two places have in common from their beginning on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
