"""The arms of a recipe: those with a list of values become an arm a value."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from factory.errors import UsageError
from factory.experiments.cells import Row
from factory.experiments.fields import check_known, laid_over
from factory.experiments.matting.recipe import Arm, ExperimentRecipe, Use

VARIED = {"share": "share of {set} {value}", "take": "samples of {set} {value}"}  # what may be a list, and its name


@dataclass(frozen=True, slots=True)
class Taken:
    """One set as one arm trains on it.  take: how many of its samples; 0 is all."""

    share: float = 1.0
    take: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneArm(Row):
    """An arm that trains on one thing."""

    sets: Mapping[str, Taken]
    training: Mapping[str, Any]


def arms_of(recipe: ExperimentRecipe) -> list[OneArm]:
    """In the order of the recipe.

    Raises UsageError for an arm with two lists, for two arms of one name, and where one is to be compared with none.
    """
    arms = [arm for name, own in recipe.arms.items() for arm in _spread(recipe, name, own)]
    for arm in arms:
        if sum(other.name == arm.name for other in arms) > 1:
            raise UsageError(f"two arms are named {arm.name}: name one of them otherwise.")
    for name in recipe.compare:
        check_known("compare", name, [arm.name for arm in arms])
    return arms


def _spread(recipe: ExperimentRecipe, name: str, arm: Arm) -> Iterator[OneArm]:
    lists = [(used, what) for used, use in arm.sets.items() for what in VARIED if isinstance(getattr(use, what), tuple)]
    if len(lists) > 1:
        raise UsageError(f"arms.{name} has two lists: vary one thing in an arm.")
    training = laid_over(recipe.training, arm.training)
    folds = tuple(range(recipe.folds.count)) if recipe.folds else (0,)
    one = OneArm(
        name=name,
        sets={},
        training=training,
        seeds=arm.seeds or recipe.seeds,
        folds=folds if arm.folds is None else arm.folds,
    )
    if not lists:
        yield replace(one, sets={used: _taken(use) for used, use in arm.sets.items()})
        return
    varied, what = lists[0]
    for value in getattr(arm.sets[varied], what):
        chosen = arm.sets | {varied: arm.sets[varied].model_copy(update={what: value})}
        taken = {used: _taken(use) for used, use in chosen.items()}
        told = VARIED[what].format(set=varied, value=f"{value:.10g}")
        axis = VARIED[what].format(set=varied, value="").strip()
        yield replace(one, name=f"{name}: {told}", sets=taken, series=name, axis=axis, value=float(value))


def _taken(use: Use) -> Taken:
    assert not isinstance(use.share, tuple)  # one value of the list by now
    assert not isinstance(use.take, tuple)
    return Taken(use.share, use.take or 0, use.options)
