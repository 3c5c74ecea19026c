"""The numbers of an experiment as files: a row a cell, a row a test picture, and what they tell as Markdown."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from factory.errors import count_of
from factory.experiments.arms import OneArm
from factory.experiments.cells import Outcome
from factory.experiments.statistics import METRICS, Difference, Spread, difference, folds_of, spread_over_seeds
from factory.quality.evaluation import CONVENTION, REGIONS
from factory.quality.metrics import UNITS
from factory.shards.durable import appearing, write_durably

SHOWN: Mapping[str, tuple[str, float, int]] = {  # heading, factor, decimals
    "mse": ("MSE × 1000", 1000.0, 2),
    "conn": ("Conn", 1.0, 3),
    "sad": ("SAD", 1.0, 3),
    "grad": ("Grad", 1.0, 3),
}
COMPARED = ("mse", "conn")
NOTHING = "–"
_ARM = [("arm", pa.string()), ("series", pa.string()), ("axis", pa.string()), ("value", pa.float64())]
_CELL = [*_ARM, ("fold", pa.int32()), ("seed", pa.int64())]
_NUMBERS = [(name, pa.float64()) for name in METRICS]
CELLS = pa.schema([*_CELL, ("pictures", pa.int32()), *_NUMBERS, ("state", pa.string()), ("failure", pa.string())])
PICTURES = pa.schema([*_CELL, ("picture", pa.string()), *_NUMBERS])


def write_tables(outcomes: Sequence[Outcome], out: Path) -> None:
    """cells.parquet and cells.csv, a row a cell with the means over its pictures (null where there are none);
    pictures.parquet, a row a test picture of each cell.
    """
    cells = pa.Table.from_pylist([_cell_row(one) for one in outcomes], schema=CELLS)
    rows = [_told(one) | asdict(errors) for one in outcomes for errors in one.errors]
    for name, table in (("cells", cells), ("pictures", pa.Table.from_pylist(rows, schema=PICTURES))):
        with appearing(out / f"{name}.parquet") as file:
            pq.write_table(table, file, compression="zstd")
    text = io.BytesIO()
    pacsv.write_csv(cells, text)
    write_durably(out / "cells.csv", text.getvalue())


def _told(one: Outcome) -> dict[str, Any]:
    arm = one.cell.arm
    named = {"arm": arm.name, "series": arm.series, "axis": arm.axis, "value": arm.value if arm.axis else None}
    return named | {"fold": one.cell.fold, "seed": one.cell.seed}


def _cell_row(one: Outcome) -> dict[str, Any]:
    means = {name: float(np.mean([getattr(error, name) for error in one.errors])) for name in METRICS if one.errors}
    state = "done" if one.errors else "failed" if one.failure else "missing"
    return _told(one) | means | {"pictures": len(one.errors), "state": state, "failure": one.failure}


def markdown(
    title: str,
    *,
    arms: Sequence[OneArm],
    outcomes: Sequence[Outcome],
    compare: Sequence[str],
    failed: Mapping[str, str],
    tainted: Sequence[str],
) -> str:
    """The page table.md.  failed: arm → why none of it was run.  tainted: which models have seen the test pictures."""
    parts = [f"# {title}", *_means(arms, outcomes), *_over_folds(arms, outcomes)]
    for other in compare:
        parts += _compared(arms, outcomes, other)
    parts += _failures(outcomes, failed)
    if tainted:
        parts += ["", "## What has seen the test", "", *(f"- {sentence}" for sentence in tainted)]
    units = [f"{SHOWN[name][0].split(' ')[0]} = {UNITS[name]}" for name in SHOWN]
    parts += [
        "",
        f"Region: {REGIONS['trimap']}; as in {CONVENTION}. {'; '.join(units)}.",
        "",
        "± is the spread over seeds (standard deviation, n − 1) of the mean over all test pictures of the folds. "
        "Differences are paired by seed; one is outside where it is more than its own ± from 0, which is no test of "
        "significance.",
    ]
    return "\n".join(parts) + "\n"


def _means(arms: Sequence[OneArm], outcomes: Sequence[Outcome]) -> Iterator[str]:
    yield from _head("arm", "done", *(heading for heading, _, _ in SHOWN.values()))
    for arm in arms:
        own = [one for one in outcomes if one.cell.arm.name == arm.name]
        done = f"{sum(bool(one.errors) for one in own)} of {len(arm.seeds) * len(arm.folds)}"
        yield _row(arm.name, done, *(_number(spread_over_seeds(outcomes, arm.name, name), name) for name in SHOWN))


def _over_folds(arms: Sequence[OneArm], outcomes: Sequence[Outcome]) -> Iterator[str]:
    folds = sorted({fold for arm in arms for fold in arm.folds})
    if len(folds) < 2:
        return
    yield from ("", f"## {SHOWN['mse'][0]} of each fold")
    yield from _head("arm", *(f"fold {fold}" for fold in folds))
    for arm in arms:
        there = folds_of(outcomes, arm.name)
        yield _row(
            arm.name,
            *(
                _number(spread_over_seeds(outcomes, arm.name, "mse", [fold]), "mse") if fold in there else NOTHING
                for fold in folds
            ),
        )


def _compared(arms: Sequence[OneArm], outcomes: Sequence[Outcome], other: str) -> Iterator[str]:
    yield from ("", f"## Less {other}")
    columns = [column for name in COMPARED for column in (f"Δ {SHOWN[name][0]}", "%", "outside")]
    yield from _head("arm", "seeds", *columns)
    for arm in arms:
        if arm.name == other:
            continue
        found = {name: difference(outcomes, arm.name, other, name) for name in COMPARED}
        seeds = next((str(one.absolute.count) for one in found.values() if one), NOTHING)
        yield _row(arm.name, seeds, *(cell for name, one in found.items() for cell in _difference(one, name)))


def _difference(found: Difference | None, metric: str) -> tuple[str, str, str]:
    if found is None:
        return NOTHING, NOTHING, NOTHING
    outside = NOTHING if isnan(found.absolute.spread) else "yes" if found.outside else "no"
    return _number(found.absolute, metric, sign="+"), f"{found.relative:+.1%}", outside


def _failures(outcomes: Sequence[Outcome], without: Mapping[str, str]) -> Iterator[str]:
    failed = [one for one in outcomes if one.failure]
    if not failed and not without:
        return
    yield from ("", "## What failed", "")
    for arm, why in without.items():
        yield f"- {arm}, all of it: {why}"
    for one in failed:
        yield f"- {one.cell.arm.name}, fold {one.cell.fold}, seed {one.cell.seed}: {one.failure}"
    if failed:
        yield ""
        yield f"{count_of(len(failed), 'cell', 'cells')} failed and will be tried again by the same command."


def _number(value: Spread, metric: str, sign: str = "") -> str:
    _, factor, decimals = SHOWN[metric]
    if not value.count:
        return NOTHING
    mean = f"{value.mean * factor:{sign}.{decimals}f}"
    return mean if isnan(value.spread) else f"{mean} ± {value.spread * factor:.{decimals}f}"


def _head(*headings: str) -> tuple[str, ...]:
    return "", _row(*headings), "|" + "---|" * len(headings)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
