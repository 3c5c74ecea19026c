"""Commands that make a data set of what there is, or of any recipe. Everything heavy is imported inside its command."""

from pathlib import Path
from typing import Annotated, Any

import typer

from factory.cli.flags import (
    AcceptSoftware,
    AestheticHead,
    AllowShort,
    Clip,
    CoverageMax,
    CoverageMin,
    Debug,
    DryRun,
    Executor,
    GsgMax,
    KeepRejected,
    Out,
    SafetyChecker,
    Seed,
    Set,
    ShardSize,
    Threads,
    Trust,
    Workers,
    put,
    put_scorers,
)
from factory.cli.running import recipe_fields, run_recipe

making_app = typer.Typer(rich_markup_mode="markdown")


@making_app.command("build-green100k")
def build_green100k(
    recipe: Annotated[
        Path | None, typer.Argument(help="Recipe, a file or one that ships; tiny-green if not given.")
    ] = None,
    keep_rejected: KeepRejected = False,
    out: Out = None,
    seed: Seed = None,
    workers: Workers = None,
    executor: Executor = None,
    shard_size: ShardSize = None,
    threads: Threads = None,
    allow_short: AllowShort = False,
    accept_software: AcceptSoftware = False,
    assignments: Set = None,
    dry_run: DryRun = False,
    debug: Debug = False,
) -> None:
    """Assemble a training set: objects with known alpha on a pure screen.

    `factory build-green100k` · drawn objects, nothing needed

    `factory build-green100k green100k` · clips and public mattes, see docs/green100k.md

    `factory build-green100k my-recipe.yaml --out runs/green --workers 8`
    """
    from factory.shipped_files import find_shipped

    fields = recipe_fields(recipe or find_shipped("pipelines", "tiny-green") or Path("tiny-green"), "build-green100k")
    put(fields, out=out, seed=seed, workers=workers, executor=executor, shard_size=shard_size, threads=threads)
    put(fields, keep_rejected=keep_rejected, allow_short=allow_short, accept_software=accept_software)
    run_recipe(fields, assignments, dry_run)


@making_app.command()
def key(
    pictures: Annotated[Path, typer.Argument(help="A picture, a clip, or a folder of them at any depth.")],
    size: Annotated[
        int | None,
        typer.Option(help="Frame objects in squares of so many pixels; 0: each picture's own size.", show_default="0"),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="The pure screen's colour: `green`, `blue`, `magenta`, or `nearest` to the screen in the picture.",
            show_default="nearest",
        ),
    ] = None,
    every: Annotated[int | None, typer.Option(help="Of clips every n-th frame.", min=1, show_default="1")] = None,
    sequences: Annotated[
        bool,
        typer.Option(
            "--sequences", help="Also write whole clips, steadied over time: OUT/sequences/{train,test}/{fgr,pha}/CLIP."
        ),
    ] = False,
    sequences_as: Annotated[
        str | None,
        typer.Option(help="`png`, `ffv1` (lossless .mkv) or `prores` (4444, .mov).", show_default="png"),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(help="Glob pattern of paths below the folder. Repeatable.", show_default="**/*"),
    ] = None,
    class_name: Annotated[
        str | None, typer.Option(help="What the pictures show.", show_default="the names of files")
    ] = None,
    caption_from: Annotated[
        str | None, typer.Option(help="`file` or `folder`: whose name says what a picture shows.", show_default="file")
    ] = None,
    painted_by: Annotated[
        str | None,
        typer.Option(help="The model that made the pictures, to be marked in them.", show_default="none, a camera"),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of the pictures.", show_default="none is stated")] = None,
    attribution: Annotated[str | None, typer.Option(help="Whom to name.", show_default="nobody")] = None,
    shadows: Annotated[
        bool, typer.Option("--shadows", help="Also store the shadow on the screen, `KEY.shadow.png`.")
    ] = False,
    shape_weights: Annotated[
        Path | None,
        typer.Option(
            help="What `factory train-keyer` learned of your own objects' shapes.",
            show_default="the network that ships",
        ),
    ] = None,
    keep_rejected: KeepRejected = False,
    trust: Trust = False,
    out: Out = None,
    seed: Seed = None,
    workers: Workers = None,
    executor: Executor = None,
    shard_size: ShardSize = None,
    threads: Threads = None,
    allow_short: AllowShort = False,
    accept_software: AcceptSoftware = False,
    assignments: Set = None,
    dry_run: DryRun = False,
    debug: Debug = False,
) -> None:
    """Pictures and clips on a screen of any colour in, shards of picture, alpha and foreground out.

    A clean plate is used where one lies beside a picture: `NAME.plate.png`. See docs/key.md.

    `factory key shoot/ --out runs/shoot` · studio photographs, phone pictures, clips

    `factory key portrait.jpg --out runs/portrait --executor local`

    `factory key painted/ --painted-by "SDXL 1.0" --size 512 --key green --out runs/painted`

    `factory key takes/ --sequences --set sequences.test=0.1 --out runs/takes` · whole clips as VideoMatte240K has them

    `factory key takes/ --every 20 --class-name dancer --set gates.duplicate_distance=4 --out runs/dancers`
    """
    fields: dict[str, Any] = {"job": "key", "pictures": str(pictures), "out": "runs/key"}
    put(fields, size=size, key=key, include=include, class_name=class_name, caption_from=caption_from)
    put(fields, painted_by=painted_by, licence=licence, attribution=attribution)
    put(fields, keep_rejected=keep_rejected, trust=trust, shadows=shadows or None)
    put(fields, shape_weights=None if shape_weights is None else str(shape_weights))
    put(fields, select=None if every is None else {"every": every})
    if sequences or sequences_as is not None:
        fields["sequences"] = {} if sequences_as is None else {"form": sequences_as}
    put(fields, out=out, seed=seed, workers=workers, executor=executor, shard_size=shard_size, threads=threads)
    put(fields, allow_short=allow_short, accept_software=accept_software)
    run_recipe(fields, assignments, dry_run)


