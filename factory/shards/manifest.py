"""The manifest: a Parquet row per attempt, accepted, rejected or failed, with every score and where its bytes lie."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from factory.errors import DataError, UsageError, nearest, some
from factory.sample import ADDED_SCORES, ASKED_SCORES, Request, Sample, Scores
from factory.shards.keys import KEY_PATTERN, shard_of
from factory.shards.layout import Layout
from factory.shards.members import Members, column, extensions, is_place
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
NO_SUCH_COLUMN = re.compile(r"No match for FieldRef\.Name\((.*?)\) in ")  # as pyarrow says it, with the whole schema
UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError, KeyError)  # by pyarrow, of a damaged file


@cache
def extents(members: Members) -> tuple[str, ...]:
    """The columns that say where the bytes of a sample's members lie."""
    return tuple(column(name, what) for name in extensions(members) for what in ("offset", "size"))


@cache
def schema(members: Members, asked: tuple[str, ...] = ()) -> pa.Schema:
    """The columns of a part: the same for all sets, then for each member a hash of its pixels and its place.

    asked: which of ASKED_SCORES the set has.
    """
    columns = [field for field in _COLUMNS if field.name in asked or field.name not in ASKED_SCORES]
    hashes = [pa.field(f"{member.name}_sha256", pa.string()) for member in members]
    places = [pa.field(name, pa.int64()) for name in extents(members)]
    return pa.schema([*columns, *hashes, *places])


def final_schema(members: Members, asked: tuple[str, ...] = ()) -> pa.Schema:
    """The columns of a finished set's manifest.  asked: as in `schema`."""
    return schema(members, asked).append(DUPLICATE_OF)


def is_as(found: pa.Schema, wanted: pa.Schema) -> bool:
    """Whether a file of a manifest has these columns; scores that were added after it was made may be missing."""
    absent = ADDED_SCORES - set(found.names)
    return bool(found.equals(pa.schema([field for field in wanted if field.name not in absent])))


