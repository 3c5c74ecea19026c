"""An experiment from its recipe to its table: sets, cells, results."""

from collections.abc import Sequence

from factory.errors import count_of
from factory.experiments.at_work import MARKER, TABLE, Ended, at_work, carry_out
from factory.experiments.cells import Runner, outcome_of
from factory.experiments.matting.cell import MattingCell
from factory.experiments.matting.figures import FIGURES, markdown
from factory.experiments.matting.leaks import leaking
from factory.experiments.matting.planning import Experiment, cells_of, plan_experiment, tainted
from factory.experiments.matting.recipe import ExperimentRecipe
from factory.experiments.plots import draw_bars, draw_curves
from factory.experiments.sets import make_sets
from factory.experiments.tables import write_tables
from factory.run.folder import check_out, interruptible
from factory.run.say import Say, say_on_stderr
from factory.shards.durable import write_durably


def execute_experiment(
    recipe: ExperimentRecipe,
    run: Runner[MattingCell],
    *,
    only: Sequence[str] = (),
    workers: int = 1,
    say: Say = say_on_stderr,
) -> Ended:
    """Make what is missing of an experiment; what is done stays.

    only: arms to run, all if none is named.  workers: cells at a time; more than one are processes of their own.
    Raises FactoryError: UsageError where nothing was started.
    """
    check_out(recipe.out, MARKER)
    with interruptible():
        experiment = plan_experiment(recipe, only, say)
        with at_work(recipe):
            return _carry_out(experiment, run, workers, say)


def _carry_out(experiment: Experiment, run: Runner[MattingCell], workers: int, say: Say) -> Ended:
    without = make_sets(experiment.sets, experiment.wanted_sets, say)
    cells, failed = cells_of(experiment, without)
    failed |= leaking([cell for cell in cells if cell.arm.name in experiment.wanted], say)
    cells = [cell for cell in cells if cell.arm.name not in failed]
    wanted = [cell for cell in cells if cell.arm.name in experiment.wanted]
    for sentence in (*(f"{arm} is left out: {why}" for arm, why in failed.items()), *tainted(experiment)):
        say(sentence)
    carry_out(wanted, run, workers, say, lambda: _write(experiment, cells, failed))
    table = _write(experiment, cells, failed)
    recipe, outcomes = experiment.recipe, [outcome_of(cell) for cell in cells]
    draw_bars(FIGURES, experiment.arms, outcomes, recipe.out / "errors.png")
    draw_curves(FIGURES, experiment.arms, outcomes, recipe.compare, recipe.out)
    asked = sum(len(arm.seeds) * len(arm.folds) for arm in experiment.arms if arm.name in experiment.wanted)
    return Ended(recipe.out, table, asked - sum(bool(outcome_of(cell).measured) for cell in wanted), outcomes)


def _write(experiment: Experiment, cells: Sequence[MattingCell], failed: dict[str, str]) -> str:
    outcomes, out = [outcome_of(cell) for cell in cells], experiment.recipe.out
    write_tables(FIGURES, outcomes, out)
    table = markdown(
        out.resolve().name,
        experiment.arms,
        outcomes,
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
            lines.append(planned.outlook(name))
    arms = [arm for arm in experiment.arms if arm.name in experiment.wanted]
    for arm in arms:
        sets = " + ".join(f"{name} × {taken.share:g}" for name, taken in arm.sets.items())
        sizes = f"{count_of(len(arm.folds), 'fold', 'folds')} × {count_of(len(arm.seeds), 'seed', 'seeds')}"
        lines.append(f"  arm {arm.name}: {sets}; {sizes}")
    cells = sum(len(arm.folds) * len(arm.seeds) for arm in arms)
    return "\n".join([*lines, f"  {count_of(cells, 'cell', 'cells')} in all"])
