"""The executor that a recipe names, and how many workers it shall have."""

import os
from collections.abc import Callable
from dataclasses import replace

from factory.engine.crew import Crew, News
from factory.engine.local import InProcessCrew, ProcessCrew
from factory.engine.order import WorkOrder
from factory.errors import UsageError
from factory.jobs.base import RunSettings

# More threads than these wait for the interpreter, and the sampler beside them does too: on 16 cores, 16 finished
# 1.3 times as much as 4 and slowed a GPU's sampler by 4 % more.
MOST_FINISHING_THREADS = 4


def hire_crew(
    recipe: RunSettings, order: WorkOrder, shards: int, tell: Callable[[News], None], *, wants_gpus: bool
) -> tuple[Crew, int]:
    """A crew for that many shards, and its number of workers. Raises UsageError for GPUs that are not there."""
    cores = max(1, (os.cpu_count() or 1) // recipe.threads)
    if recipe.executor == "local":
        if recipe.gpus > 0:
            raise UsageError(f"--gpus {recipe.gpus} needs --executor ray: the local executor takes what torch finds.")
        workers = min(recipe.workers or 1, shards)
        order = replace(order, finishing_threads=finishing_threads(cores, workers))
        return (InProcessCrew(order, tell) if workers == 1 else ProcessCrew(order)), workers
    from factory.engine import on_ray  # noqa: PLC0415  (0.8 s; the local executor does without)

    on_ray.connect(max(0, recipe.gpus), recipe.wait_for_gpus)
    cpus, found = on_ray.resources()
    gpus = (found if recipe.gpus < 0 else recipe.gpus) if wants_gpus else 0
    workers = min(recipe.workers or gpus or max(1, cpus // recipe.threads), shards)
    order = replace(order, finishing_threads=finishing_threads(cpus // recipe.threads, workers))
    return on_ray.RayCrew(order, workers, min(1.0, gpus / workers)), workers


def finishing_threads(cores: int, workers: int) -> int:
    """How many a worker has beside its sampler."""
    return min(max(1, cores // workers), MOST_FINISHING_THREADS)
