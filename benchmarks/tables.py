"""The paper's Tables 1 and 2 by the recipes that ship, at the scale of two CPU cores, beside the paper's figures.

    python benchmarks/tables.py OUT [--table 2] [--only ARM] [--workers 2] [--set FIELD=VALUE …]

Photographs are those below backgrounds/ of FACTORY_DATA. Sets and base are made first, outside the time that is told;
both tables share them in OUT/shared. Stop it and start it as you like: what is done stays, and the time told is that of
this start. Then OUT/tableN/table.md is printed, and whether GSG orders the arms as the paper's table does: ours must be
below each other arm of which the paper gives a GSG, as a mean over seeds.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from figures import exit_code, shown, within
from material import DATA

from factory.experiments.cells import Outcome
from factory.experiments.painting.experiment import execute_painting
from factory.experiments.painting.figures import GSG
from factory.experiments.painting.one_cell import train_and_paint
from factory.experiments.painting.planning import plan_painting
from factory.experiments.painting.recipe import PaintingRecipe, parse_painting
from factory.experiments.sets import make_sets
from factory.experiments.statistics import difference, spread_over_seeds
from factory.jobs.recipes import set_dotted
from factory.run.say import say_on_stderr
from factory.shipped_files import find_shipped

MOST_MINUTES = 90
OURS = "ours"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--table", default="2", choices=("1", "2"))
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    if not DATA.is_dir():
        print(f"no photographs at {DATA}: set FACTORY_DATA to a folder with the test pictures; nothing measured")
        return 0
    recipe = parse_painting(filled_in(asked.table, asked.out, asked.set))
    experiment = plan_painting(recipe, asked.only, say_on_stderr)
    make_sets(experiment.sets, experiment.wanted_sets, say_on_stderr)
    begun = time.monotonic()
    ended = execute_painting(recipe, train_and_paint, only=asked.only, workers=asked.workers)
    minutes = (time.monotonic() - begun) / 60
    print(ended.table)
    held = [within(f"table {asked.table}, without sets and base", minutes, MOST_MINUTES, "minutes")]
    return exit_code(*held, *ordered(recipe, ended.outcomes))


def filled_in(table: str, out: Path, assignments: list[str]) -> dict[str, Any]:
    """The shipped recipe with the photographs that there are."""
    shipped = find_shipped("pipelines", f"table{table}")
    assert shipped is not None
    text = shipped.read_text(encoding="utf-8").replace("data/backgrounds", str(DATA / "backgrounds"))
    fields: dict[str, Any] = yaml.safe_load(text)
    fields |= {"out": str(out / f"table{table}"), "shared": str(out / "shared")}
    for assignment in assignments:
        set_dotted(fields, assignment)
    return fields


def ordered(recipe: PaintingRecipe, outcomes: Sequence[Outcome]) -> list[bool]:
    """A line for each arm that the paper's table has beside ours, as far as both are done."""
    lines, ours = [], spread_over_seeds(outcomes, OURS, GSG.name)
    for arm, own in recipe.arms.items():
        found = difference(outcomes, arm, OURS, GSG.name)
        if arm == OURS or GSG.name not in own.paper or found is None:
            continue
        outside = "outside" if found.outside else "not outside"
        name = f"GSG of {arm}, {found.absolute.count} seeds, {outside} one spread of differences"
        theirs = spread_over_seeds(outcomes, arm, GSG.name)
        paper = own.paper[GSG.name] / recipe.arms[OURS].paper[GSG.name]
        peer = f"ours {GSG.text(ours)} (the paper's ratio: {paper:.3g})"
        lines.append(shown(name, GSG.text(theirs), peer, theirs.mean / max(ours.mean, 1e-9), 1))
    return lines


if __name__ == "__main__":
    sys.exit(main())
