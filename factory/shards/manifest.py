"""The manifest: a Parquet row per attempt, accepted, rejected or failed, with every score and where its bytes lie."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from factory.errors import DataError
from factory.sample import ADDED_SCORES, Request, Sample, Scores
from factory.shards.keys import shard_of
from factory.shards.layout import Layout
from factory.shards.members import Members, column, extensions
from factory.shards.writer import Extent

ROWS_IN_ONE_FILE = 5_000_000  # above this the manifest stays a folder of parts, with a table of duplicates beside it
SCORES = tuple(field.name for field in fields(Scores))
DUPLICATE_OF = pa.field("duplicate_of", pa.string())  # only in the manifest of a finished set
DUPLICATES = pa.schema([pa.field("key", pa.string()), DUPLICATE_OF])  # the table where the manifest is no one file

_COLUMNS = pa.schema(
    [
        ("key", pa.string()),
        ("shard", pa.int32()),
        ("slot", pa.int64()),
        ("attempt", pa.int16()),
        ("split", pa.string()),
        ("status", pa.string()),  # accepted | rejected | failed
        ("reason", pa.string()),  # the gate, or the kind of error
        ("detail", pa.string()),
        ("item", pa.string()),  # the input's relative path or key, where there is one
        ("class", pa.string()),
        ("caption", pa.string()),
        ("prompt", pa.string()),
        ("seed", pa.int64()),
        ("kind", pa.string()),
        ("source", pa.string()),
        ("licence", pa.string()),
        ("attribution", pa.string()),
        ("soft_alpha", pa.bool_()),
        ("foreground", pa.string()),
        ("colour", pa.string()),
        ("ai_generated", pa.bool_()),
        ("digital_source_type", pa.string()),  # IPTC's term
        ("model", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        *((name, pa.float32()) for name in SCORES),
        ("phash", pa.string()),
    ]
)
UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)  # what pyarrow raises for a damaged Parquet file


@cache
def extents(members: Members) -> tuple[str, ...]:
    """The columns that say where the bytes of a sample's members lie."""
    return tuple(column(name, what) for name in extensions(members) for what in ("offset", "size"))


@cache
def schema(members: Members) -> pa.Schema:
    """The columns of a part: the same for all sets, then for each member a hash of its pixels and its place."""
    hashes = [pa.field(f"{member.name}_sha256", pa.string()) for member in members]
    places = [pa.field(name, pa.int64()) for name in extents(members)]
    return pa.schema([*_COLUMNS, *hashes, *places])


def final_schema(members: Members) -> pa.Schema:
    """The columns of a finished set's manifest."""
    return schema(members).append(DUPLICATE_OF)


def is_as(found: pa.Schema, wanted: pa.Schema) -> bool:
    """Whether a file of a manifest has these columns; scores that were added after it was made may be missing."""
    absent = ADDED_SCORES - set(found.names)
    return bool(found.equals(pa.schema([field for field in wanted if field.name not in absent])))


