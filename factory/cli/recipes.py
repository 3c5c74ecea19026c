"""Commands for the recipes and prompt lists that ship."""

from pathlib import Path
from textwrap import shorten
from typing import Annotated

import typer

from factory.cli.flags import Debug
from factory.errors import UsageError

SUMMARY = 100  # characters of a line

recipes_app = typer.Typer(
    invoke_without_command=True, rich_markup_mode="markdown", help="Recipes and prompt lists that ship: list, copy."
)


@recipes_app.callback()
def recipes(context: typer.Context) -> None:
    """List the recipes and prompt lists that ship; every command takes them by name.

    `factory recipes` · `factory recipes copy green100k` · `factory generate --prompts classes.txt`
    """
    if context.invoked_subcommand is not None:
        return
    from factory.shipped_files import shipped, summary

    for title, files in (("recipes", shipped("pipelines")), ("prompt lists", shipped("prompts"))):
        width = max(len(path.name) for path in files)
        typer.echo(f"{title}:")
        for path in files:
            told = shorten(summary(path), SUMMARY, placeholder=" …")
            typer.echo(f"  {path.name:<{width}}  {told}".rstrip())
    typer.echo("`factory recipes copy NAME` puts one into this folder, to be changed.")


@recipes_app.command()
def copy(
    name: Annotated[str, typer.Argument(help="A recipe or prompt list, as `factory recipes` names it.")],
    to: Annotated[Path | None, typer.Argument(help="A new file; the same name in this folder if not given.")] = None,
    debug: Debug = False,
) -> None:
    """Copy a shipped recipe or prompt list, to be changed. `factory recipes copy green100k my-green.yaml`."""
    from factory.shipped_files import find_shipped, shipped

    found = find_shipped("pipelines", name) or find_shipped("prompts", name)
    if found is None:
        names = ", ".join(path.name for path in [*shipped("pipelines"), *shipped("prompts")])
        raise UsageError(f"nothing that ships is named {name}: take {names}.")
    target = to if to is not None else Path(found.name)
    try:
        with target.open("xb") as file:
            file.write(found.read_bytes())
    except FileExistsError as error:
        raise UsageError(f"{target} exists: name another file, or remove it.") from error
    except OSError as error:
        raise UsageError(f"{target} cannot be written ({error.strerror}): choose another place.") from error
    typer.echo(f"{target}")
