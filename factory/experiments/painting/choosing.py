"""The best of an arm's learning rates, by trainings of other seeds than those that are reported."""

from collections.abc import Sequence

from factory.experiments.cells import Outcome, Row
from factory.experiments.painting.figures import LEAST
from factory.experiments.statistics import spread_over_seeds


def best_rate(rows: Sequence[Row], outcomes: Sequence[Outcome], choose_by: str) -> float | None:
    """Of the rates of one arm that trained on all of their seeds; the lower of equals.

    None where there is none, and while one is still to be tried.  rows: the arm at each rate.
    """
    ended = [one.cell.arm.name for one in outcomes if one.measured or one.failure]
    if any(ended.count(row.name) < len(row.seeds) for row in rows):
        return None
    sign = 1.0 if choose_by in LEAST else -1.0
    means = [(spread_over_seeds(outcomes, row.name, choose_by), row) for row in rows]
    whole = [(sign * mean.mean, row.value) for mean, row in means if mean.count == len(row.seeds)]
    return min(whole)[1] if whole else None
