"""Tables that people edit (CSV, JSON lines, Parquet) → rows of text.

A spreadsheet's habits are met here: a byte order mark, semicolons or tabs for commas, cells with line breaks.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from factory.errors import UsageError, count_of, some
from factory.shards.foreign_text import parse_json
from factory.shards.manifest import UNREADABLE

DELIMITERS = ",;\t"
SUFFIXES = (".csv", ".jsonl", ".parquet")


@dataclass(frozen=True, slots=True)
class TableRow:
    """place: "row 3", as a spreadsheet numbers it (its header is row 1).  cells: column → text, "" where empty."""

    place: str
    cells: dict[str, str]

    @property
    def number(self) -> int:
        return int(self.place.rpartition(" ")[2])


def read_rows(table: Path) -> list[TableRow]:
    """All rows of a table. Raises UsageError where it is missing, no table, or not UTF-8."""
    suffix = table.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{table} is no table that can be read: give one that ends in {', '.join(SUFFIXES)}.")
    try:
        data = table.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"{table.resolve()}: there is no such file.") from error
    except OSError as error:
        raise UsageError(f"{table} cannot be read ({error.strerror}).") from error
    if suffix == ".parquet":
        rows = _parquet_rows(data, table)
    elif suffix == ".csv":
        rows = csv_rows(_text(data, table), table)
    else:
        rows = _json_rows(_text(data, table), table)
    found = list(rows)
    if not found:
        raise UsageError(f"{table} holds no rows: was it saved before it was filled?")
    return found


def column_of(rows: Sequence[TableRow], names: Sequence[str], table: Path) -> str:
    """The first of these names that every row has as a column. Raises UsageError where none is."""
    common = dict.fromkeys(rows[0].cells)
    for row in rows:
        common = {name: None for name in common if name in row.cells}
    found = next((name for name in names if name in common), None)
    if found is None:
        has = ", ".join(common) or "no column in all rows"
        raise UsageError(f"{table} has no column `{names[0]}` (it has {has}): name it in the first row.")
    return found


def _text(data: bytes, table: Path) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(
            f"{table}: line {line} is not UTF-8: save it as `CSV UTF-8`, or use iconv -t utf-8."
        ) from error
    if "\0" in text:
        raise UsageError(f"{table} is not UTF-8 text (UTF-16, or no text at all): save it as `CSV UTF-8`.")
    return text


def csv_rows(text: str, table: Path) -> Iterator[TableRow]:
    """The rows under the header; empty ones are passed over.  table: its name, for errors. Raises UsageError."""
    first_line = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first_line.count)  # of equals the first: a header of one column has none
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    number = 0
    try:
        for number, cells in enumerate(reader, 1):
            if header is None:
                header = _header(cells, table)
            elif any(cells):
                if len(cells) != len(header):
                    raise UsageError(
                        f"{table}: row {number} has {count_of(len(cells), 'cell', 'cells')}, the first row "
                        f'{len(header)}: is a comma in a text without "quotes" around it?'
                    )
                yield TableRow(f"row {number}", dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise UsageError(f"{table}: row {number + 1} is not CSV ({error}): is a quote not closed?") from error


def _header(cells: Sequence[str], table: Path) -> list[str]:
    names = [cell.strip() for cell in cells]
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise UsageError(f"{table} has two columns {some(twice)!r}: remove one.")
    return names


def _json_rows(text: str, table: Path) -> Iterator[TableRow]:
    for number, line in enumerate(io.StringIO(text), 1):
        if not line.strip():
            continue
        try:
            value = parse_json(line.encode())
        except ValueError as error:
            raise UsageError(f"{table}: line {number} is not JSON ({error}).") from error
        if not isinstance(value, dict):
            raise UsageError(f'{table}: line {number} is no object: write {{"key": "…", "caption": "…"}} on each line.')
        yield TableRow(f"line {number}", {str(name): _as_text(cell) for name, cell in value.items()})


def _parquet_rows(data: bytes, table: Path) -> Iterator[TableRow]:
    try:
        content = pq.read_table(io.BytesIO(data))
        content.validate(full=True)
    except UNREADABLE as error:
        raise UsageError(f"{table} is not a Parquet file ({' '.join(str(error).split())}).") from error
    for number, cells in enumerate(content.to_pylist(), 1):
        yield TableRow(f"row {number}", {name: _as_text(cell) for name, cell in cells.items()})


def _as_text(cell: object) -> str:
    return "" if cell is None else str(cell)
