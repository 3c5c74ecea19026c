"""Commands that look at data sets and pictures, and make none. Everything heavy is imported inside its command."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from factory.cli.flags import DataSet, Debug
from factory.engine.counting import counting
from factory.errors import UsageError, count_of
from factory.training.folder import is_training

looking_app = typer.Typer(rich_markup_mode="markdown")
Made = Annotated[Path, typer.Argument(metavar="FOLDER", help="A data set folder, or that of a training.")]


@looking_app.command()
def status(data: Made, debug: Debug = False) -> None:
    """Say how far a run or a training is, from its folder alone (also while it runs elsewhere).

    `factory status runs/objects`
    """
    from factory.review.status import status_text
    from factory.review.training.status import training_status

    typer.echo(training_status(data) if is_training(data) else status_text(data))


@looking_app.command()
def show(
    data: DataSet,
    key: Annotated[str, typer.Argument(help="A sample's key, for example 0000000003.")],
    picture: Annotated[
        Path | None, typer.Option(help="Folder for the picture; the data set's report/ if not given.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Show one sample: its picture, its scores, and how it was made. `factory show runs/objects 0000000003`."""
    from factory.review.show import show as show_sample

    typer.echo(show_sample(data, key, picture)[0])


@looking_app.command()
def verify(
    data: DataSet,
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    debug: Debug = False,
) -> None:
    """Check every byte and every promise of a data set; name each fault; exit 1 if there is one.

    `factory verify runs/objects --workers 8`
    """
    from factory.review.verify import advice, verify_set

    with counting("shards verified") as progress:
        faults = verify_set(data, workers, progress)
    for fault in faults:
        typer.echo(str(fault))
    if faults:
        typer.echo(f"{count_of(len(faults), 'fault', 'faults')} in {data}. {advice(data, faults)}")
        raise typer.Exit(1)
    typer.echo(f"{data} is whole.")


@looking_app.command()
def report(data: Made, debug: Debug = False) -> None:
    """Write the report again: report/index.html and contact sheet of a data set, report.html of a training.

    `factory report runs/objects` · `factory report runs/tiny`
    """
    from factory.review.report import write_report
    from factory.review.training.page import write_page

    typer.echo(f"report: {write_page(data) if is_training(data) else write_report(data)}")


@looking_app.command()
def prompts(
    listed: Annotated[str, typer.Argument(metavar="PROMPTS", help="A grammar's file, or the name of one that ships.")],
    n: Annotated[int, typer.Option("--n", help="How many prompts are made, as in `generate`.", min=1)] = 32,
    show: Annotated[int, typer.Option(help="How many of them are printed.", min=0)] = 10,
    seed: Annotated[int, typer.Option(help="As in `generate`.", min=0)] = 0,
    debug: Debug = False,
) -> None:
    """Look at what a grammar of prompts makes: the first prompts, and how often each value is among all.

    `factory prompts portraits --n 1000 --seed 3`
    """
    from factory.jobs.prompt_list import prompts_text

    typer.echo(prompts_text(listed, n=n, show=show, seed=seed))


