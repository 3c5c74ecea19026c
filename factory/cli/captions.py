"""Captions out to a table for people to correct, and back."""

from pathlib import Path
from typing import Annotated, Any

import typer

from factory.cli.flags import AcceptSoftware, DataSet, Debug, DryRun, Executor, Out, Seed, Set, Threads, Workers, put
from factory.cli.running import run_recipe
from factory.errors import count_of

captions_app = typer.Typer(no_args_is_help=True, help="Captions out to a table for people to correct, and back.")


@captions_app.command("export")
def export_captions(
    data: DataSet,
    table: Annotated[Path, typer.Argument(help="A new .csv or .parquet.")],
    debug: Debug = False,
) -> None:
    """Write every sample's key and caption to a table, to be corrected by hand.

    `factory captions export runs/green captions.csv`
    """
    from factory.sources.captioning.corrections import export

    typer.echo(f"{count_of(export(data, table), 'caption', 'captions')} in {table}")


@captions_app.command("import")
def import_captions(
    data: Annotated[Path, typer.Argument(help="The data set whose captions were corrected.")],
    table: Annotated[Path, typer.Argument(help="The corrected table: csv, jsonl or parquet.")],
    by: Annotated[str, typer.Option(help="Who corrected it; recorded with every change.")],
    out: Out = None,
    seed: Seed = None,
    workers: Workers = None,
    executor: Executor = None,
    threads: Threads = None,
    accept_software: AcceptSoftware = False,
    assignments: Set = None,
    dry_run: DryRun = False,
    debug: Debug = False,
) -> None:
    """Make a set with the captions of a corrected table; keys and pictures stay.

    `factory captions import runs/green captions.csv --by "A. Editor" --out runs/green-captioned`
    """
    fields: dict[str, Any] = {"job": "captions", "data": str(data), "table": str(table), "by": by}
    put(fields, out=out or f"{data}-captioned", seed=seed, workers=workers, executor=executor, threads=threads)
    put(fields, accept_software=accept_software)
    run_recipe(fields, assignments, dry_run)
