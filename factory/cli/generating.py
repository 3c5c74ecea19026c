"""The command that paints a data set. Everything heavy is imported inside it."""

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
from factory.cli.running import run_recipe

generating_app = typer.Typer(rich_markup_mode="markdown")


@generating_app.command()
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