@looking_app.command()
def export(
    data: DataSet,
    to: Annotated[str, typer.Option(help="`folder` (fg/, alpha/, merged/) or `rgba` (one PNG with alpha a sample).")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    split: Annotated[str, typer.Option(help="Which split.")] = "train",
    debug: Debug = False,
) -> None:
    """Unpack a data set into plain pictures. `factory export runs/objects --to rgba --out objects-rgba`."""
    from factory.engine.made import what_is_missing
    from factory.shards.export import export as export_set

    if remark := what_is_missing(data):
        typer.echo(remark, err=True)
    with counting("shards exported") as progress:
        count = export_set(data, to, out, split, progress)
    typer.echo(f"{count_of(count, 'sample', 'samples')} in {out}")


@looking_app.command()
def evaluate(
    pred: Annotated[Path, typer.Argument(help="Predicted mattes: a folder of pictures, or a data set.")],
    gt: Annotated[Path, typer.Argument(help="True mattes, matched by name or key.")],
    region: Annotated[
        Literal["whole", "unknown"] | None,
        typer.Option(
            help="`whole`, or `unknown`: where the trimap is 128, as Composition-1k is measured. "
            "If not given: `unknown` with --trimap, else `whole`."
        ),
    ] = None,
    trimap: Annotated[Path | None, typer.Option(help="Folder of trimaps (0, 128, 255).")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Also write the table here.")] = None,
    metrics: Annotated[
        Literal["dim", "rvm"],
        typer.Option(
            help="`dim`: Deep Image Matting's. `rvm`: Robust Video Matting's (MAD, MSE, Grad, Conn, dtSSD, and the "
            "foreground's), of folders of clips: whole pictures, by clip."
        ),
    ] = "dim",
    debug: Debug = False,
) -> None:
    """SAD, MSE, Grad and Conn as the Deep Image Matting evaluation code has them, for each picture and on average.

    `factory evaluate predictions/ truth/` · `factory evaluate predictions/ truth/ --trimap trimaps/` ·
    `factory evaluate my-clips/ true-clips/ --metrics rvm`
    """
    from factory.quality.clip_evaluation import evaluate_clips
    from factory.quality.evaluation import evaluate as evaluate_mattes

    if metrics == "rvm":
        if region or trimap:
            raise UsageError("--metrics rvm measures whole pictures: leave --region and --trimap out.")
        with counting("frames measured") as progress:
            clips = evaluate_clips(pred, gt, parquet=parquet, progress=progress)
        typer.echo(clips.text())
        raise typer.Exit(1 if clips.faults else 0)
    region = region or ("unknown" if trimap else "whole")
    with counting("pictures measured") as progress:
        found = evaluate_mattes(pred, gt, region=region, trimap=trimap, parquet=parquet, progress=progress)
    typer.echo(found.text())
    raise typer.Exit(1 if found.faults else 0)


@looking_app.command()
def greenbench(
    predictions: Annotated[
        Path,
        typer.Argument(help="A folder of mattes: KEY.png or KEY.alpha.png, grey or RGBA; KEY.fg.png if there are any."),
    ],
    data: Annotated[Path, typer.Option(help="The benchmark: a set made by `factory run greenbench`.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write all of it here.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Also write a row for each scene here.")] = None,
    debug: Debug = False,
) -> None:
    """Score a keyer's mattes and foregrounds on GreenBench, by kind of object and by type of screen.

    Exit 1 if a scene has no usable matte. `factory greenbench my-mattes --data runs/greenbench --csv scenes.csv`
    """
    from factory.review.greenbench import score_keyer, write

    with counting("scenes measured") as progress:
        found = score_keyer(predictions, data, progress)
    write(json_file, found.as_json, "--json")
    write(csv_file, found.as_csv, "--csv")
    typer.echo(found.text())
    raise typer.Exit(1 if found.faults else 0)


@looking_app.command()
def identify(
    picture: Annotated[Path, typer.Argument(help="A picture, from anywhere.")],
    data: Annotated[Path, typer.Argument(help="The data set it may come from.")],
    debug: Debug = False,
) -> None:
    """Say whether a picture comes from a data set, also re-encoded, resized, mirrored or cut out. Exit 1: it does not.

    `factory identify found-on-the-web.jpg runs/objects`
    """
    from factory.review.identify import identify as identify_picture

    found = identify_picture(picture, data)
    typer.echo(found.text())
    raise typer.Exit(found.exit_code)


@looking_app.command("hash-images")
def hash_images(
    folder: Annotated[Path, typer.Argument(help="The images of a benchmark.")],
    name: Annotated[str, typer.Option(help="The benchmark's name.")],
    debug: Debug = False,
) -> None:
    """List a benchmark's images by hash, for a recipe's `exclude`: they will be kept out of training sets.

    `factory hash-images DIM/Test_set --name composition-1k > composition-1k.txt`
    """
    from factory.sources.files.benchmark_images import hash_images as lines_of

    with counting("images hashed") as progress:
        lines = lines_of(folder, name, progress)
    for line in lines:
        typer.echo(line)


@looking_app.command()
def doctor(debug: Debug = False) -> None:
    """Say what this machine offers: versions, GPUs, memory, disk, the embedded model. `factory doctor`."""
    from factory.cli.doctor import doctor_text

    typer.echo(doctor_text())
