"""Commands that train and use matting networks. Everything heavy is imported inside its command."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from factory.cli.flags import Debug, DryRun, Set, put
from factory.cli.running import recipe_fields, run_recipe
from factory.engine.counting import counting
from factory.errors import UsageError, count_of

if TYPE_CHECKING:
    from factory.matting.picture_trimaps import Trimaps

matting_app = typer.Typer(rich_markup_mode="markdown")


@matting_app.command("train-matting")
def train_matting(
    recipe: Annotated[Path, typer.Argument(help="A recipe of a training: a file, or one that ships.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the training. The same command again resumes it.", show_default="the recipe's"),
    ] = None,
    dry_run: DryRun = False,
    assignments: Set = None,
    debug: Debug = False,
) -> None:
    """Train a matting network on your sets; the folder's `model/` then serves `factory matte --model`.

    `factory train-matting matting-small --set train.loader.backgrounds=photos` · kill it, the same command goes on

    `torchrun --nproc-per-node 2 -m factory train-matting matting-indexnet` · on two GPUs
    """
    fields = recipe_fields(recipe, "train-matting")
    put(fields, out=out)
    run_recipe(fields, assignments, dry_run)


@matting_app.command()
def matte(
    pictures: Annotated[Path, typer.Argument(help="A picture, or a folder of pictures at any depth.")],
    model: Annotated[Path, typer.Option(help="Folder with a matting network.")],
    out: Annotated[Path, typer.Option(help="Folder for the mattes, NAME.png. The same command again resumes it.")],
    trimaps: Annotated[
        Path | None, typer.Option(help="Folder of trimaps (0, 128, 255), of the pictures' names.", show_default="none")
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Folder of masks by any tool, of the pictures' names.", show_default="none"),
    ] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Find the object by the screen that it stands before.")] = False,
    band: Annotated[
        str | None,
        typer.Option(
            help="How far from a mask's edge α is unknown: pixels (12), or a share of the longer side (2%).",
            show_default="2%",
        ),
    ] = None,
    foregrounds: Annotated[
        Path | None, typer.Option(help="Folder for straight foregrounds, NAME.png.", show_default="none")
    ] = None,
    tile: Annotated[int, typer.Option(help="Pixels of a side that the network sees at once.", min=64)] = 1024,
    debug: Debug = False,
) -> None:
    """Make mattes of pictures with a trained network, whose trimaps are given, made of masks, or keyed.

    A picture that cannot be matted fails alone; exit 1 says so. See docs/training-matting.md.

    `factory matte photos/ --model runs/net/model --trimaps trimaps/ --out mattes/`

    `factory matte photos/ --model indexnet/ --masks masks/ --band 15 --foregrounds fg/ --out mattes/`

    `factory matte shoot/ --model runs/net/model --auto --out mattes/` · pictures before a screen
    """
    from factory.matting.pictures import Mattes, matte_pictures

    told = _trimaps(trimaps, masks, auto, band)
    _remark_on(model)
    wanted = Mattes(model, told, out, tile, foregrounds)
    with counting("pictures matted") as progress:
        found = matte_pictures(pictures, wanted, progress)
    typer.echo(found.text(out))
    raise typer.Exit(1 if found.faults else 0)


@matting_app.command("matte-video")
def matte_video(
    clip: Annotated[Path, typer.Argument(help="A video file, or a folder of a clip's frames as pictures.")],
    model: Annotated[Path, typer.Option(help="Folder with a matting network.")],
    out: Annotated[
        Path, typer.Option(help="Folder for fgr/NAME, pha/NAME and NAME.json, which says how they were made.")
    ],
    masks: Annotated[
        Path | None,
        typer.Option(help="Folder or video of masks by any tool, one for each frame.", show_default="none"),
    ] = None,
    segmenter: Annotated[
        Path | None,
        typer.Option(
            help="Folder with a segmentation model of transformers, which makes the masks.", show_default="none"
        ),
    ] = None,
    wanted: Annotated[
        str,
        typer.Option(
            "--object",
            help="Which object: an index in the masks, or a label of the segmenter.",
            show_default="all in the masks, the segmenter's person",
        ),
    ] = "",
    band: Annotated[
        str,
        typer.Option(
            help="How far at least from a mask's edge α is unknown: pixels (12; 2 or more), or a share of the longer "
            "side (2%)."
        ),
    ] = "1%",
    form: Annotated[
        Literal["png", "ffv1", "prores"],
        typer.Option(help="`png`, folders of pictures; `ffv1`, lossless video; `prores`, ProRes 4444."),
    ] = "ffv1",
    steady: Annotated[bool, typer.Option(help="Average α with the neighbouring frames' along the motion.")] = True,
    threads: Annotated[int, typer.Option(help="Threads; another number changes pixels a little.", min=1)] = 1,
    debug: Debug = False,
) -> None:
    """Make a clip's mattes and foregrounds, from masks of its frames and a trained network.

    Both files are there whole or not at all; the same command again does what is missing. See docs/training-matting.md.

    `factory matte-video talk.mp4 --masks masks/ --model runs/net/model --out mattes/`

    `factory matte-video talk.mp4 --segmenter segformer/ --model vitmatte/ --form prores --out mattes/`
    """
    from factory.engine.threads import pin_threads
    from factory.matting.masks_to_trimaps import band_of
    from factory.matting.video.clip import VideoMatting
    from factory.matting.video.matte_video import Masked, Segmented
    from factory.matting.video.matte_video import matte_video as matte_clip

    if (masks is None) == (segmenter is None):
        raise UsageError("give one of --masks PATH and --segmenter FOLDER: something has to say where the object is.")
    tells = Masked(masks) if masks is not None else Segmented(Path(str(segmenter)))
    _remark_on(model)
    pin_threads(threads)
    settings = VideoMatting(form=form, band=band_of(band), steady=steady, wanted=wanted, threads=threads)
    with counting("masks looked at") as looked, counting("frames matted") as progress:
        made = matte_clip(clip, tells, model, out, settings, looked=looked, progress=progress)
    typer.echo(
        f"{count_of(made.frames, 'frame', 'frames')} of {made.clip} in {out}; α flickers by {made.flicker:.4f} a frame"
    )


def _remark_on(model: Path) -> None:
    from factory.matting.networks.vitmatte_folder import remark_on

    if remark := remark_on(model):
        typer.echo(remark, err=True)


def _trimaps(trimaps: Path | None, masks: Path | None, auto: bool, band: str | None) -> "Trimaps":
    """Where trimaps come from. Raises UsageError unless one way is chosen."""
    from factory.matting.masks_to_trimaps import band_of
    from factory.matting.picture_trimaps import from_masks, given_trimaps, keyed
    from factory.quality.matte_sets import find_mattes

    if sum((trimaps is not None, masks is not None, auto)) != 1:
        raise UsageError("give one of --trimaps FOLDER, --masks FOLDER and --auto: a network needs a trimap.")
    if trimaps is not None:
        if band is not None:
            raise UsageError("--band has no part in --trimaps: it is for --masks and --auto.")
        return given_trimaps(find_mattes(trimaps))
    width = band_of(band or "2%")
    return keyed(width) if masks is None else from_masks(find_mattes(masks), width)
