"""An experiment from its recipe to its table: sets, cells, results."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from factory.errors import count_of
from factory.experiments.cells import Cell, Outcome, Runner, outcome_of
from factory.experiments.leaks import leaking
from factory.experiments.planning import Experiment, cells_of, plan_experiment, tainted
from factory.experiments.plots import draw_plots
from factory.experiments.recipe import ExperimentRecipe
from factory.experiments.running import run_cells
from factory.experiments.sets import make_sets
from factory.experiments.tables import markdown, write_tables
from factory.jobs.recipes import from_anywhere, to_yaml
from factory.run.folder import check_out, interruptible, writable
from factory.run.say import Say, say_on_stderr
from factory.shards.durable import write_durably
from factory.shards.layout import Layout

MARKER = "recipe.yaml"  # an experiment's folder is one of a recipe; its cells say themselves what they are of
TABLE = "table.md"


@dataclass(frozen=True)
class Ended:
    """How an experiment ended.  missing: cells of the wanted arms that are not done."""

    out: Path
    table: str
    missing: int

    @property
    def exit_code(self) -> int:
        """0 whole, 1 something failed."""
        return 1 if self.missing else 0


def execute_experiment(
    recipe: ExperimentRecipe,
    run: Runner,
    *,
    only: Sequence[str] = (),
    workers: int = 1,
    say: Say = say_on_stderr,
) -> Ended:
    """Make what is missing of an experiment; what is done stays.

    only: arms to run, all if none is named.  workers: cells at a time; more than one are processes of their own.
    Raises FactoryError: UsageError where nothing was started.
    """
    out = check_out(recipe.out, MARKER)
    with interruptible():
        experiment = plan_experiment(recipe, only, say)
        layout, name = Layout(out), f"experiment {time.strftime('%Y-%m-%d %H:%M')}"
        with writable(out), layout.store.lease(layout.lock, name):
            write_durably(layout.recipe, to_yaml(from_anywhere(recipe)).encode())
            try:
                return _carry_out(experiment, run, workers, say)
            finally:
                shutil.rmtree(layout.scratch, ignore_errors=True)


def _carry_out(experiment: Experiment, run: Runner, workers: int, say: Say) -> Ended:
    without = make_sets(experiment.sets, experiment.wanted_sets, say)
    cells, failed = cells_of(experiment, without)
    failed |= leaking([cell for cell in cells if cell.arm.name in experiment.wanted], say)
    cells = [cell for cell in cells if cell.arm.name not in failed]
    wanted = [cell for cell in cells if cell.arm.name in experiment.wanted]
    done = sum(bool(outcome_of(cell).errors) for cell in wanted)
    for sentence in (*(f"{arm} is left out: {why}" for arm, why in failed.items()), *tainted(experiment)):
        say(sentence)
    say(f"{count_of(len(wanted), 'cell', 'cells')}, {done:,} of them done")
    begun = time.monotonic()

    def tell(ended: Outcome) -> None:
        nonlocal done
        done += 1
        cell = ended.cell
        how = f"failed: {ended.failure}" if ended.failure else "done"
        minutes = (time.monotonic() - begun) / 60
        say(f"{done:,}/{len(wanted):,} {cell.arm.name}, fold {cell.fold}, seed {cell.seed} {how} ({minutes:.1f} min)")
        _write(experiment, cells, failed)

    run_cells(wanted, run, workers, tell)
    table = _write(experiment, cells, failed)
    draw_plots(experiment.arms, [outcome_of(cell) for cell in cells], experiment.recipe.compare, experiment.recipe.out)
    asked = sum(len(arm.seeds) * len(arm.folds) for arm in experiment.arms if arm.name in experiment.wanted)
    return Ended(experiment.recipe.out, table, asked - sum(bool(outcome_of(cell).errors) for cell in wanted))


def _write(experiment: Experiment, cells: Sequence[Cell], failed: dict[str, str]) -> str:
    outcomes, out = [outcome_of(cell) for cell in cells], experiment.recipe.out
    write_tables(outcomes, out)
    table = markdown(
        out.resolve().name,
        arms=experiment.arms,
        outcomes=outcomes,
        compare=experiment.recipe.compare,
        failed=failed,
        tainted=tainted(experiment),
    )
    write_durably(out / TABLE, table.encode())
    return table


def outlook(recipe: ExperimentRecipe, only: Sequence[str] = ()) -> str:
    """What would be done, in lines for people; nothing is written. Raises UsageError as the experiment would."""
    told: list[str] = []
    experiment = plan_experiment(recipe, only, told.append)
    check_out(recipe.out, MARKER)
    folds = [len(fold) for fold in experiment.folds]
    pictures = count_of(sum(folds), "test picture", "test pictures")
    lines = [*told, f"experiment → {recipe.out}", f"  {pictures} in folds of {', '.join(map(str, folds))}"]
    for name, planned in experiment.sets.items():
        if name in experiment.wanted_sets:
            there = planned.recipe is None or Layout(planned.folder).finished.exists()
            lines.append(f"  set {name}: {planned.folder} {'is there' if there else 'is made first'}")
    arms = [arm for arm in experiment.arms if arm.name in experiment.wanted]
    for arm in arms:
        sets = " + ".join(f"{name} × {taken.share:g}" for name, taken in arm.sets.items())
        sizes = f"{count_of(len(arm.folds), 'fold', 'folds')} × {count_of(len(arm.seeds), 'seed', 'seeds')}"
        lines.append(f"  arm {arm.name}: {sets}; {sizes}")
    cells = sum(len(arm.folds) * len(arm.seeds) for arm in arms)
    return "\n".join([*lines, f"  {count_of(cells, 'cell', 'cells')} in all"])