@making_app.command()
def refine(
    data: Annotated[Path, typer.Argument(help="A data set made by factory.")],
    backend: Annotated[
        str | None,
        typer.Option(
            help="What α is read from: `physics`; `keyer`, that of `factory key`; or a network, `bgmv2`.",
            show_default="physics",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="The network's .safetensors (`factory convert` makes one).", show_default="none is needed"),
    ] = None,
    gsg_max: GsgMax = None,
    trust: Trust = False,
    clip: Clip = None,
    aesthetic_head: AestheticHead = None,
    safety_checker: SafetyChecker = None,
    out: Out = None,
    seed: Seed = None,
    workers: Workers = None,
    executor: Executor = None,
    threads: Threads = None,
    allow_short: AllowShort = False,
    accept_software: AcceptSoftware = False,
    assignments: Set = None,
    dry_run: DryRun = False,
    debug: Debug = False,
) -> None:
    """Make new mattes for an existing set with GreenPost; keys stay. Its report shows what changed, the most first.

    `factory refine runs/objects --out runs/objects-refined --set greenpost.black_point=4`

    `factory refine runs/objects --backend keyer --out runs/objects-keyed` · each picture against its stored plate

    `factory refine runs/objects --backend bgmv2 --weights bgmv2-resnet50.safetensors` · see docs/greenpost.md
    """
    own: dict[str, Any] = {}
    gates: dict[str, Any] = {}
    put(own, backend=backend, weights=weights)
    put(gates, gsg_max=gsg_max)
    fields: dict[str, Any] = {"job": "refine", "data": str(data), "out": f"{data}-refined", "gates": gates}
    fields["greenpost"] = own
    put(fields, out=out, seed=seed, workers=workers, executor=executor, threads=threads)
    put(fields, trust=trust, allow_short=allow_short, accept_software=accept_software)
    put_scorers(fields, clip, aesthetic_head, safety_checker)
    run_recipe(fields, assignments, dry_run)


@making_app.command("filter")
def filter_set(
    data: Annotated[Path, typer.Argument(help="A data set made by factory.")],
    drop_duplicates: Annotated[
        bool, typer.Option("--drop-duplicates", help="Also drop near-duplicates of samples in other shards.")
    ] = False,
    gsg_max: GsgMax = None,
    coverage_min: CoverageMin = None,
    coverage_max: CoverageMax = None,
    clip: Clip = None,
    aesthetic_head: AestheticHead = None,
    safety_checker: SafetyChecker = None,
    out: Out = None,
    seed: Seed = None,
    workers: Workers = None,
    executor: Executor = None,
    threads: Threads = None,
    allow_short: AllowShort = False,
    accept_software: AcceptSoftware = False,
    assignments: Set = None,
    dry_run: DryRun = False,
    debug: Debug = False,
) -> None:
    """Keep the samples of an existing set that pass stricter (or other) gates; keys stay.

    Of a set made with `--keep-rejected` it takes back what passes looser ones: where a slot has no sample that passes,
    its first rejected attempt that does.

    `factory filter runs/objects --gsg-max 3 --out runs/objects-strict`

    `factory filter runs/objects --drop-duplicates --set gates.coverage_min=0.1`

    `factory filter runs/objects --clip clip-l --set gates.text_agreement_min=0.2` · scores first what the set lacks
    """
    gates: dict[str, Any] = {}
    put(gates, gsg_max=gsg_max, coverage_min=coverage_min, coverage_max=coverage_max)
    fields: dict[str, Any] = {"job": "filter", "data": str(data), "out": f"{data}-filtered", "gates": gates}
    put(fields, drop_duplicates=drop_duplicates, out=out, seed=seed, workers=workers, executor=executor)
    put(fields, threads=threads, allow_short=allow_short, accept_software=accept_software)
    put_scorers(fields, clip, aesthetic_head, safety_checker)
    run_recipe(fields, assignments, dry_run)


@making_app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="A recipe of any job: a file, or one that ships.")],
    out: Out = None,
    seed: Seed = None,
    workers: Workers = None,
    executor: Executor = None,
    shard_size: ShardSize = None,
    threads: Threads = None,
    allow_short: AllowShort = False,
    accept_software: AcceptSoftware = False,
    assignments: Set = None,
    dry_run: DryRun = False,
    debug: Debug = False,
) -> None:
    """Run a recipe. `factory run tiny-green --out runs/green`."""
    fields = recipe_fields(recipe)
    put(fields, out=out, seed=seed, workers=workers, executor=executor, shard_size=shard_size, threads=threads)
    put(fields, allow_short=allow_short, accept_software=accept_software)
    run_recipe(fields, assignments, dry_run)


@making_app.command()
def plan(
    recipe: Annotated[Path, typer.Argument(help="A recipe: a file, or one that ships.")],
    out: Out = None,
    seed: Seed = None,
    workers: Workers = None,
    executor: Executor = None,
    shard_size: ShardSize = None,
    threads: Threads = None,
    allow_short: AllowShort = False,
    accept_software: AcceptSoftware = False,
    assignments: Set = None,
    debug: Debug = False,
) -> None:
    """Say what a recipe would make, and what a resume would still do; write nothing.

    `factory plan tiny-green` · with flags instead of a recipe: `factory generate … --dry-run`
    """
    fields = recipe_fields(recipe)
    put(fields, out=out, seed=seed, workers=workers, executor=executor, shard_size=shard_size, threads=threads)
    put(fields, allow_short=allow_short, accept_software=accept_software)
    run_recipe(fields, assignments, dry_run=True)
