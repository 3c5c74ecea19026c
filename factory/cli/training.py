"""Commands that train a model."""

from pathlib import Path
from typing import Annotated

import typer

from factory.cli.flags import Debug, DryRun, Set, put
from factory.cli.running import recipe_fields, run_recipe

training_app = typer.Typer(rich_markup_mode="markdown")


@training_app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A training recipe: a file, or one that ships.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the training. The same command again resumes it.", show_default="the recipe's"),
    ] = None,
    dry_run: DryRun = False,
    assignments: Set = None,
    debug: Debug = False,
) -> None:
    """Train DiffuMatting; the folder's `model/` then serves `factory generate --model`.

    `factory train tiny --out runs/tiny` · kill it at any moment, the same command goes on

    `factory train sd15 --set train.base=models/stable-diffusion-v1-5` · a LoRA: `--set 'train.lora={rank: 16}'`

    `torchrun --nproc-per-node 8 -m factory train sd15` · which way is yours: docs/training.md
    """
    fields = recipe_fields(recipe, "train")
    put(fields, out=out)
    run_recipe(fields, assignments, dry_run)


@training_app.command("train-keyer")
def train_keyer(
    recipe: Annotated[Path, typer.Argument(help="A training recipe: a file, or one that ships.")] = Path("train-keyer"),
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the training. The same command again resumes it.", show_default="the recipe's"),
    ] = None,
    dry_run: DryRun = False,
    assignments: Set = None,
    debug: Debug = False,
) -> None:
    """Train the network by which the keyer tells shapes. The keyer takes the one that ships, so far.

    `factory build-green100k keyer-objects` · `factory train-keyer`

    `factory train-keyer --set 'train.data=[runs/keyer-objects, runs/my-mattes]' --out runs/my-keyer`
    """
    fields = recipe_fields(recipe, "train-keyer")
    put(fields, out=out)
    run_recipe(fields, assignments, dry_run)
