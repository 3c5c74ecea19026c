"""From a recipe's fields to what it makes: the one way all commands that make something take."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import typer

from factory.errors import UsageError, quoted

if TYPE_CHECKING:
    from factory.experiments.at_work import Ended

Course: TypeAlias = "tuple[Callable[[Sequence[str]], str], Callable[..., Ended]]"
"""What an experiment would do, and doing it; both of the arms that are named."""


EXPERIMENTS = ("experiment", "painting-experiment")  # the jobs that `factory experiment` carries out


def recipe_fields(path: Path, *jobs: str) -> dict[str, Any]:
    """The fields of a recipe file, or of one that ships.  jobs: of which it must be one's recipe; none are all."""
    from factory.jobs.recipes import read_yaml
    from factory.run.say import say_on_stderr
    from factory.shipped_files import choose

    found = choose("pipelines", str(path), lambda remark: say_on_stderr(f"{path}: {remark}"))
    fields = read_yaml(found)
    if "job" not in fields:
        raise UsageError(
            f"{path} does not say what it is a recipe of: write `job: {[*jobs, 'build-green100k'][0]}` in it."
        )
    if jobs and fields["job"] not in jobs:
        raise UsageError(
            f"{path} is a recipe of job {fields['job']!r}, not {jobs[0]!r}: use `factory run {quoted(path)}`."
        )
    if _lies_in_its_set(found):
        fields["out"] = str(found.parent)  # the set may have been moved
    fields.setdefault("out", f"runs/{found.stem}")
    return fields


def _lies_in_its_set(recipe: Path) -> bool:
    """Whether it is the recipe that a run, or a training, wrote into its folder."""
    from factory.shards.layout import Layout
    from factory.training.folder import is_training

    layout = Layout(recipe.parent)
    return recipe.name == layout.recipe.name and (layout.plan.exists() or is_training(layout.root))


def run_recipe(fields: dict[str, Any], assignments: list[str] | None, dry_run: bool) -> None:
    """Run what the fields and `--set` assignments say, print how it ended, and leave with its exit code."""
    from factory.jobs.base import RunSettings, TrainingRecipe
    from factory.jobs.recipes import set_dotted
    from factory.jobs.registry import parse, training_of

    if fields.get("job") in EXPERIMENTS:
        run_experiment(fields, assignments, dry_run)
        return
    for assignment in assignments or ():
        set_dotted(fields, assignment)
    recipe = parse(fields)
    if (training := training_of(recipe)) is not None:
        from factory.run.train import execute_training
        from factory.training.ranks import this_rank
        from factory.training.trackers import check_trackers

        assert isinstance(recipe, TrainingRecipe)
        check_trackers(recipe.train.trackers)
        if dry_run:
            typer.echo(training.outlook(recipe))
            return
        model = execute_training(training, recipe)
        if this_rank().is_first:
            typer.echo(f"model: {model}")
        return
    assert isinstance(recipe, RunSettings)  # as every recipe of a job that makes a data set
    if dry_run:
        from factory.review.outlook import plan_text

        typer.echo(plan_text(recipe))
        return
    from factory.run.execute import execute

    result = execute(recipe)
    typer.echo(result.text())
    raise typer.Exit(result.exit_code(recipe.allow_short))


def run_experiment(
    fields: dict[str, Any], assignments: list[str] | None, dry_run: bool, *, only: Sequence[str] = (), workers: int = 1
) -> None:
    """Run the experiment that the fields and `--set` assignments say, print its table, leave with its exit code."""
    from factory.jobs.recipes import set_dotted

    for assignment in assignments or ():
        set_dotted(fields, assignment)
    told, ended = _of_matting(fields) if fields["job"] == EXPERIMENTS[0] else _of_painting(fields)
    if dry_run:
        typer.echo(told(only))
        return
    result = ended(only=only, workers=workers)
    typer.echo(result.table)
    raise typer.Exit(result.exit_code)


def _of_matting(fields: dict[str, Any]) -> Course:
    from factory.experiments.matting.experiment import execute_experiment, outlook
    from factory.experiments.matting.one_cell import train_and_measure
    from factory.experiments.matting.recipe import parse_experiment

    recipe = parse_experiment(fields)
    return partial(outlook, recipe), partial(execute_experiment, recipe, train_and_measure)


def _of_painting(fields: dict[str, Any]) -> Course:
    from factory.experiments.painting.experiment import execute_painting, outlook
    from factory.experiments.painting.one_cell import train_and_paint
    from factory.experiments.painting.recipe import parse_painting

    recipe = parse_painting(fields)
    return partial(outlook, recipe), partial(execute_painting, recipe, train_and_paint)
