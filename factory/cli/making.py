"""Commands that make a data set. Everything heavy is imported inside its command."""

from pathlib import Path
from typing import Annotated, Any

import typer

from factory.cli.flags import (
    OF_MODEL,
    AcceptSoftware,
    AestheticHead,
    AllowShort,
    Batch,
    Clip,
    CoverageMax,
    CoverageMin,
    Debug,
    DryRun,
    Executor,
    Gpus,
    GsgMax,
    KeepRejected,
    Out,
    SafetyChecker,
    Seed,
    Set,
    ShardSize,
    Threads,
    Trust,
    WaitForGpus,
    Workers,
    put,
    put_scorers,
)
from factory.cli.running import recipe_fields, run_recipe

making_app = typer.Typer(rich_markup_mode="markdown")


@making_app.command()
def generate(
    prompts: Annotated[
        str | None,
        typer.Option(
            help="txt, csv, json, jsonl or parquet list of prompts or class names, yaml grammar of prompts (see "
            "`factory prompts`), `-` for standard input, or a list that ships (`factory recipes`).",
            show_default="the classes that the model knows",
        ),
    ] = None,
    strict_words: Annotated[
        bool, typer.Option("--strict-words", help="Refuse prompts with words that the model was never taught.")
    ] = False,
    n: Annotated[
        int | None,
        typer.Option("--n", help="Accepted samples to make; more than before extend the set.", show_default="32"),
    ] = None,
    backdrops: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures that report and card show some samples on.", show_default="none"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model folder, or checkpoint in one file.", show_default="the embedded one")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Of a checkpoint: folder with CLIP's vocab.json and merges.txt.", show_default="tokenizer beside it"
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            help="Of a checkpoint: folder with its configurations, as diffusers saves them.",
            show_default="its family's",
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            help="Folder with LayerDiffuse's files for the model: its pictures come with alpha.", show_default="none"
        ),
    ] = None,
    painter: Annotated[
        str | None,
        typer.Option(
            help="Code of your own that paints pictures with alpha, `module:function`, in the place of a model.",
            show_default="none",
        ),
    ] = None,
    lora: Annotated[
        list[str] | None,
        typer.Option(
            help="Adapter to lay over the model, `FILE` or `FILE=WEIGHT` (LoRA, LoCon, LoHa, LoKr, DoRA); may be given "
            "several times.",
            show_default="none",
        ),
    ] = None,
    word: Annotated[
        list[str] | None,
        typer.Option(
            help="Textual inversion: a word that the model learns from a file, `FILE` or `FILE=<word>`; may be given "
            "several times.",
            show_default="none",
        ),
    ] = None,
    given: Annotated[
        str | None,
        typer.Option(
            help="Column of the prompt list that names a picture for each prompt: sampling begins with it.",
            show_default="none",
        ),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            help="With --given: share of the steps that are taken; 1 takes all, and with --mask begins at noise.",
            show_default="0.6",
        ),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            help="With --given: column that names masks, white where a picture is painted anew.", show_default="none"
        ),
    ] = None,
    control: Annotated[
        list[str] | None,
        typer.Option(
            help="ControlNet or T2I-Adapter, `FOLDER` or `FOLDER=KIND`, which is shown the picture that the column "
            "`control` of the prompt list names; KIND: `as-is`, `canny`, `scribble`, `pose`, `contour`. May be given "
            "several times.",
            show_default="none",
        ),
    ] = None,
    style: Annotated[
        list[str] | None,
        typer.Option(
            help="IP-Adapter, `FOLDER` with `image_encoder/`, which is shown the picture in the column `style`; may be "
            "given several times.",
            show_default="none",
        ),
    ] = None,
    lower_loras: Annotated[
        float | None,
        typer.Option(
            help="After each attempt in which adapters bend the screen, let them count for this share (0 to below 1) "
            "of what they did.",
            show_default="they always count alike",
        ),
    ] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Take of an adapter what fits, and leave its other keys unused.")
    ] = False,
    template: Annotated[
        str | None,
        typer.Option(help="Caption of a class name, with `{class}`, `{a}`, `{colour}`.", show_default="the model's"),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps.", show_default=f"{OF_MODEL}25")] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Classifier-free guidance scale.", show_default=f"{OF_MODEL}7.5")
    ] = None,
    coarse: Annotated[
        str | None,
        typer.Option(
            help="Where a DiffuMatting model's coarse masks come from: its `head`, or the `attention` to the words of "
            "each prompt's class, as DiffuMask has it.",
            show_default="head",
        ),
    ] = None,
    objects: Annotated[
        str | None,
        typer.Option(
            help="With --coarse attention: column of the prompt list that holds the object's words in each prompt.",
            show_default="the class names that prompts are made of",
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            help="`dpm++2m` or `ddim`; for models and adapters of few steps `lcm`, `tcd`, `euler` (Lightning), `dmd2`: "
            "4 steps without guidance unless --steps and --guidance say otherwise.",
            show_default=f"{OF_MODEL}dpm++2m",
        ),
    ] = None,
    negative_prompt: Annotated[
        str | None, typer.Option(help="What not to paint.", show_default=f"{OF_MODEL}shadows and the like")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="Screen: `green`, `blue`, `magenta`; `auto`: for each prompt one that its object differs from.",
            show_default=f"{OF_MODEL}green",
        ),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            help="Size to paint at, `WIDTHxHEIGHT`; given several times, samples take them in turn.",
            show_default="the model's own",
        ),
    ] = None,
    batch: Batch = None,
    max_attempts: Annotated[
        int | None, typer.Option(help="Tries to fill a slot before it is left empty.", show_default="10")
    ] = None,
    gsg_max: GsgMax = None,
    coverage_min: CoverageMin = None,
    coverage_max: CoverageMax = None,
    keep_rejected: KeepRejected = False,
    trust: Trust = False,
    clip: Clip = None,
    aesthetic_head: AestheticHead = None,
    safety_checker: SafetyChecker = None,
    gpus: Gpus = None,
    wait_for_gpus: WaitForGpus = None,
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
    """Prompts in, verified shards of picture, alpha and foreground out.

    `factory generate` · 32 samples of the embedded model's own classes

    `factory generate --prompts classes.txt --n 10000 --out runs/objects`

    `factory generate --model MODEL --lora style.safetensors=0.7 --prompts classes.txt --out runs/styled`

    `echo "a red feather" | factory generate --prompts - --n 8 --out runs/feathers --executor local`
    """
    own: dict[str, Any] = {}
    gates: dict[str, Any] = {}
    put(own, steps=steps, guidance=guidance, sampler=sampler, negative_prompt=negative_prompt, key=key, coarse=coarse)
    put(own, sizes=size or None)
    put(gates, gsg_max=gsg_max, coverage_min=coverage_min, coverage_max=coverage_max)
    fields: dict[str, Any] = {"job": "generate", "out": "runs/generate", "sampler": own, "gates": gates}
    put(
        fields,
        prompts=prompts,
        strict_words=strict_words,
        n=n,
        backdrops=backdrops,
        model=model,
        tokenizer=tokenizer,
        config=config,
        layers=layers,
        painter=painter,
        lower_loras=lower_loras,
        allow_partial=allow_partial,
        objects=objects,
        template=template,
        max_attempts=max_attempts,
        keep_rejected=keep_rejected,
        trust=trust,
    )
    put(fields, batch=batch, gpus=gpus, wait_for_gpus=wait_for_gpus, out=out, seed=seed, workers=workers)
    put(fields, executor=executor, shard_size=shard_size, threads=threads)
    put(fields, allow_short=allow_short, accept_software=accept_software)
    if given is not None or strength is not None or mask is not None:
        fields["given"] = {"column": given or ""}
        put(fields["given"], strength=strength, mask=mask)
    if lora:
        from factory.diffusion.lora.settings import said_in_a_flag

        laid = [said_in_a_flag(text) for text in lora]
        fields["loras"] = [{"file": str(own.file), "weight": own.weight} for own in laid]
    if word:
        from factory.diffusion import new_words

        learnt = [new_words.said_in_a_flag(text) for text in word]
        fields["words"] = [{"file": str(own.file), "word": own.word} for own in learnt]
    if control:
        from factory.diffusion.control import settings as control_settings

        networks = [control_settings.said_in_a_flag(text) for text in control]
        fields["controls"] = [{"model": str(own.model), "kind": own.kind} for own in networks]
    if style:
        fields["styles"] = [{"model": folder} for folder in style]
    put_scorers(fields, clip, aesthetic_head, safety_checker)
    run_recipe(fields, assignments, dry_run)


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
