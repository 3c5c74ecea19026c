"""The tables as pictures: a bar an arm with its spread, and curves over what an arm varies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, log2
from pathlib import Path

from factory.experiments.cells import Outcome, Row
from factory.experiments.figures import Figures, Metric
from factory.experiments.sheet import INK, Colour, Sheet
from factory.experiments.statistics import Spread, by_seed, folds_of, spread_of, spread_over_seeds

WIDTH, MARGIN, LABELS, BAR, HEADING = 960, 24, 330, 30, 15
PANEL = 340  # height of a panel of curves
PALE, GRID, BASE = (150, 165, 185), (228, 228, 228), (150, 150, 150)
COLOURS: Sequence[Colour] = ((28, 96, 168), (200, 92, 28), (46, 132, 74), (140, 70, 150), (170, 140, 20))


def draw_bars(figures: Figures, arms: Sequence[Row], outcomes: Sequence[Outcome], path: Path) -> None:
    """One panel a metric, a bar an arm. Arms without numbers yet are not drawn."""
    arms = [arm for arm in arms if folds_of(outcomes, arm.name)]
    if not arms:
        return
    panel = 3 * MARGIN + BAR * len(arms)
    sheet = Sheet(WIDTH, panel * len(figures.plotted) + MARGIN)
    for number, metric in enumerate(figures.plotted):
        seeds = {arm.name: by_seed(outcomes, arm.name, metric.name, folds_of(outcomes, arm.name)) for arm in arms}
        _bar_panel(sheet, number * panel + MARGIN, metric, seeds)
    sheet.save(path)


def _bar_panel(sheet: Sheet, top: float, metric: Metric, seeds: Mapping[str, Mapping[int, float]]) -> None:
    """seeds: arm → seed → number."""
    spreads = {name: spread_of(list(own.values())) for name, own in seeds.items()}
    most = max([*map(_upper, spreads.values()), *(value for own in seeds.values() for value in own.values())])
    scale = (WIDTH - LABELS - 5 * MARGIN) / (most or 1.0)
    sheet.text(LABELS, top, f"{metric.heading}: mean, spread over seeds, each seed", "lm", HEADING)
    for row, (name, own) in enumerate(spreads.items()):
        y = top + MARGIN + BAR * (row + 0.5)
        sheet.text(LABELS - 8, y, _short(name), "rm")
        if not own.count:
            sheet.text(LABELS + 8, y, "no seed has all of its folds", "lm")
            continue
        sheet.box(LABELS, y - 9, LABELS + scale * own.mean, y + 9, PALE)
        if not isnan(own.spread):
            low, high = LABELS + scale * _lower(own), LABELS + scale * _upper(own)
            sheet.line((low, y), (high, y), colour=INK, width=1.6)
            for end in (low, high):
                sheet.line((end, y - 5), (end, y + 5), colour=INK, width=1.6)
        for value in seeds[name].values():
            sheet.dot(LABELS + scale * value, y, 2.5, COLOURS[0])
        sheet.text(WIDTH - 4.5 * MARGIN, y, metric.plain(own.mean), "lm")


@dataclass(frozen=True, slots=True)
class Axes:
    """From values and errors to places on the sheet; values by their doublings."""

    values: tuple[float, ...]
    least: float
    most: float
    top: float
    bottom: float
    left: float = 4.0 * MARGIN
    right: float = WIDTH - 2.0 * MARGIN

    def x(self, value: float) -> float:
        low, high = log2(self.values[0]), log2(self.values[-1])
        share = (log2(value) - low) / (high - low) if high > low else 0.5
        return self.left + (self.right - self.left) * share

    def y(self, error: float) -> float:
        return self.bottom - (self.bottom - self.top) * (error - self.least) / (self.most - self.least)


def draw_curves(
    figures: Figures, arms: Sequence[Row], outcomes: Sequence[Outcome], compare: Sequence[str], out: Path
) -> None:
    """A picture for each thing that arms vary, the first arm of `compare` as a line across."""
    done = [arm for arm in arms if arm.axis and folds_of(outcomes, arm.name)]
    for axis in dict.fromkeys(arm.axis for arm in done):
        varied = [arm for arm in done if arm.axis == axis]
        path = out / f"over {axis}.png".replace(" ", "-")
        _curves(figures, axis, varied, outcomes, base=compare[0] if compare else "", path=path)


def _curves(
    figures: Figures, axis: str, arms: Sequence[Row], outcomes: Sequence[Outcome], *, base: str, path: Path
) -> None:
    """One panel a metric; a curve for each arm of the recipe that varies the axis."""
    sheet = Sheet(WIDTH, PANEL * len(figures.plotted) + MARGIN)
    for number, metric in enumerate(figures.plotted):
        points = {arm.name: spread_over_seeds(outcomes, arm.name, metric.name) for arm in arms}
        across = spread_over_seeds(outcomes, base, metric.name)
        known = [one for one in (*points.values(), across) if one.count]
        if not known:
            continue
        least, most = min(map(_lower, known)), max(map(_upper, known))
        air = 0.08 * (most - least or most or 1.0)
        top, bottom = number * PANEL + 3.0 * MARGIN, (number + 1) * PANEL - 2.0 * MARGIN
        values = tuple(sorted({arm.value for arm in arms}))
        axes = Axes(values, least - air, most + air, top, bottom)
        _frame(sheet, axes, axis, metric)
        if across.count:
            y = axes.y(across.mean)
            sheet.line((axes.left, y), (axes.right, y), colour=BASE, width=1.6)
            sheet.text(axes.right, y - 10, _short(base), "rm")
        for index, series in enumerate(dict.fromkeys(arm.series for arm in arms)):
            colour = COLOURS[index % len(COLOURS)]
            curve = [(arm.value, points[arm.name]) for arm in arms if arm.series == series]
            _curve(sheet, axes, [(value, one) for value, one in curve if one.count], colour)
            x, y = axes.left + 160 + 250 * index, top - 1.6 * MARGIN
            sheet.dot(x, y, 4, colour)
            sheet.text(x + 12, y, _short(series, 28), "lm")
    sheet.save(path)


def _frame(sheet: Sheet, axes: Axes, axis: str, metric: Metric) -> None:
    """Heading, grid, and what the axes say."""
    sheet.text(axes.left, axes.top - 1.6 * MARGIN, metric.heading, "lm", HEADING)
    for step in range(5):
        error = axes.least + (axes.most - axes.least) * step / 4
        sheet.line((axes.left, axes.y(error)), (axes.right, axes.y(error)), colour=GRID)
        sheet.text(axes.left - 8, axes.y(error), metric.plain(error), "rm")
    for value in axes.values:
        sheet.text(axes.x(value), axes.bottom + 16, f"{value:g}", "mm")
    sheet.text((axes.left + axes.right) / 2, axes.bottom + 36, axis, "mm")


def _curve(sheet: Sheet, axes: Axes, points: Sequence[tuple[float, Spread]], colour: Colour) -> None:
    sheet.line(*[(axes.x(value), axes.y(one.mean)) for value, one in points], colour=colour, width=2)
    for value, one in points:
        x = axes.x(value)
        sheet.dot(x, axes.y(one.mean), 4, colour)
        sheet.line((x, axes.y(_lower(one))), (x, axes.y(_upper(one))), colour=colour, width=1.6)


def _upper(one: Spread) -> float:
    """0 where there is no mean."""
    return one.mean + (0.0 if isnan(one.spread) else one.spread) if one.count else 0.0


def _lower(one: Spread) -> float:
    return one.mean - (0.0 if isnan(one.spread) else one.spread) if one.count else 0.0


def _short(name: str, letters: int = 44) -> str:
    return name if len(name) <= letters else f"{name[: letters - 3]}..."
