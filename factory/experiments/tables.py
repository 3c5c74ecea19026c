"""The numbers of an experiment as files: a row a cell, a row a picture, and the parts of a page of Markdown."""

import io
from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from factory.errors import count_of
from factory.experiments.cells import Outcome, Row
from factory.experiments.figures import NOTHING, Figures, Metric
from factory.experiments.statistics import Difference, difference, folds_of, spread_over_seeds
from factory.shards.durable import appearing, write_durably

DIFFERENCES = (
    "Differences are paired by seed; one is outside where it is more than its own ± from 0, which is no test of "
    "significance."
)
_ARM = [("arm", pa.string()), ("series", pa.string()), ("axis", pa.string()), ("value", pa.float64())]
_CELL = [*_ARM, ("fold", pa.int32()), ("seed", pa.int64())]


def write_tables(figures: Figures, outcomes: Sequence[Outcome], out: Path) -> None:
    """cells.parquet and cells.csv, a row a cell with the means over its pictures (null where there are none);
    pictures.parquet, a row a picture of each cell.
    """
    numbers = [(name, pa.float64()) for name in figures.names]
    about = [("pictures", pa.int32()), *numbers, ("state", pa.string()), ("failure", pa.string())]
    cells = pa.Table.from_pylist([_cell_row(figures, one) for one in outcomes], schema=pa.schema([*_CELL, *about]))
    rows = [_told(one) | {"picture": own.picture, **own.numbers} for one in outcomes for own in one.measured]
    pictures = pa.Table.from_pylist(rows, schema=pa.schema([*_CELL, ("picture", pa.string()), *numbers]))
    for name, table in (("cells", cells), ("pictures", pictures)):
        with appearing(out / f"{name}.parquet") as file:
            pq.write_table(table, file, compression="zstd")
    text = io.BytesIO()
    pacsv.write_csv(cells, text)
    write_durably(out / "cells.csv", text.getvalue())


def _told(one: Outcome) -> dict[str, Any]:
    arm = one.cell.arm
    named = {"arm": arm.name, "series": arm.series, "axis": arm.axis, "value": arm.value if arm.axis else None}
    return named | {"fold": one.cell.fold, "seed": one.cell.seed}


def _cell_row(figures: Figures, one: Outcome) -> dict[str, Any]:
    own = {name: [told.numbers[name] for told in one.measured if name in told.numbers] for name in figures.names}
    means = {name: float(np.mean(values)) for name, values in own.items() if values}
    state = "done" if one.measured else "failed" if one.failure else "missing"
    return _told(one) | means | {"pictures": len(one.measured), "state": state, "failure": one.failure}


def page(title: str, parts: Sequence[str]) -> str:
    """The whole page."""
    return "\n".join([f"# {title}", *parts]) + "\n"


def done_of(arm: Row, outcomes: Sequence[Outcome]) -> str:
    """How many of an arm's cells are done: "2 of 3"."""
    own = [one for one in outcomes if one.cell.arm.name == arm.name]
    return f"{sum(bool(one.measured) for one in own)} of {len(arm.seeds) * len(arm.folds)}"


def means(figures: Figures, arms: Sequence[Row], outcomes: Sequence[Outcome]) -> Iterator[str]:
    """A row an arm."""
    yield from head("arm", "done", *(metric.heading for metric in figures.metrics))
    for arm in arms:
        own = (metric.text(spread_over_seeds(outcomes, arm.name, metric.name)) for metric in figures.metrics)
        yield row(arm.name, done_of(arm, outcomes), *own)


def over_folds(metric: Metric, arms: Sequence[Row], outcomes: Sequence[Outcome]) -> Iterator[str]:
    """A column a fold, where there are several."""
    folds = sorted({fold for arm in arms for fold in arm.folds})
    if len(folds) < 2:
        return
    yield from ("", f"## {metric.heading} of each fold")
    yield from head("arm", *(f"fold {fold}" for fold in folds))
    for arm in arms:
        there = folds_of(outcomes, arm.name)
        own = (
            metric.text(spread_over_seeds(outcomes, arm.name, metric.name, [fold])) if fold in there else NOTHING
            for fold in folds
        )
        yield row(arm.name, *own)


def compared(figures: Figures, arms: Sequence[Row], outcomes: Sequence[Outcome], other: str) -> Iterator[str]:
    """Differences from one arm, paired by seed."""
    yield from ("", f"## Less {other}")
    columns = [column for metric in figures.compared for column in (f"Δ {metric.heading}", "%", "outside")]
    yield from head("arm", "seeds", *columns)
    for arm in arms:
        if arm.name == other:
            continue
        found = [(metric, difference(outcomes, arm.name, other, metric.name)) for metric in figures.compared]
        seeds = next((str(one.absolute.count) for _, one in found if one), NOTHING)
        yield row(arm.name, seeds, *(cell for metric, one in found for cell in _difference(one, metric)))


def _difference(found: Difference | None, metric: Metric) -> tuple[str, str, str]:
    if found is None:
        return NOTHING, NOTHING, NOTHING
    outside = NOTHING if isnan(found.absolute.spread) else "yes" if found.outside else "no"
    return metric.text(found.absolute, sign="+"), f"{found.relative:+.1%}", outside


def failures(outcomes: Sequence[Outcome], without: Mapping[str, str]) -> Iterator[str]:
    """What failed and why.  without: arm → why none of it was run."""
    failed = [one for one in outcomes if one.failure]
    if not failed and not without:
        return
    yield from ("", "## What failed", "")
    for arm, why in without.items():
        yield f"- {arm}, all of it: {why}"
    for one in failed:
        yield f"- {one.cell.arm.name}, {one.cell.place}: {one.failure}"
    if failed:
        yield ""
        yield f"{count_of(len(failed), 'cell', 'cells')} failed and will be tried again by the same command."


def head(*headings: str) -> tuple[str, ...]:
    return "", row(*headings), "|" + "---|" * len(headings)


def row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
