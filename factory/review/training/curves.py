"""A curve of a training as a small SVG drawing: raw values pale, their running mean dark, the best one marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10

import numpy as np
from numpy.typing import NDArray

from factory.review.training.record import Points

WIDTH, HEIGHT = 360.0, 130.0  # of the plot, in SVG units
MOST_POINTS = 240  # of a line: each is the lowest and the highest of its stretch, so that no peak is lost
MEAN_OVER = 12  # the running mean is over this part of all values
SMALLEST = 1e-100  # of a value: what is smaller is 0
DEPTH = 1e-6  # how far below its highest value a logarithmic plot goes, for values that are 0
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tick:
    """A value beside its axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines as SVG has them, "x,y x,y …"; the y axis grows downwards.  mark: of the best value."""

    scale: str  # "logarithmic" or "linear"
    raw: str
    mean: str
    ticks: tuple[Tick, ...]
    mark: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Curve:
    """All that the page's template draws of one series.  now: the running mean at its end."""

    name: str
    plots: tuple[Plot, ...]
    first: int
    last: int
    now: str
    best: str


def curve(
    name: str,
    points: Points,
    *,
    scales: Sequence[str] = ("logarithmic", "linear"),
    best: tuple[int, float] | None = None,
) -> Curve:
    """points: at least one.  best: is marked; such a curve has few points and no running mean."""
    steps, values = (np.asarray(column, np.float64) for column in zip(*points, strict=True))
    values = np.where(np.abs(values) < SMALLEST, 0.0, values)
    means = values if best else running_mean(values, max(1, len(values) // MEAN_OVER))
    return Curve(
        name=name,
        plots=tuple(_plot(scale, steps, values, means, best) for scale in scales),
        first=int(steps[0]),
        last=int(steps[-1]),
        now=number(means[-1]),
        best=f"{number(best[1])} at step {best[0]:,}" if best else "",
    )


def running_mean(values: Array, over: int) -> Array:
    """Of each value and those before it; at the beginning of fewer."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(ends - over, 0)
    return np.asarray((sums[ends] - sums[begins]) / (ends - begins))


def number(value: float) -> str:
    """For people: three digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _plot(scale: str, steps: Array, values: Array, means: Array, best: tuple[int, float] | None) -> Plot:
    is_log = scale == "logarithmic" and values.min() >= 0  # a loss that may be below 0 is drawn as it is
    positive = values[values > 0]
    floor_of = max(positive.min(), positive.max() * DEPTH) if is_log and positive.size else 0.0

    def height(seen: Array) -> Array:
        return np.log10(np.maximum(seen, floor_of)) if floor_of else seen

    low, high = float(height(values).min()), float(height(values).max())
    if not is_log:
        low = min(low, 0.0)  # what is drawn linearly is compared with nothing
    room = 0.05 * (high - low) or abs(high) * 0.1 or 1.0
    low, high = low - (room if is_log else 0.0), high + room

    def x(at: Array) -> Array:
        return np.asarray((at - steps[0]) / max(steps[-1] - steps[0], 1) * WIDTH)

    def y(seen: Array) -> Array:
        return np.asarray(HEIGHT - (height(seen) - low) / (high - low) * HEIGHT)

    seen = _log_ticks(low, high) if floor_of else _linear_ticks(low, high)
    mark = None
    if best:
        mark = float(x(np.asarray(float(best[0])))), float(y(np.asarray(best[1])))
    return Plot(
        scale=scale,
        raw=_line(x(steps), y(values)),
        mean="" if best else _line(x(steps), y(means)),
        ticks=tuple(Tick(float(y(np.asarray(value))), number(value)) for value in seen),
        mark=mark,
    )


def _line(x: Array, y: Array) -> str:
    """Thinned where there are more points than can be seen: of each stretch the lowest and the highest."""
    if len(x) > MOST_POINTS:
        kept = {0, len(x) - 1}
        for part in np.array_split(np.arange(len(x)), MOST_POINTS // 2):
            kept |= {int(part[y[part].argmin()]), int(part[y[part].argmax()])}
        chosen = np.asarray(sorted(kept))
        x, y = x[chosen], y[chosen]
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _linear_ticks(low: float, high: float) -> list[float]:
    """Round values, at most six."""
    step = 10 ** floor(log10((high - low) / 2))
    step *= next(times for times in (1, 2, 5, 10) if (high - low) / (step * times) <= 5)
    return [float(f"{n * step:.12g}") for n in range(int(np.ceil(low / step)), floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, at most five; with twice and five times them, or round values, where these are too few."""
    tens = range(floor(low), floor(high) + 1)
    found = [times * 10.0**ten for ten in tens for times in (1, 2, 5) if low <= log10(times * 10.0**ten) <= high]
    powers = [10.0**ten for ten in tens if ten >= low]
    if len(found) < 2:
        return [value for value in _linear_ticks(10**low, 10**high) if value > 0]
    return found if len(found) <= 4 else powers[:: max(1, -(-len(powers) // 5))]
