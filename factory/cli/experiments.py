"""The command that tells what data, and what ways to train, are worth."""

from pathlib import Path
from typing import Annotated

import typer

from factory.cli.flags import Debug, DryRun, Set, put
from factory.cli.running import EXPERIMENTS, recipe_fields, run_experiment

experiments_app = typer.Typer(rich_markup_mode="markdown")


@experiments_app.command()
def experiment(
    recipe: Annotated[Path, typer.Argument(help="A recipe of an experiment: a file, or one that ships.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the experiment. The same command again goes on.", show_default="the recipe's"),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Run this arm alone; the table keeps the others. Repeatable.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Trainings at a time, on one thread each.", min=1)] = 1,
    dry_run: DryRun = False,
    assignments: Set = None,
    debug: Debug = False,
) -> None:
    """Train in several ways, several seeds of each, and tell what each is worth.

    The same matting network on different data (docs/training-matting.md), or one base that learns to paint in different
    ways (docs/training.md). What is done stays; an arm that fails is told in the table, the others go on.

    `factory recipes copy experiment-gom mine.yaml` · correct its folders · `factory experiment mine.yaml --dry-run`

    `factory experiment mine.yaml --workers 4` · `factory experiment mine.yaml --only real`

    `factory experiment table2 --dry-run`
    """
    fields = recipe_fields(recipe, *EXPERIMENTS)
    put(fields, out=out)
    run_experiment(fields, assignments, dry_run, only=only or (), workers=workers)
