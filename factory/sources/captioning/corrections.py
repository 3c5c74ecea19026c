"""Captions out to a table for people to correct, and back: what changed, who changed it and when.

A data set is never rewritten: the corrections go into a new one, shard by shard, as the input of a run.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from factory.engine.made import is_handed_on, made_shards
from factory.errors import UsageError, some
from factory.shards.durable import appearing
from factory.shards.keys import KEY_DIGITS
from factory.shards.layout import Layout
from factory.shards.manifest import UNREADABLE, manifest_files, manifest_rows
from factory.sources.captioning.edited_table import TableRow, column_of, read_rows

COLUMNS = ("key", "caption", "class", "source", "item")
FOR_READING = ("class", "source", "item")  # beside a caption, to know which picture it is of
CHANGES = Path("changes") / "captions.parquet"  # in a data set's folder
HISTORY = pa.schema(
    [
        ("key", pa.string()),
        ("old", pa.string()),
        ("new", pa.string()),
        ("by", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True, slots=True)
class Correction:
    """A caption that somebody changed."""

    key: str
    old: str
    new: str


def export(data: Path, table: Path) -> int:
    """Write key, caption, class, source and item of all accepted samples, in key order; returns how many.

    table: ends in .csv (UTF-8 with a byte order mark, without which Excel takes ä for Ã¤) or .parquet. It appears
    whole or not at all. Raises UsageError where it exists, for it may hold somebody's corrections.
    """
    suffix = table.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise UsageError(f"{table}: captions are written to a table that ends in .csv or .parquet.")
    if table.exists():
        raise UsageError(f"{table} exists and may hold corrections: name another table, or remove it.")
    parts = _parts(data)
    try:
        with appearing(table) as file:
            return _write_csv(parts, file) if suffix == ".csv" else _write_parquet(parts, file)
    except OSError as error:
        raise UsageError(f"{table} cannot be written ({error.strerror or error}): choose another place.") from error


def read_corrections(data: Path, table: Path) -> list[Correction]:
    """The captions in a table (CSV, JSONL or Parquet) that differ from those of a set, in key order.

    Only `key` and `caption` are needed, and not of every sample. Raises UsageError naming the first rows whose key the
    set does not have, that come twice, that have no caption, or that stand beside another sample's class, source or
    item, as they do when one column was sorted by itself.
    """
    given = _by_key(read_rows(table), table)
    corrections, displaced = [], []
    for part in _parts(data):
        for old in part.to_pylist():
            row = given.pop(old["key"], None)
            if row is None:
                continue
            displaced += [
                f"{name} of {old['key']} ({row.place})"
                for name in FOR_READING
                if name in row.cells and row.cells[name] != old[name]
            ]
            if row.cells["caption"] != old["caption"]:
                new = " ".join(row.cells["caption"].split())  # a caption is one line
                corrections.append(Correction(old["key"], old["caption"], new))
    if given:
        unknown = some([f"{key} ({row.place})" for key, row in given.items()])
        raise UsageError(f"{table} has keys that {data} has not: {unknown}. Is it the table of another set?")
    if displaced:
        raise UsageError(
            f"{table} differs from {data} in more than captions: {some(displaced)}. Was one column sorted by itself? "
            "Leave these columns as they were exported, or take them out."
        )
    if empty := [change.key for change in corrections if not change.new]:
        raise UsageError(f"{table} has an empty caption for {some(empty)}: fill it in, or take the row out.")
    return [change for change in corrections if change.new != change.old]


def corrected(samples: pa.Table, corrections: Sequence[Correction]) -> pa.Table:
    """A table of samples by key (one segment of an input set) with a column `caption`: "" where none changed."""
    keys = pa.array([change.key for change in corrections], pa.string())
    captions = pa.array([change.new for change in corrections], pa.string())
    found = pc.take(captions, pc.index_in(samples["key"].combine_chunks(), value_set=keys))
    return samples.append_column("caption", pc.fill_null(found, ""))


def read_changes(data: Path) -> pa.Table:
    """All recorded corrections that led to a set, the oldest first: key, old, new, by, at."""
    path = data / CHANGES
    if not path.exists():
        return HISTORY.empty_table()
    try:
        table = pq.read_table(path, schema=HISTORY)
        table.validate(full=True)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} is damaged ({reason}): restore it, it is the record of changes.") from error
    return table


def write_changes(data: Path, out: Path, corrections: Sequence[Correction], by: str, at: datetime) -> int:
    """Write OUT/changes/captions.parquet: the history of the set `data` and these corrections; returns its rows.

    by: who is answerable.  at: when, with its time zone.  A run that goes on leaves the record as the first one wrote
    it, with its time.
    """
    if not by.strip():
        raise UsageError("--by is empty: say who corrected the captions.")
    if at.tzinfo is None:
        raise ValueError("the time of a change needs its time zone")
    columns = {
        "key": [change.key for change in corrections],
        "old": [change.old for change in corrections],
        "new": [change.new for change in corrections],
        "by": [by.strip()] * len(corrections),
        "at": [at.astimezone(UTC)] * len(corrections),
    }
    history = pa.concat_tables([read_changes(data), pa.table(columns, schema=HISTORY)])
    path = out / CHANGES
    if not path.exists() or not read_changes(out).drop_columns("at").equals(history.drop_columns("at")):
        with appearing(path) as file:
            pq.write_table(history, file, compression="zstd")
    return int(history.num_rows)


def _parts(data: Path) -> Iterator[pa.Table]:
    """COLUMNS of the accepted samples, one table per file of the manifest, in key order."""
    layout = Layout(data)
    if is_handed_on(layout):
        files = manifest_files(layout)
    else:
        files = [layout.parts / record.part.name for record in made_shards(data)[1]]
    return (_accepted(file) for file in files)


def _accepted(file: Path) -> pa.Table:
    return manifest_rows([file], COLUMNS, pc.field("status") == "accepted").sort_by("key")


def _by_key(rows: Sequence[TableRow], table: Path) -> dict[str, TableRow]:
    """Rows by key. Spreadsheets take 0000000012 for the number 12: what they cut off is put back."""
    column_of(rows, ["key"], table)
    column_of(rows, ["caption"], table)
    found: dict[str, TableRow] = {}
    wrong, twice = [], []
    for row in rows:
        key = row.cells["key"].strip()
        if not (key.isascii() and key.isdigit() and len(key) <= KEY_DIGITS):
            wrong.append(f"{key!r} ({row.place})")
        elif (whole := key.zfill(KEY_DIGITS)) in found:
            twice.append(f"{whole} ({found[whole].place} and {row.place})")
        else:
            found[whole] = row
    if wrong:
        raise UsageError(f"{table} has keys that are none: {some(wrong)}. A key has {KEY_DIGITS} digits.")
    if twice:
        raise UsageError(f"{table} has keys twice: {some(twice)}. Keep one row of each.")
    return found


def _write_csv(parts: Iterator[pa.Table], file: IO[bytes]) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    written = 0
    for part in parts:
        columns: Mapping[str, list[str]] = part.to_pydict()
        writer.writerows(zip(*(columns[name] for name in COLUMNS), strict=True))
        written += int(part.num_rows)
    text.detach()  # flushed, and not closed: the file is not ours
    return written


def _write_parquet(parts: Iterator[pa.Table], file: IO[bytes]) -> int:
    written = 0
    with pq.ParquetWriter(file, pa.schema([(name, pa.string()) for name in COLUMNS]), compression="zstd") as writer:
        for part in parts:
            writer.write_table(part)
            written += int(part.num_rows)
    return written
