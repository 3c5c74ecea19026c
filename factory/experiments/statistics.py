"""Means over seeds with their spread, and differences of two arms paired by seed.

A value of an arm and a seed is the mean over all pictures of its folds, each picture once. The spread is the
sample standard deviation over seeds (n − 1); the spread of a difference is that of the differences by seed, which the
seeds' common luck does not widen. What is outside of one spread is no test of significance.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from factory.experiments.cells import Outcome


@dataclass(frozen=True, slots=True)
class Spread:
    """Of `count` seeds; the spread of one is NaN, and so is the mean of none."""

    mean: float
    spread: float
    count: int


@dataclass(frozen=True, slots=True)
class Difference:
    """An arm's value less that of another, over the folds and seeds that both have.

    relative: the mean difference as a share of the other's mean.  outside: whether it is more than one spread from 0;
    False where there is no spread.
    """

    absolute: Spread
    relative: float
    outside: bool


def spread_of(values: Sequence[float]) -> Spread:
    count = len(values)
    return Spread(float(np.mean(values)) if count else nan, float(np.std(values, ddof=1)) if count > 1 else nan, count)


def folds_of(outcomes: Sequence[Outcome], arm: str) -> list[int]:
    """The folds in which at least one cell of an arm is done."""
    return sorted({one.cell.fold for one in outcomes if one.cell.arm.name == arm and one.measured})


def by_seed(outcomes: Sequence[Outcome], arm: str, metric: str, folds: Collection[int]) -> dict[int, float]:
    """Seed → mean over the pictures of these folds that have the number; only seeds of which all folds are done."""
    cells: dict[int, dict[int, list[float]]] = {}
    for one in outcomes:
        if one.cell.arm.name == arm and one.cell.fold in folds and one.measured:
            values = [own.numbers[metric] for own in one.measured if metric in own.numbers]
            if values:
                cells.setdefault(one.cell.seed, {})[one.cell.fold] = values
    return {
        seed: float(np.mean([value for values in of_fold.values() for value in values]))
        for seed, of_fold in sorted(cells.items())
        if len(of_fold) == len(set(folds))
    }


def spread_over_seeds(outcomes: Sequence[Outcome], arm: str, metric: str, folds: Collection[int] = ()) -> Spread:
    """folds: all in which the arm has done cells where none are named."""
    return spread_of(list(by_seed(outcomes, arm, metric, folds or folds_of(outcomes, arm)).values()))


def difference(outcomes: Sequence[Outcome], arm: str, other: str, metric: str) -> Difference | None:
    """None where the two have no seed and no fold in common."""
    folds = set(folds_of(outcomes, arm)) & set(folds_of(outcomes, other))
    own, base = (by_seed(outcomes, name, metric, folds) for name in (arm, other))
    if not folds or not (seeds := own.keys() & base.keys()):
        return None
    return _paired(own, base, sorted(seeds))


def _paired(own: Mapping[int, float], base: Mapping[int, float], seeds: Sequence[int]) -> Difference:
    absolute = spread_of([own[seed] - base[seed] for seed in seeds])
    mean = spread_of([base[seed] for seed in seeds]).mean
    relative = absolute.mean / mean if mean else nan
    return Difference(absolute, relative, outside=abs(absolute.mean) > absolute.spread)  # no number is outside of NaN
