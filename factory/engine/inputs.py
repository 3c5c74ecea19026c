"""Frozen inputs: the items of a run as one Arrow table per source, memory-mapped by the workers."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from factory.shards.durable import appearing

TELLING = ("path", "prompt", "tar")  # columns that name a row to people, where a table has them
HOLE = "hole"  # a table may have this boolean column: no request is made for such a row
ATTEMPTS = "attempts"  # or this one of lists: the attempts that a row is good for, in the order they are made in


def content_hash(table: pa.Table) -> str:
    """SHA-256 over names, types and values; the same for the same rows, however they are chunked."""
    digest = hashlib.sha256()
    for name in table.column_names:
        column = table[name].combine_chunks()
        digest.update(f"{name}:{column.type}:{len(column)};".encode())
        for buffer in column.buffers():
            if buffer is not None:
                digest.update(buffer)
    return digest.hexdigest()


def make_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A table in one chunk, so that its buffers (and its hash) follow from the rows alone."""
    return pa.Table.from_pylist(list(rows)).combine_chunks()


def holes(table: pa.Table | None) -> int:
    """How many rows ask for nothing."""
    if table is None or HOLE not in table.column_names:
        return 0
    return int(pc.sum(table[HOLE]).as_py() or 0)


def write_inputs(table: pa.Table, path: Path) -> None:
    """Arrow IPC without compression: any row is read without touching the others."""
    with appearing(path) as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def read_frozen(path: Path) -> pa.Table | None:
    """A frozen table; None where the file is absent or damaged."""
    try:
        return InputTable(path).table
    except (FileNotFoundError, pa.ArrowException):
        return None


def changed_rows(old: pa.Table, new: pa.Table) -> Iterator[str]:
    """The names of rows that only one of two tables has: an item's path, a prompt, a sample's tar."""
    tables = [{json.dumps(row, default=repr): row for row in table.to_pylist()} for table in (old, new)]
    for here, there in (tables, tables[::-1]):
        for content in here.keys() - there.keys():
            yield next((str(here[content][name]) for name in TELLING if here[content].get(name)), "a sample")


class InputTable:
    """Random access to the rows of a frozen table."""

    def __init__(self, path: Path) -> None:
        with pa.memory_map(str(path)) as source:
            self._table = pa.ipc.open_file(source).read_all()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @property
    def table(self) -> pa.Table:
        return self._table

    def row(self, index: int) -> dict[str, Any] | None:
        """The row as plain values; None for a hole."""
        row = {name: self._table[name][index].as_py() for name in self._table.column_names}
        return None if row.pop(HOLE, False) else row
