"""What every job has: a recipe, and what makes a plan and a production line of it. One file a job.

A new job is such a file with a `Job` (or a `Training`), and a line in `registry.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field

from factory.engine.draft import Draft
from factory.engine.line import Build
from factory.engine.survey import Memory
from factory.quality.gates import GateSettings
from factory.settings import Place, Strict
from factory.shards.marking import MarkingSettings
from factory.shards.members import MATTING, Members
from factory.training.progress import TrainingProgress


class Recipe(Strict):
    """What all recipes say."""

    job: str
    out: Place


class TrainingRecipe(Recipe):
    """What all recipes of trainings say."""

    train: Any  # a dataclass of the training's own, with `trackers`


class RunSettings(Recipe):
    """What every run that makes a data set has. Of these only seed, shard_size, batch and threads decide bytes."""

    seed: Annotated[int, Field(ge=0)] = 0
    shard_size: int = 256
    batch: int = 16
    threads: int = 1
    executor: Literal["ray", "local"] = "ray"
    workers: Annotated[int, Field(ge=0)] = 0  # 0: one per GPU, else one per core
    gpus: Annotated[int, Field(ge=-1)] = -1  # -1: all the cluster has
    wait_for_gpus: Annotated[float, Field(ge=0)] = 0.0  # seconds, for clusters that grow
    allow_short: bool = False  # a set with unfilled slots is no failure
    accept_software: bool = False  # go on under other versions, although bytes may differ


class NewSet(RunSettings):
    """A set that is made from something else than a set."""

    gates: GateSettings = GateSettings()
    marking: MarkingSettings = MarkingSettings()  # what the pictures say of themselves
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 10  # for slots of sources without an end
    keep_rejected: bool = False  # store rejected attempts too, so that `filter` can take them back


class DerivedSet(RunSettings):
    """A set that is made from an existing one: shard k from shard k, keys stay."""

    data: Place
    marking: dict[str, Any] = Field(default_factory=dict)  # what differs from the set's own marking


R = TypeVar("R", bound=RunSettings)
T = TypeVar("T", bound=TrainingRecipe)


def _never(_recipe: Any) -> bool:
    return False


def _nothing(_recipe: Any) -> None:
    """Nothing lies beside the shards."""


def _has_nothing_else(_recipe: Any) -> bool:
    """The shards are all that is made."""
    return False


def _no_word(_recipe: Any) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Job(Generic[R]):
    """A job that makes a data set.

    plan: reads and hashes every input; remembers what it saw of files.  Raises UsageError.
    line: the production line of a plan, built in a worker. Importable by name, for it travels to other processes.
    members: what lies in a shard of each sample: MATTING, and what the job adds to it.
    runs_a_model: whether workers want GPUs.
    lay_beside: writes what belongs to the set beside its shards, under the folder's lock, each time the run starts.
    hand_over: writes what else is made of the shards, once all are there, under the folder's lock; says whether there
    was anything left to write.
    tell: what is said at the end of a run beside the counts that every set has, a line each.
    """

    recipe: type[R]
    plan: Callable[[R, Memory], Draft]
    line: Build
    members: Members = MATTING
    runs_a_model: Callable[[R], bool] = _never
    lay_beside: Callable[[R], None] = _nothing
    hand_over: Callable[[R], bool] = _has_nothing_else
    tell: Callable[[R], Sequence[str]] = _no_word


@dataclass(frozen=True)
class Training(Generic[T]):
    """A job that trains a model.

    pin: refuses other settings than those the folder was started with, before anything is written.
    train: trains, or goes on where a killed training stopped; returns the model folder.
    outlook: what it would do, in lines for people; nothing is written.
    """

    recipe: type[T]
    pin: Callable[[T], None]
    train: Callable[[T, Callable[[TrainingProgress], None]], Path]
    outlook: Callable[[T], str]


def name_of(job: Job[Any] | Training[Any]) -> str:
    """What a recipe calls the job by."""
    return str(job.recipe.model_fields["job"].default)
