"""Such an experiment from its recipe to its table: sets, base, the choice of rates, then what is reported."""

from collections.abc import Sequence

from factory.errors import UsageError, count_of
from factory.experiments.at_work import MARKER, TABLE, Ended, at_work, carry_out
from factory.experiments.cells import Outcome, Runner, outcome_of
from factory.experiments.painting.cell import PaintingCell
from factory.experiments.painting.choosing import best_rate
from factory.experiments.painting.figures import FIGURES, markdown
from factory.experiments.painting.one_cell import SHEET
from factory.experiments.painting.planning import Cells, Experiment, Method, plan_painting
from factory.experiments.painting.recipe import PaintingRecipe
from factory.experiments.plots import draw_bars, draw_curves
from factory.experiments.sets import make_sets
from factory.experiments.tables import write_tables
from factory.run.folder import check_out, interruptible
from factory.run.say import Say, say_on_stderr
from factory.shards.durable import write_durably


def execute_painting(
    recipe: PaintingRecipe,
    run: Runner[PaintingCell],
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
        experiment = plan_painting(recipe, only, say)
        with at_work(recipe):
            return _Standing(experiment, say).run(run, workers)


class _Standing:
    """How far an experiment is: cells by now, rates chosen by now, arms that came to nothing and why."""

    def __init__(self, experiment: Experiment, say: Say) -> None:
        self.experiment, self.say = experiment, say
        self.cells: list[PaintingCell] = []
        self.rates: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        self.made = Cells(experiment)

    def run(self, run: Runner[PaintingCell], workers: int) -> Ended:
        """First the trials of all arms, then each arm at its best rate."""
        experiment, recipe = self.experiment, self.experiment.recipe
        without = make_sets(experiment.sets, experiment.wanted_sets, self.say)
        for method in experiment.methods:
            if reason := next((f"the set {name}: {without[name]}" for name in method.uses if name in without), ""):
                self._leave_out(method, reason)
        for arms in (self._trials, self._reported):
            cells: list[PaintingCell] = []
            for method in self._left():
                try:
                    cells += arms(method)
                except UsageError as error:
                    self._leave_out(method, str(error))
            self.cells += cells
            wanted = [cell for cell in cells if (cell.arm.series or cell.arm.name) in experiment.wanted]
            if wanted:
                carry_out(wanted, run, workers, self.say, self.write)
            self._choose()
        table = self.write()
        outcomes = self._outcomes()
        draw_bars(FIGURES, experiment.rows, outcomes, recipe.out / "results.png")
        draw_curves(FIGURES, experiment.trial_rows, outcomes, (), recipe.out)
        asked = len(recipe.seeds) * len(experiment.wanted)
        done = sum(bool(one.measured) for one in outcomes if one.cell.arm.name in experiment.wanted)
        return Ended(recipe.out, table, asked - done, outcomes)

    def _left(self) -> list[Method]:
        """Arms that are not known to come to nothing. Of those that are not asked for, what is done is told."""
        there = self.experiment.sets
        return [
            method
            for method in self.experiment.methods
            if method.name not in self.failed
            and (method.name in self.experiment.wanted or all(there[name].is_there for name in method.uses))
        ]

    def _trials(self, method: Method) -> list[PaintingCell]:
        rows = [row for row in self.experiment.trial_rows if row.series == method.name]
        return [cell for row in rows for cell in self.made.of(method, row, row.value)]

    def _reported(self, method: Method) -> list[PaintingCell]:
        rate = self.rates.get(method.name)
        if rate is None and method.rates:
            return []  # it is not yet chosen
        row = next(row for row in self.experiment.rows if row.name == method.name)
        return self.made.of(method, row, rate)

    def _choose(self) -> None:
        """Whatever trials are done by now."""
        outcomes, by = self._outcomes(), self.experiment.recipe.choose_by
        for method in self._left():
            rows = [row for row in self.experiment.trial_rows if row.series == method.name]
            rate = best_rate(rows, outcomes, by) if rows else next(iter(method.rates), None)
            if rate is not None:
                self.rates[method.name] = rate
            elif rows and method.name in self.experiment.wanted:
                self._leave_out(method, f"none of its learning rates has a {by} of every choosing seed")

    def _leave_out(self, method: Method, reason: str) -> None:
        if method.name in self.experiment.wanted:
            self.failed[method.name] = reason
            self.say(f"{method.name} is left out: {reason}")

    def _outcomes(self) -> list[Outcome]:
        return [outcome_of(cell) for cell in self.cells]

    def write(self) -> str:
        """The tables, of what there is by now."""
        experiment, recipe, outcomes = self.experiment, self.experiment.recipe, self._outcomes()
        write_tables(FIGURES, outcomes, recipe.out)
        table = markdown(
            recipe.out.resolve().name,
            arms=experiment.rows,
            trial_arms=experiment.trial_rows,
            outcomes=outcomes,
            rates=self.rates,
            choose_by=recipe.choose_by,
            paper={name: arm.paper for name, arm in recipe.arms.items()},
            compare=recipe.compare,
            failed=self.failed,
            notes=notes(experiment),
        )
        write_durably(recipe.out / TABLE, table.encode())
        return table


def notes(experiment: Experiment) -> list[str]:
    """What all arms have in common, for the page."""
    recipe, first = experiment.recipe, experiment.methods[0]
    asked = recipe.painting
    pictures = f"{len(asked.classes)} classes × {asked.each} pictures, from the same noise in every training"
    seen = f"Each training sees {first.samples:,} samples in {first.steps:,} steps"
    painted = f"{pictures}: {', '.join(asked.classes)}. They are {recipe.root}/cells/*/{SHEET}."
    return [f"{seen}, on {first.training.base}.", painted]


def outlook(recipe: PaintingRecipe, only: Sequence[str] = ()) -> str:
    """What would be done, in lines for people; nothing is written. Raises UsageError as the experiment would."""
    told: list[str] = []
    experiment = plan_painting(recipe, only, told.append)
    check_out(recipe.out, MARKER)
    lines = [*told, f"experiment → {recipe.out}"]
    lines += [planned.outlook(name) for name, planned in experiment.sets.items() if name in experiment.wanted_sets]
    cells = steps = 0
    for method in experiment.methods:
        if method.name in experiment.wanted:
            trials = len(method.rates) * len(recipe.choose_seeds) if len(method.rates) > 1 else 0
            own = len(recipe.seeds)
            chosen = f"{len(method.rates)} rates × {len(recipe.choose_seeds)} seeds by {recipe.choose_by}, then "
            seeds = count_of(own, "seed", "seeds")
            lines.append(f"  arm {method.name}: {chosen if trials else ''}{seeds}; {method.steps:,} steps each")
            cells += trials + own
            steps += (trials + own) * method.steps
    each = len(recipe.painting.classes) * recipe.painting.each
    lines.append(f"  {count_of(cells, 'cell', 'cells')} in all: {steps:,} steps, {cells * each:,} pictures")
    return "\n".join(lines)