def completed(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """These columns of a table, with −1 for scores that were added after it was made."""
    for name in ADDED_SCORES.intersection(columns) - set(table.column_names):
        table = table.append_column(name, pa.array(np.full(table.num_rows, -1, np.float32)))
    return table.select(list(columns))


def read_rows(file: Path, columns: Sequence[str], **options: Any) -> pa.Table:
    """These columns of one file of a manifest, of any age.  options: of pyarrow's `read_table`."""
    absent = ADDED_SCORES - set(pq.read_schema(file).names)
    table = pq.read_table(file, columns=[name for name in columns if name not in absent], **options)
    return completed(table, columns)


@cache
def _nothing(members: Members) -> dict[str, Any]:
    """A row in which nothing is known."""
    empty: dict[pa.DataType, Any] = {pa.string(): "", pa.bool_(): False}
    return {field.name: empty.get(field.type, -1) for field in schema(members)}


def _request_columns(request: Request, split: str) -> dict[str, Any]:
    item = request.item.get("path") or request.item.get("key") or ""
    return {
        "key": request.key,
        "shard": shard_of(request.key),
        "slot": request.slot,
        "attempt": request.attempt,
        "seed": request.seed,
        "split": split,
        "item": str(item),
    }


def _sample_columns(sample: Sample) -> dict[str, Any]:
    origin = sample.origin
    return {
        **({"item": origin.item} if origin.item else {}),
        "class": origin.class_name,
        "caption": origin.caption,
        "prompt": origin.prompt,
        "kind": origin.kind,
        "source": origin.source,
        "licence": origin.licence,
        "attribution": origin.attribution,
        "soft_alpha": origin.soft_alpha,
        "foreground": origin.foreground,
        "colour": origin.colour,
        "ai_generated": origin.ai_generated,
        "digital_source_type": origin.digital_source_type,
        "model": origin.model,
        "width": sample.rgb.shape[1],
        "height": sample.rgb.shape[0],
        "phash": sample.phash,
        **{name: round(float(value), 4) for name, value in asdict(sample.scores).items()},
    }


def accepted_row(sample: Sample, split: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a sample that will lie in the shard; `extent_columns` follow when it does."""
    hashes = {f"{name}_sha256": value for name, value in meta["hashes"].items()}
    columns = _request_columns(sample.request, split) | _sample_columns(sample) | hashes
    return columns | {"status": "accepted"}


def extent_columns(extents: Mapping[str, Extent]) -> dict[str, int]:
    """Where a sample's members lie, by the names of the manifest's columns."""
    places = {}
    for member, extent in extents.items():
        places[column(member, "offset")] = extent.offset
        places[column(member, "size")] = extent.size
    return places


def rejected_row(sample: Sample, split: str, reason: str, detail: str) -> dict[str, Any]:
    """The row of an attempt that a gate turned down."""
    columns = _request_columns(sample.request, split) | _sample_columns(sample)
    return columns | {"status": "rejected", "reason": reason, "detail": detail}


def failed_row(request: Request, split: str, error: DataError) -> dict[str, Any]:
    """The row of an item whose data is bad."""
    item = request.item
    named = {
        "class": item.get("class") or item.get("class_name"),
        "caption": item.get("caption"),
        "prompt": item.get("prompt"),
        "source": item.get("source"),
    }
    columns = _request_columns(request, split) | {name: value for name, value in named.items() if value}
    return columns | {"status": "failed", "reason": error.kind, "detail": str(error)}


def write_table(rows: Sequence[Mapping[str, Any]], members: Members, path: Path) -> None:
    """Write one part; the bytes depend on the rows and pyarrow's version alone."""
    whole = [{**_nothing(members), **row} for row in rows]
    pq.write_table(pa.Table.from_pylist(whole, schema=schema(members)), path, compression="zstd")


def manifest_files(layout: Layout) -> list[Path]:
    """Where the manifest lies: in one file, or else in the parts of all committed shards, in shard order."""
    if layout.manifest.exists():
        return [layout.manifest]
    parts = sorted(layout.parts.glob("part-*.parquet"))
    if not layout.commits.is_dir():  # handed on without its records
        return parts
    committed = {name.removesuffix(".json") for name in layout.store.sizes(layout.commits)}
    return [part for part in parts if part.stem.removeprefix("part-") in committed]


def read_manifest(layout: Layout, columns: Sequence[str] | None = None, rows: pc.Expression | None = None) -> pa.Table:
    """The manifest of a set, finished or in the making; only these columns and rows, all by default."""
    wanted, files = list(columns) if columns is not None else None, manifest_files(layout)
    if not files:
        return _COLUMNS.empty_table().select(wanted or _COLUMNS.names)
    return pq.read_table(files, columns=wanted, filters=rows, partitioning=None)  # a folder "seed=3" is no column