def completed(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """These columns of a table, with −1 for scores that were added after it was made."""
    for name in ADDED_SCORES.intersection(columns) - set(table.column_names):
        table = table.append_column(name, pa.array(np.full(table.num_rows, -1, np.float32)))
    return table.select(list(columns))


def unknown(kind: pa.DataType) -> str | bool | int:
    """What a column of this type holds where nothing is known."""
    empty: dict[pa.DataType, str | bool] = {pa.string(): "", pa.bool_(): False}
    return empty.get(kind, -1)


@cache
def _nothing(members: Members, asked: tuple[str, ...]) -> dict[str, Any]:
    """A row in which nothing is known."""
    return {field.name: unknown(field.type) for field in schema(members, asked)}


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
    columns = _request_columns(sample.request, split) | _sample_columns(sample)
    return columns | hash_columns(meta) | {"status": "accepted"}


def hash_columns(meta: Mapping[str, Any]) -> dict[str, str]:
    """The pixels of a stored sample's members, by the names of the manifest's columns."""
    return {f"{name}_sha256": value for name, value in meta["hashes"].items()}


def extent_columns(extents: Mapping[str, Extent]) -> dict[str, int]:
    """Where a sample's members lie, by the names of the manifest's columns."""
    places = {}
    for member, extent in extents.items():
        places[column(member, "offset")] = extent.offset
        places[column(member, "size")] = extent.size
    return places


def rejected_row(sample: Sample, split: str, reason: str, detail: str) -> dict[str, Any]:
    """The row of an attempt that a gate turned down. Where it is kept, `hash_columns` and `extent_columns` follow."""
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


def write_table(rows: Sequence[Mapping[str, Any]], members: Members, path: Path, asked: tuple[str, ...] = ()) -> None:
    """Write one part; the bytes depend on the rows and pyarrow's version alone.  asked: as in `schema`."""
    whole = [{**_nothing(members, asked), **row} for row in rows]
    pq.write_table(pa.Table.from_pylist(whole, schema=schema(members, asked)), path, compression="zstd")


def manifest_files(layout: Layout) -> list[Path]:
    """Where the manifest lies: in one file, or else in the parts of all committed shards, in shard order."""
    if layout.manifest.exists():
        return [layout.manifest]
    parts = sorted(layout.parts.glob("part-*.parquet"))
    committed = layout.committed()
    return [part for part in parts if committed is None or part.stem.removeprefix("part-") in committed]


def read_manifest(layout: Layout, columns: Sequence[str] | None = None, rows: pc.Expression | None = None) -> pa.Table:
    """The manifest of a set, finished or in the making; only these columns and rows, all by default.

    Raises UsageError as `manifest_rows` does.
    """
    if files := manifest_files(layout):
        return manifest_rows(files, columns, rows)
    return _COLUMNS.empty_table().select(list(columns) if columns is not None else _COLUMNS.names)


def columns_of(file: Path) -> list[str]:
    """The columns of one file of a manifest. Raises UsageError where it is damaged."""
    with _told(file):
        return list(pq.read_schema(file).names)


def rows_in(file: Path) -> int:
    """How many rows one file of a manifest has. Raises UsageError where it is damaged."""
    with _told(file):
        return int(pq.read_metadata(file).num_rows)


def manifest_rows(
    files: Sequence[Path],
    columns: Sequence[str] | None = None,
    rows: pc.Expression | None = None,
    dictionaries: Sequence[str] = (),
) -> pa.Table:
    """Rows of a manifest's files: the columns and rows that are asked for, of the types that they should have.

    dictionaries: text columns of few values, which then take little memory.
    Raises UsageError where a file is damaged, is no manifest, or lacks a column.
    """
    wanted = list(columns) if columns is not None else None
    with _told(files[0] if len(files) == 1 else files[0].parent):
        there = set(pq.read_schema(files[0]).names)
        if missing := sorted({*(wanted or ()), "key"} - there - ADDED_SCORES):
            raise pa.ArrowInvalid(f"it has no column {some(missing)}")
        try:
            table = pq.read_table(
                list(files),
                columns=wanted and [name for name in wanted if name in there],
                filters=rows,
                read_dictionary=list(dictionaries),
                partitioning=None,  # a folder "seed=3" is no column
            )
        except pa.ArrowInvalid as error:
            if not (unknown := NO_SUCH_COLUMN.match(str(error))):
                raise
            raise pa.ArrowInvalid(f"it has no column {unknown[1]}{nearest(unknown[1], there)}") from error
        table = as_manifest(table.unify_dictionaries() if dictionaries else table)
        return table if wanted is None else completed(table, wanted)


def bites(file: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of one file of a manifest, some at a time. Raises UsageError as `manifest_rows` does."""
    with _told(file), pq.ParquetFile(file) as opened:
        if missing := sorted(set(columns) - set(opened.schema_arrow.names)):
            raise pa.ArrowInvalid(f"it has no column {some(missing)}")
        for batch in opened.iter_batches(columns=list(columns)):
            yield as_manifest(pa.Table.from_batches([batch]))


@contextmanager
def _told(place: Path) -> Iterator[None]:
    """What pyarrow raises for a damaged or foreign file, as a sentence."""
    try:
        yield
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{place} cannot be read so ({reason}): `factory verify` the set to know more.") from error


def as_manifest(table: pa.Table) -> pa.Table:
    """The table with whole texts, keys that are keys, each column of its type, and what is not known as `unknown` says.

    Raises ArrowInvalid where it is not to be had: a file may come from anybody.
    """
    table.validate(full=True)  # damaged text would fall over later
    for place, name in enumerate(table.column_names):
        if kind := _type_of(name):
            table = table.set_column(place, name, _known(table.column(place), kind))
    if "key" in table.column_names and pc.any(pc.invert(pc.match_substring_regex(table["key"], KEY_PATTERN))).as_py():
        raise pa.ArrowInvalid("its keys are none")
    return table


def _known(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type) and column.type.value_type == kind and not column.null_count:
        return column
    column = column.cast(kind)
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_finite(column), column, pa.scalar(unknown(kind), kind))
    return pc.fill_null(column, unknown(kind)) if column.null_count else column


def _type_of(name: str) -> pa.DataType | None:
    """What a column holds; None for one that this version does not know."""
    if name.endswith("_sha256") or name == DUPLICATE_OF.name:
        return pa.string()
    if is_place(name):
        return pa.int64()
    return _COLUMNS.field(name).type if name in _COLUMNS.names else None
