"""Flags that several commands have, and how flags become the fields of a recipe."""

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from factory.errors import UsageError

# What --help shows as defaults: the recipe's own stand in classes that take a while to import; the tests compare them.
OF_RECIPE = "the recipe's, else "
OF_MODEL = "the model's, else "
OF_SET = "of a set its own, else "

Out: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the data set. The same command again resumes it.",
        show_default="the recipe's, else runs/NAME, or DATA-NAME for a set made of a set",
    ),
]
Seed: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Seed of the run: equal seeds give equal bytes.", min=0, show_default=f"{OF_RECIPE}0"),
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(
        help="Workers; 0: one per GPU, else one per core; `--executor local`: one in all.",
        min=0,
        show_default=f"{OF_RECIPE}0",
    ),
]
Executor: TypeAlias = Annotated[
    str | None, typer.Option(help="`ray`, or `local`: this machine, without Ray.", show_default=f"{OF_RECIPE}ray")
]
ShardSize: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Samples per shard, the unit of work and of resume.", show_default=f"{OF_RECIPE}256"),
]
Batch: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Samples painted at once. Part of the plan: it changes pixels.", show_default="16"),
]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Threads per worker. Part of the plan: it changes pixels.", show_default=f"{OF_RECIPE}1"),
]
Gpus: TypeAlias = Annotated[
    int | None, typer.Option(help="GPUs to use; -1 takes all the cluster has.", min=-1, show_default="-1")
]
WaitForGpus: TypeAlias = Annotated[
    float | None, typer.Option(help="Seconds to wait for a cluster that grows.", min=0, show_default="0.0")
]
AllowShort: TypeAlias = Annotated[bool, typer.Option("--allow-short", help="Missing samples are no failure.")]
AcceptSoftware: TypeAlias = Annotated[
    bool, typer.Option("--accept-software", help="Go on under other versions of libraries.")
]
Set: TypeAlias = Annotated[
    list[str] | None, typer.Option("--set", help="Any other field of the recipe: `a.b=1`. Repeatable.")
]
KeepRejected: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--keep-rejected",
        help="Store rejected attempts too, so that `factory filter` can take them back. Part of the plan.",
    ),
]
Trust: TypeAlias = Annotated[
    bool, typer.Option("--trust", help="Store a map of how far each pixel of alpha may be trusted. Part of the plan.")
]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Debug: TypeAlias = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
GsgMax: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="Gate: largest distance of the screen from its pure colour (0–441).", show_default=f"{OF_SET}20.0"
    ),
]
CoverageMin: TypeAlias = Annotated[
    float | None,
    typer.Option(help="Gate: smallest share of the picture the object covers (0–1).", show_default=f"{OF_SET}0.01"),
]
CoverageMax: TypeAlias = Annotated[
    float | None,
    typer.Option(help="Gate: largest share of the picture the object covers (0–1).", show_default=f"{OF_SET}0.85"),
]
Clip: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Folder with a CLIP model: scores how far pictures show what their texts say.", show_default="none"
    ),
]
AestheticHead: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Head of an aesthetic score (.safetensors, .npz), over the model of --clip.", show_default="none"
    ),
]
SafetyChecker: TypeAlias = Annotated[
    Path | None, typer.Option(help="Folder with Stable Diffusion's safety checker.", show_default="none")
]
DataSet: TypeAlias = Annotated[Path, typer.Argument(help="A data set folder.")]


def put(fields: dict[str, Any], **given: Any) -> None:
    """Take over the flags that were given; for the others stays what the recipe or the schema says."""
    for name, value in given.items():
        if value is not None and value is not False:
            fields[name] = str(value) if isinstance(value, Path) else value


def put_scorers(fields: dict[str, Any], clip: Path | None, head: Path | None, checker: Path | None) -> None:
    """The scorers that the flags name. Raises UsageError for a head without its CLIP."""
    scorers: dict[str, dict[str, str]] = {}
    if clip is not None:
        scorers["agreement"] = {"clip": str(clip)}
    if head is not None:
        if clip is None:
            raise UsageError("--aesthetic-head reads what a CLIP tells: name its folder with --clip.")
        scorers["aesthetic"] = {"clip": str(clip), "head": str(head)}
    if checker is not None:
        scorers["safety"] = {"model": str(checker)}
    if scorers:
        fields["scorers"] = scorers
