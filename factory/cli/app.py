"""The command line: parse, call one function, print. Everything heavy is imported inside its command."""

import inspect
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from factory import __version__
from factory.cli.looking import captions_app, looking_app
from factory.errors import FactoryError, Interrupted, UsageError

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
        "`factory build-green100k` · a training set · `factory train pipelines/tiny.yaml` · a model\n\n"
        "`factory verify runs/objects` · `factory show runs/objects 0000000003` · `factory status runs/objects`"
    ),
)

app.add_typer(looking_app)

Out = Annotated[Path | None, typer.Option(help="Folder of the data set. The same command again resumes it.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the run: equal seeds give equal bytes.", min=0)]
Workers = Annotated[
    int | None,
    typer.Option(help="Workers; 0: one per GPU, else one per core; `--executor local`: one in all.", min=0),
]
Executor = Annotated[str | None, typer.Option(help="`ray` (default) or `local`: this machine, without Ray.")]
ShardSize = Annotated[int | None, typer.Option(help="Samples per shard, the unit of work and of resume.")]
Batch = Annotated[int | None, typer.Option(help="Samples painted at once. Part of the plan: it changes pixels.")]
Threads = Annotated[int | None, typer.Option(help="Threads per worker. Part of the plan: it changes pixels.")]
Gpus = Annotated[int | None, typer.Option(help="GPUs to use; -1 takes all the cluster has.", min=-1)]
WaitForGpus = Annotated[float | None, typer.Option(help="Seconds to wait for a cluster that grows.", min=0)]
AllowShort = Annotated[bool, typer.Option("--allow-short", help="Missing samples are no failure.")]
AcceptSoftware = Annotated[bool, typer.Option("--accept-software", help="Go on under other versions of libraries.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Any other field of the recipe: `a.b=1`. Repeatable.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
GsgMax = Annotated[
    float | None, typer.Option(help="Gate: largest distance of the screen from its pure colour (0–441).")
]
CoverageMin = Annotated[float | None, typer.Option(help="Gate: smallest share of the picture the object covers (0–1).")]
CoverageMax = Annotated[float | None, typer.Option(help="Gate: largest share of the picture the object covers (0–1).")]

COMMON: dict[str, tuple[Any, Any]] = {  # flags of every run: (annotation, default)
    "out": (Out, None),
    "seed": (Seed, None),
    "workers": (Workers, None),
    "executor": (Executor, None),
    "shard_size": (ShardSize, None),
    "threads": (Threads, None),
    "allow_short": (AllowShort, False),
    "accept_software": (AcceptSoftware, False),
    "assignments": (Set, None),
    "dry_run": (DryRun, False),
    "debug": (Debug, False),
}
OUTSIDE_THE_RECIPE = ("assignments", "dry_run", "debug")
Command: TypeAlias = Callable[..., dict[str, Any]]


def runs(*without: str, dry_run: bool | None = None) -> Callable[[Command], Callable[..., None]]:
    """Make a command of a function that turns its own flags into a recipe's fields: the COMMON flags are added to its
    own, but those named, and the recipe is run.

    dry_run: fixes what `--dry-run` would say.
    """
    common = {name: flag for name, flag in COMMON.items() if name not in without}

    def add_common_flags(command: Command) -> Callable[..., None]:
        signature = inspect.signature(command)

        @wraps(command)
        def run_with_flags(**given: Any) -> None:
            fields = command(**{name: given[name] for name in signature.parameters})
            _put(fields, given, " ".join(name for name in common if name not in OUTSIDE_THE_RECIPE))
            _run(fields, given["assignments"], given["dry_run"] if dry_run is None else dry_run)

        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in common.items()
        ]
        run_with_flags.__signature__ = signature.replace(  # type: ignore[attr-defined]  # typer reads it
            parameters=[*signature.parameters.values(), *added], return_annotation=None
        )
        run_with_flags.__annotations__ = {
            **{name: parameter.annotation for name, parameter in signature.parameters.items()},
            **{name: annotation for name, (annotation, _) in common.items()},
        }
        return run_with_flags

    return add_common_flags


@app.command()
@runs()
def generate(
    prompts: Annotated[
        str | None,
        typer.Option(help="txt, csv, jsonl or parquet list of prompts or class names, or `-` for standard input."),
    ] = None,
    n: Annotated[int | None, typer.Option("--n", help="Accepted samples to make.")] = None,
    model: Annotated[str | None, typer.Option(help="Model folder; the embedded one if not given.")] = None,
    template: Annotated[str | None, typer.Option(help="Caption of a class name: `{a} {colour} {class}`.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Classifier-free guidance scale.")] = None,
    sampler: Annotated[str | None, typer.Option(help="`dpm++2m` or `ddim`.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What not to paint.")] = None,
    batch: Batch = None,
    max_attempts: Annotated[int | None, typer.Option(help="Tries to fill a slot before it is left empty.")] = None,
    gsg_max: GsgMax = None,
    coverage_min: CoverageMin = None,
    coverage_max: CoverageMax = None,
    gpus: Gpus = None,
    wait_for_gpus: WaitForGpus = None,
) -> dict[str, Any]:
    """Prompts in, verified shards of picture, alpha and foreground out.

    `factory generate` · 32 samples of the embedded model's own classes

    `factory generate --prompts classes.txt --n 10000 --out runs/objects`

    `echo "a red feather" | factory generate --prompts - --n 8 --out runs/feathers --executor local`
    """
    fields: dict[str, Any] = {"job": "generate", "out": "runs/generate"}
    _put(fields, locals(), "prompts n model template batch max_attempts gpus wait_for_gpus")
    _put(fields.setdefault("sampler", {}), locals(), "steps guidance sampler negative_prompt")
    _put(fields.setdefault("gates", {}), locals(), "gsg_max coverage_min coverage_max")
    return fields


@app.command("build-green100k")
@runs()
def build_green100k(
    recipe: Annotated[Path | None, typer.Argument(help="Recipe; pipelines/tiny-green.yaml if not given.")] = None,
) -> dict[str, Any]:
    """Assemble a training set: objects with known alpha on a pure screen.

    `factory build-green100k` · drawn objects, nothing needed

    `factory build-green100k pipelines/green100k.yaml` · clips and public mattes, see docs/green100k.md

    `factory build-green100k my-recipe.yaml --out runs/green --workers 8`
    """
    return _recipe_fields(recipe or _shipped("pipelines/tiny-green.yaml"), "build-green100k")


@app.command()
@runs("shard_size")  # the input's
def refine(
    data: Annotated[Path, typer.Argument(help="A data set made by factory.")],
    gsg_max: GsgMax = None,
) -> dict[str, Any]:
    """Make new mattes for an existing set with GreenPost; keys stay.

    `factory refine runs/objects --out runs/objects-refined --set greenpost.black_point=4`
    """
    fields: dict[str, Any] = {"job": "refine", "data": str(data), "out": f"{data}-refined"}
    _put(fields.setdefault("gates", {}), locals(), "gsg_max")
    return fields


@app.command("filter")
@runs("shard_size")  # the input's
def filter_set(
    data: Annotated[Path, typer.Argument(help="A data set made by factory.")],
    drop_duplicates: Annotated[
        bool, typer.Option("--drop-duplicates", help="Also drop near-duplicates of samples in other shards.")
    ] = False,
    gsg_max: GsgMax = None,
    coverage_min: CoverageMin = None,
    coverage_max: CoverageMax = None,
) -> dict[str, Any]:
    """Keep the samples of an existing set that pass stricter (or other) gates; keys stay.

    `factory filter runs/objects --gsg-max 3 --out runs/objects-strict`

    `factory filter runs/objects --drop-duplicates --set gates.coverage_min=0.1`
    """
    fields: dict[str, Any] = {"job": "filter", "data": str(data), "out": f"{data}-filtered"}
    _put(fields, locals(), "drop_duplicates")
    _put(fields.setdefault("gates", {}), locals(), "gsg_max coverage_min coverage_max")
    return fields


@app.command()
@runs()
def run(recipe: Annotated[Path, typer.Argument(help="A recipe of any job.")]) -> dict[str, Any]:
    """Run a recipe. `factory run pipelines/tiny-green.yaml --out runs/green`."""
    return _recipe_fields(recipe, None)


@captions_app.command("import")
@runs("shard_size", "allow_short")  # the input's; every sample passes
def import_captions(
    data: Annotated[Path, typer.Argument(help="The data set whose captions were corrected.")],
    table: Annotated[Path, typer.Argument(help="The corrected table: csv, jsonl or parquet.")],
    by: Annotated[str, typer.Option(help="Who corrected it; recorded with every change.")],
) -> dict[str, Any]:
    """Make a set with the captions of a corrected table; keys and pictures stay.

    `factory captions import runs/green captions.csv --by "A. Editor" --out runs/green-captioned`
    """
    return {"job": "captions", "data": str(data), "table": str(table), "by": by, "out": f"{data}-captioned"}


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A training recipe, for example pipelines/tiny.yaml.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the training. The same command again resumes it.")] = None,
    assignments: Set = None,
    debug: Debug = False,
) -> None:
    """Train DiffuMatting; the folder's `model/` then serves `factory generate --model`.

    `factory train pipelines/tiny.yaml --out runs/tiny` · kill it at any moment, the same command goes on

    `factory train pipelines/sd15.yaml --set train.base=models/stable-diffusion-v1-5`
    """
    fields = _recipe_fields(recipe, "train")
    _put(fields, locals(), "out")
    _run(fields, assignments, False)


