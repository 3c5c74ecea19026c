"""Commands for the recipes and prompt lists that ship."""

from pathlib import Path
from typing import Annotated

import typer

from factory.cli.flags import Debug
from factory.cli.running import EXPERIMENTS
from factory.errors import UsageError, nearest, quoted

recipes_app = typer.Typer(
    invoke_without_command=True, rich_markup_mode="markdown", help="Recipes and prompt lists that ship: list, copy."
)


# as their argument; `factory run` takes any
TAKE_A_RECIPE = {"build-green100k", "train", "train-keyer", "train-matting"}


@recipes_app.callback()
def recipes(context: typer.Context) -> None:
    """List the recipes and prompt lists that ship; every command takes them by name.

    `factory recipes` · `factory recipes copy green100k` · `factory generate --prompts classes`
    """
    if context.invoked_subcommand is not None:
        return
    from factory.jobs.recipes import read_yaml
    from factory.shipped_files import shipped, summary

    jobs = [(str(read_yaml(path)["job"]), path) for path in shipped("pipelines")]
    command_of = {job: job for job in TAKE_A_RECIPE} | dict.fromkeys(EXPERIMENTS, "experiment")
    listed = [(f"factory {command_of.get(job, 'run')} {path.stem}", path) for job, path in jobs]
    listed += [(f"factory generate --prompts {path.stem}", path) for path in shipped("prompts")]
    typer.echo("What ships, and the command that takes it by its name:\n")
    for command, path in listed:
        typer.echo(f"  {command}\n      {summary(path)}")
    typer.echo(
        "\n`factory recipes copy NAME` puts one into this folder, to be changed."
        "\nA file of your own, given by its path or lying here under such a name, goes before what ships."
    )


@recipes_app.command()
def copy(
    name: Annotated[str, typer.Argument(help="A recipe or prompt list, as `factory recipes` names it.")],
    to: Annotated[
        Path | None, typer.Argument(help="A new file, or a folder for it; the same name in this folder if not given.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Copy a shipped recipe or prompt list, to be changed. `factory recipes copy green100k my-green.yaml`."""
    from factory.shipped_files import find_shipped, names

    recipe, listed = find_shipped("pipelines", name), find_shipped("prompts", name)
    found = recipe or listed
    if found is None:
        there = [*names("pipelines"), *names("prompts")]
        raise UsageError(f"nothing that ships is named {name}{nearest(name, there)}: take {', '.join(there)}.")
    target = to or Path(found.name)
    try:
        if to is not None and to.is_dir():
            target = to / found.name
        with target.open("xb") as file:
            try:
                file.write(found.read_bytes())
            except OSError:
                target.unlink()  # an empty recipe would go before the one that ships
                raise
    except FileExistsError as error:
        raise UsageError(f"{target} exists: name another file, or remove it.") from error
    except OSError as error:
        raise UsageError(f"{target} cannot be written ({error.strerror}): choose another place.") from error
    told = quoted(f"./{target}" if str(target).startswith("-") else target)
    takes = f"factory run {told}" if recipe is not None else f"factory generate --prompts {told}"
    typer.echo(f"{target} is yours to change; `{takes}` takes it.")
