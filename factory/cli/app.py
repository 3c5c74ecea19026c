"""The program: its commands, and how its errors reach people."""

import sys
import traceback
from contextlib import suppress
from itertools import pairwise
from typing import Annotated

import typer

from factory import __version__
from factory.cli.captions import captions_app
from factory.cli.experiments import experiments_app
from factory.cli.generating import generating_app
from factory.cli.looking import looking_app
from factory.cli.making import making_app
from factory.cli.matting import matting_app
from factory.cli.models import models_app
from factory.cli.recipes import recipes_app
from factory.cli.training import training_app
from factory.errors import FactoryError, Interrupted, UsageError
from factory.home import at_home

MAY_BE_EMPTY = {"--negative-prompt"}

app = typer.Typer(
    name="factory",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "A data factory for image matting: prompts in, verified WebDataset shards of RGB, alpha and foreground out.\n\n"
        "**Start here:** `factory generate` paints 32 samples with the embedded model.\n\n"
        "`factory generate --prompts classes.txt --n 10000 --out runs/objects` · the same command again resumes it\n\n"
        "`factory build-green100k` · a training set · `factory train tiny` · a model\n\n"
        "`factory train-matting matting-small` · a matting network · `factory matte` · `factory experiment`\n\n"
        "`factory key shoot/ --out runs/shoot` · your own pictures before a screen\n\n"
        "`factory verify runs/objects` · `factory show runs/objects 0000000003` · `factory status runs/objects`"
    ),
)

app.add_typer(generating_app)
app.add_typer(making_app)
app.add_typer(training_app)
app.add_typer(matting_app)
app.add_typer(experiments_app)
app.add_typer(looking_app)
app.add_typer(models_app)
app.add_typer(captions_app, name="captions")
app.add_typer(recipes_app, name="recipes")


@app.callback(invoke_without_command=True)
def version(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)
    ] = False,
) -> None:
    if show_version:
        typer.echo(__version__)
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """The program. Errors a user can mend are one sentence on stderr; --debug gives the traceback before it."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    try:
        _refuse_empty(given)
        app([_at_home(argument) for argument in given])
    except FactoryError as error:
        _leave(error, error.exit_code, debug)
    except KeyboardInterrupt:
        _leave(Interrupted("interrupted."), 130, debug)
    except SystemExit as ended:
        if ended.code == Interrupted.exit_code:  # typer's, without a word
            _leave(Interrupted("interrupted."), Interrupted.exit_code, debug)
        raise
    except Exception as error:  # noqa: BLE001  (a fault of ours: one sentence here as well)
        sentence = f"unexpected {type(error).__name__} ({error}): --debug shows where; please report it."
        _leave(error, 1, debug, " ".join(sentence.split()))


def _refuse_empty(given: list[str]) -> None:
    """An unset variable of a shell: as a path it would be this folder, as a list of prompts the model's own classes."""
    for before, argument in pairwise(["factory", *given]):
        flag, equals, value = argument.partition("=") if argument.startswith("--") else (before, "", argument)
        if not value and (equals or not argument) and flag not in MAY_BE_EMPTY:
            raise UsageError(f"what follows {flag} is empty: fill it in, or leave it out.")


def _at_home(argument: str) -> str:
    """Also after the = of `--out=~/set`, where shells leave it."""
    flag, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return f"{flag}{equals}{at_home(value)}"


def _leave(error: Exception, code: int, debug: bool, sentence: str = "") -> None:
    with suppress(OSError):  # a closed stderr does not change the exit code
        if debug:
            traceback.print_exception(error)
        sys.stderr.write(f"factory: {sentence or error}\n")
    raise SystemExit(code)
