"""What models that paint are measured by, and the page that shows it beside what a paper says."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from factory.experiments.cells import Outcome, Row
from factory.experiments.figures import NOTHING, Figures, Metric
from factory.experiments.statistics import spread_over_seeds
from factory.experiments.tables import DIFFERENCES, compared, done_of, failures, head, page, row
from factory.greenscreen.gsg import GSG_DEFINITION

LEAST, MOST = ("gsg", "mae", "noise", "latent"), ("aesthetic", "iou")  # by which is best: the least, the most
NOT_SCORED = "not scored"
GSG, AESTHETIC = Metric("gsg", "GSG ↓", decimals=2), Metric("aesthetic", "aesthetic ↑", decimals=2)
COVERED = Metric("covered", "mask covers %", 100.0, 1)
MAE, IOU = Metric("mae", "mask MAE ↓", decimals=4), Metric("iou", "mask IoU ↑")
MINUTES = Metric("seconds", "minutes", 1 / 60, 1)
LOSSES = tuple(Metric(name, f"L_{name}", decimals=4) for name in ("noise", "green", "detail", "latent"))
FLOOR = Metric("floor", "GSG of a bare screen", decimals=2)  # through the autoencoder, which no arm trains
PAINTED, HEAD = (GSG, AESTHETIC, COVERED), (MAE, IOU)
FIGURES = Figures(metrics=(*PAINTED, *HEAD, FLOOR, *LOSSES, MINUTES), compared=(GSG, IOU), plotted=(GSG,))
BY_NAME = {metric.name: metric for metric in FIGURES.metrics}


Paper: TypeAlias = Mapping[str, Mapping[str, float]]
"""Arm → metric → what the paper says of it."""


def results(
    arms: Sequence[Row],
    outcomes: Sequence[Outcome],
    paper: Paper,
    rates: Mapping[str, float],
) -> Iterator[str]:
    """The paper's table: a row an arm, each number beside the paper's.  rates: those that were chosen, by arm."""
    said = {name for own in paper.values() for name in own}
    shown = (*PAINTED, *HEAD, MINUTES)
    columns = [
        title
        for metric in shown
        for title in (metric.heading, *([f"the paper's {metric.heading}"] if metric.name in said else []))
    ]
    yield from head("arm", "learning rate", "done", *columns)
    for arm in arms:
        cells = []
        for metric in shown:
            own = spread_over_seeds(outcomes, arm.name, metric.name)
            cells.append(NOT_SCORED if metric is AESTHETIC and not own.count else metric.text(own))
            if metric.name in said:
                told = paper[arm.name].get(metric.name)
                cells.append(NOTHING if told is None else f"{told:g}")
        rate = f"{rates[arm.name]:g}" if arm.name in rates else NOTHING
        yield row(arm.name, rate, done_of(arm, outcomes), *cells)


def trials(
    arms: Sequence[Row], outcomes: Sequence[Outcome], rates: Mapping[str, float], choose_by: str
) -> Iterator[str]:
    """How the rates did on the seeds that chose."""
    if not arms:
        return
    metric = BY_NAME[choose_by]
    yield from ("", f"## Learning rates, by {metric.heading} on seeds {', '.join(map(str, arms[0].seeds))}")
    yield from head("arm", "learning rate", "done", metric.heading, "chosen")
    for arm in arms:
        tried = [other.value for other in arms if other.series == arm.series]
        chosen = rates.get(arm.series) == arm.value
        edge = chosen and len(tried) > 1 and arm.value in {min(tried), max(tried)}
        told = ("yes, at the end of those tried" if edge else "yes") if chosen else ""
        number = metric.text(spread_over_seeds(outcomes, arm.name, metric.name))
        yield row(arm.series, f"{arm.value:g}", done_of(arm, outcomes), number, told)


def markdown(
    title: str,
    *,
    arms: Sequence[Row],
    trial_arms: Sequence[Row],
    outcomes: Sequence[Outcome],
    rates: Mapping[str, float],
    choose_by: str,
    paper: Paper,
    compare: Sequence[str],
    failed: Mapping[str, str],
    notes: Sequence[str],
) -> str:
    """The page table.md."""
    parts = [*results(arms, outcomes, paper, rates), *trials(trial_arms, outcomes, rates, choose_by)]
    for other in compare:
        parts += compared(FIGURES, arms, outcomes, other)
    parts += failures(outcomes, failed)
    told = [
        *notes,
        f"GSG: {GSG_DEFINITION}; a mean over pictures. A screen with nothing before it has the best one: see what the "
        "mask covers, and the pictures.",
    ]
    floors = [own.numbers["floor"] for one in outcomes for own in one.measured if "floor" in own.numbers]
    if floors:
        told.append(f"A bare screen comes back from the autoencoder at a GSG of {FLOOR.plain(max(floors))}.")
    if any(paper.values()):
        told.append("The paper's figures are of Stable Diffusion 1.5 on Green100K: compare orders, not numbers.")
    parts += [
        "",
        *(f"- {note}" for note in told),
        "",
        f"± is the spread over seeds (standard deviation, n − 1) of the mean over all pictures. {DIFFERENCES}",
    ]
    return page(title, parts)
