"""The folder of an experiment while it is worked on: one run at a time, its recipe inside, its cells told of."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from factory.errors import count_of
from factory.experiments.cells import C, Outcome, Runner, outcome_of
from factory.experiments.fields import ExperimentBase
from factory.experiments.running import run_cells
from factory.jobs.recipes import from_anywhere, to_yaml
from factory.run.folder import check_out, writable
from factory.run.say import Say
from factory.shards.durable import write_durably
from factory.shards.layout import Layout

MARKER = "recipe.yaml"  # an experiment's folder is one of a recipe; its cells say themselves what they are of
TABLE = "table.md"


@dataclass(frozen=True)
class Ended:
    """How an experiment ended.  missing: cells of the wanted arms that are not done.  outcomes: of all cells."""

    out: Path
    table: str
    missing: int
    outcomes: Sequence[Outcome] = ()

    @property
    def exit_code(self) -> int:
        """0 whole, 1 something failed."""
        return 1 if self.missing else 0


@contextmanager
def at_work(recipe: ExperimentBase) -> Iterator[None]:
    """Raises UsageError where the folder is another's, or another run works in it."""
    out = check_out(recipe.out, MARKER)
    layout, name = Layout(out), f"experiment {time.strftime('%Y-%m-%d %H:%M')}"
    with writable(out), layout.store.lease(layout.lock, name):
        write_durably(layout.recipe, to_yaml(from_anywhere(recipe)).encode())
        try:
            yield
        finally:
            shutil.rmtree(layout.scratch, ignore_errors=True)


def carry_out(cells: Sequence[C], run: Runner[C], workers: int, say: Say, after_each: Callable[[], object]) -> None:
    """Run those of the cells that are not done, and say what became of each."""
    done = sum(bool(outcome_of(cell).measured) for cell in cells)
    say(f"{count_of(len(cells), 'cell', 'cells')}, {done:,} of them done")
    begun = time.monotonic()

    def tell(ended: Outcome) -> None:
        nonlocal done
        done += 1
        cell = ended.cell
        how = f"failed: {ended.failure}" if ended.failure else "done"
        minutes = (time.monotonic() - begun) / 60
        say(f"{done:,}/{len(cells):,} {cell.arm.name}, {cell.place} {how} ({minutes:.1f} min)")
        after_each()

    run_cells(cells, run, workers, tell)
