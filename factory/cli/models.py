"""Commands for models that were made elsewhere. Everything heavy is imported inside its command."""

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

    `factory convert indexnet_matting.pth.tar indexnet/model.safetensors` · a folder for `factory matte`
    """
    from factory.models.convert import convert as convert_weights

    typer.echo(f"{convert_weights(weights, to)} has the weights of {weights}.")


@models_app.command()
def models(
    folder: Annotated[str, typer.Argument(help="A model folder, a checkpoint in one file, or another input.")],
    debug: Debug = False,
) -> None:
    """Say what a model folder is: which generator paints with it, its parts, its screens, its licence.

    Of other inputs (adapters, control networks, a CLIP) it says which flag takes them. Nothing is loaded.
    `factory models runs/train/model`
    """
    from factory.diffusion import model_files
    from factory.diffusion.generators.kinds import kind_of
    from factory.models.other_inputs import other_input

    if not (Path(folder) / model_files.INDEX).is_file() and (other := other_input(Path(folder))):
        typer.echo(f"{folder} is {other}")
        return
    place = model_files.resolve(folder, "factory models")
    kind = kind_of(place)
    facts = [("generator", f"{kind.name}: {kind.says}"), *kind.facts(place)]
    facts.append(("licence", model_files.licence(place) or "not said"))
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        typer.echo(f"{name:{width}}  {value}")
