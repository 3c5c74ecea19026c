"""What a kind of experiment measures, and how its tables and plots show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from factory.experiments.statistics import Spread

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Metric:
    """name: of the numbers.  factor, decimals: how they are shown."""

    name: str
    heading: str
    factor: float = 1.0
    decimals: int = 3

    def text(self, value: Spread, sign: str = "") -> str:
        """Mean ± spread; the mean alone of one seed."""
        if not value.count:
            return NOTHING
        mean = self.plain(value.mean, sign)
        return mean if isnan(value.spread) else f"{mean} ± {value.spread * self.factor:.{self.decimals}f}"

    def plain(self, value: float, sign: str = "") -> str:
        return f"{value * self.factor:{sign}.{self.decimals}f}"


@dataclass(frozen=True, slots=True)
class Figures:
    """metrics: in the order of the columns.  compared, plotted: those whose differences and bars are shown."""

    metrics: tuple[Metric, ...]
    compared: tuple[Metric, ...]
    plotted: tuple[Metric, ...]

    @property
    def names(self) -> Sequence[str]:
        return [metric.name for metric in self.metrics]