@app.command()
@runs("dry_run", dry_run=True)
def plan(recipe: Annotated[Path, typer.Argument(help="A recipe of a data set.")]) -> dict[str, Any]:
    """Say what a recipe would make, and what a resume would still do; write nothing.

    `factory plan pipelines/tiny-green.yaml` · with flags instead of a recipe: `factory generate … --dry-run`
    """
    return _recipe_fields(recipe, None)


@app.callback(invoke_without_command=True)
def version(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)
    ] = False,
) -> None:
    if show_version:
        typer.echo(__version__)
        raise typer.Exit


def _put(fields: dict[str, Any], values: dict[str, Any], names: str) -> None:
    """Take over the flags that were given; the others keep what the recipe or the schema says."""
    for name in names.split():
        value = values[name]
        if value is not None and value is not False:
            fields[name] = str(value) if isinstance(value, Path) else value


def _shipped(name: str) -> Path:
    path = Path(__file__).resolve().parents[2] / name
    if not path.exists():
        raise UsageError(f"{name} is not beside the installed package: give a recipe of your own.")
    return path


def _recipe_fields(path: Path, job: str | None) -> dict[str, Any]:
    from factory.jobs.recipes import read_yaml

    fields = read_yaml(path)
    if "job" not in fields:
        raise UsageError(f"{path} does not say what it is a recipe of: write `job: {job or 'build-green100k'}` in it.")
    if job is not None and fields["job"] != job:
        raise UsageError(f"{path} is a recipe of job {fields['job']!r}, not {job!r}: use `factory run {path}`.")
    fields.setdefault("out", f"runs/{path.stem}")
    return fields


