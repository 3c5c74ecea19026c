"""Commands for models that were made elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from factory.cli.flags import Debug

models_app = typer.Typer(rich_markup_mode="markdown")


@models_app.command()
def convert(
    weights: Annotated[Path, typer.Argument(help="A pickled file of weights: .pth, .pt, .bin, .ckpt.")],
    to: Annotated[
        Path | None, typer.Argument(help="A new .safetensors; beside the weights, under their name, if not given.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Make safetensors of pickled weights, which no other command opens: a pickle can run code.

    Only tensors are read from it. `factory convert pytorch_resnet50.pth bgmv2-resnet50.safetensors`
    """
    from factory.models.convert import convert as convert_weights

    typer.echo(f"{convert_weights(weights, to)} has the weights of {weights}.")
