"""A score's distribution as a small SVG drawing: accepted below, rejected on top, the gates' limits as lines."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from factory.quality.gate import Side, number

WIDTH, HEIGHT = 320.0, 120.0  # of the plot, in SVG units
BINS = 40
TAIL = 0.5  # percent of the values on each side that may fall outside the drawn range


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin: from `low` to `high`; the y axis grows downwards."""

    x: float
    width: float
    accepted_y: float
    accepted_height: float
    rejected_y: float
    rejected_height: float
    title: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A gate's limit: `x` in the plot, `anchor` keeps its label inside; far off, only the label points to it."""

    x: float
    drawn: bool
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """All that the page's template draws."""

    name: str
    bars: tuple[Bar, ...]
    limits: tuple[Mark, ...]
    low: str
    high: str
    median: str
    count: int
    outside: int  # values beyond the drawn range; they are counted in its first and last bins


def histogram(
    name: str, accepted: NDArray[np.float32], rejected: NDArray[np.float32], limits: Sequence[tuple[Side, float]]
) -> Histogram | None:
    """None where no attempt has the score. limits: ("min" or "max", value)."""
    values = np.concatenate([accepted, rejected])
    if not values.size:
        return None
    low, high = (float(v) for v in np.percentile(values, [TAIL, 100 - TAIL]))
    near = [value for _, value in limits if low - (high - low) <= value <= high + (high - low)]
    low, high = min([low, *near]), max([high, *near])
    pad = 0.03 * (high - low) or max(0.5, 0.05 * abs(high))
    low, high = max(0.0, low - pad), high + pad
    edges = np.linspace(low, high, BINS + 1)
    clipped = (np.clip(part.astype(np.float64), low, high) for part in (accepted, rejected))
    counts = [np.histogram(part, edges)[0] for part in clipped]
    scale = HEIGHT / max(1, int((counts[0] + counts[1]).max()))
    return Histogram(
        name=name,
        bars=tuple(_bars(edges, counts[0], counts[1], scale)),
        limits=tuple(_mark(side, value, (value - low) / (high - low)) for side, value in limits),
        low=number(low),
        high=number(high),
        median=number(float(np.median(accepted))) if accepted.size else "",
        count=int(values.size),
        outside=int(np.count_nonzero((values < low) | (values > high))),
    )


def _bars(
    edges: NDArray[np.float64], accepted: NDArray[np.int64], rejected: NDArray[np.int64], scale: float
) -> list[Bar]:
    width = WIDTH / BINS
    bars = []
    for index, (kept, refused) in enumerate(zip(accepted.tolist(), rejected.tolist(), strict=True)):
        if kept + refused:
            span = f"{number(edges[index])} to {number(edges[index + 1])}"
            title = f"{span}: {kept:,} accepted, {refused:,} rejected"
            below, above = (max(1.0, count * scale) if count else 0.0 for count in (kept, refused))  # none unseen
            bars.append(
                Bar(index * width, width - 1, HEIGHT - below, below, HEIGHT - below - above, above, title),
            )
    return bars


def _mark(side: Side, value: float, share: float) -> Mark:
    text = f"{side} {number(value)}"
    if share < 0:
        return Mark(0.0, False, f"← {text}", "start")
    if share > 1:
        return Mark(WIDTH, False, f"{text} →", "end")
    return Mark(share * WIDTH, True, text, "end" if share > 0.5 else "start")