def _run(fields: dict[str, Any], assignments: list[str] | None, dry_run: bool) -> None:
    from factory.jobs.recipes import TrainRecipe, parse, set_dotted

    for assignment in assignments or ():
        set_dotted(fields, assignment)
    recipe = parse(fields)
    if isinstance(recipe, TrainRecipe):
        if dry_run:
            raise UsageError("a training has no dry run: see its recipe.")
        from factory.run.train import execute_training

        typer.echo(f"model: {execute_training(recipe)}")
        return
    if dry_run:
        from factory.review.inspect import plan_text

        typer.echo(plan_text(recipe))
        return
    from factory.run.execute import execute

    result = execute(recipe)
    typer.echo(result.text())
    raise typer.Exit(result.exit_code(recipe.allow_short))


def main(arguments: list[str] | None = None) -> None:
    """The program. Errors a user can mend are one sentence on stderr; --debug gives the traceback before it."""
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        app(arguments)
    except FactoryError as error:
        _leave(error, error.exit_code, debug)
    except KeyboardInterrupt:
        _leave(Interrupted("interrupted."), 130, debug)
    except Exception as error:  # noqa: BLE001  (a fault of ours: one sentence here as well)
        sentence = f"unexpected {type(error).__name__} ({error}): --debug shows where; please report it."
        _leave(error, 1, debug, " ".join(sentence.split()))


def _leave(error: Exception, code: int, debug: bool, sentence: str = "") -> None:
    with suppress(OSError):  # a closed stderr does not change the exit code
        if debug:
            traceback.print_exception(error)
        sys.stderr.write(f"factory: {sentence or error}\n")
    raise SystemExit(code)
