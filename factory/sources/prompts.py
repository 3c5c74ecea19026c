"""Prompt lists: txt, csv, json, jsonl, parquet or standard input → rows of prompt, class and caption.

One prompt or class name per line. A class name (up to three words, no article in front) is expanded by the caption
template; anything else is taken as it stands, braces included.

Plain text (txt, standard input): a line that begins with # is a heading or comment and no prompt, one that begins with
\\# is a prompt that begins with #; quotes around a whole line go; a text that is a JSON list as a whole is read as one.
CSV: commas, semicolons or tabs; as in JSON and Parquet, nothing in it is a comment. A table may have further columns,
of pictures for example, which a caller may ask for.
"""

import io
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.parquet

from factory.errors import UsageError, nearest, some
from factory.shards.foreign_text import parse_json
from factory.shards.manifest import UNREADABLE
from factory.shipped_files import names
from factory.sources.captioning.edited_table import column_of, csv_rows
from factory.sources.captioning.names import article

Palette: TypeAlias = Mapping[str, Sequence[str]]  # class → colours
NO_COLOURS: Palette = {}
LONGEST = 2_000  # characters; CLIP reads 77 tokens, a longer line is a wrong file
ARTICLES = frozenset({"a", "an", "the", "some", "two", "three", "many", "one"})
QUOTES = ('""', "''", "“”", "‘’")
FIELDS = ("{a}", "{colour}", "{class}")  # of a template
COLUMNS = ("prompt", "text", "caption", "TEXT", "class")


class Listed(NamedTuple):
    """A line of a list, or a row of a table.  cells: of the columns that were asked for, "" where one is empty."""

    number: int
    text: str
    cells: Mapping[str, str] = {}


@dataclass(frozen=True)
class PromptList:
    """rows: what to paint, in order: prompt, class, caption, and the columns that were asked for.

    remarks: sentences about lines that were passed over.  negative: the list's own negative prompt, "" for none.
    """

    rows: list[dict[str, Any]]
    remarks: list[str]
    negative: str = ""


class Gone(UsageError):
    """There is no list: its file is missing, or nothing comes from standard input."""


def read_prompts(
    source: str,
    template: str,
    palette: Palette = NO_COLOURS,
    *,
    from_a_terminal: bool = True,
    columns: Sequence[str] = (),
) -> PromptList:
    """Read a list and expand its class names.

    source: a path, or "-" for standard input.  template: e.g. "{a} {colour} {class}"; {colour} runs over the colours
    that `palette` has for the class, and is left out where it has none.
    from_a_terminal: whether to wait for someone to type prompts where standard input is a terminal.
    columns: of a table, those that its rows keep beside the prompt.
    Raises Gone where there is nothing to read, UsageError where it is binary, not UTF-8 or has no usable column.
    """
    if columns and source == "-":
        raise UsageError(
            f"--prompts -: standard input has no column `{columns[0]}`: give a csv, json, jsonl or parquet table."
        )
    name = "standard input" if source == "-" else source
    data = _read_standard_input(from_a_terminal) if source == "-" else _read_file(source)
    lines = list(_lines(source, data, name, columns))
    for column in columns:
        if lines and not any(line.cells.get(column) for line in lines):
            raise UsageError(f"{name} has no column `{column}` with anything in it: name it in the table.")
    return expand(lines, name, template, palette)


def text_of(source: str) -> str:
    """The text of a list's file. Raises as `read_prompts` does."""
    return _text(_read_file(source), source)


def check_template(template: str) -> None:
    """Raises UsageError for one that would paint the same under every label, or paint a field's name. "" is none."""
    for field in re.findall(r"\{[^{}]*\}", template):
        if field not in FIELDS:
            raise UsageError(f"--template {template!r} has an unknown field {field}: take {', '.join(FIELDS)}.")
    if template and "{class}" not in template:
        raise UsageError(f"--template {template!r} does not say where the class name goes: write {{class}} there.")


def expand(lines: Iterable[Listed], name: str, template: str, palette: Palette = NO_COLOURS) -> PromptList:
    """Rows for numbered lines; empty and repeated ones are passed over and reported.

    A prompt that comes again with other cells is no repetition.
    """
    empty: list[int] = []
    repeated: list[int] = []
    seen: set[tuple[str, ...]] = set()
    kept: list[Listed] = []
    for number, raw, cells in lines:
        text = " ".join(raw.split())
        told = text.casefold(), *cells.values()
        if not text:
            empty.append(number)
        elif len(text) > LONGEST:
            raise UsageError(
                f"{name}: line {number} has {len(text):,} characters, more than {LONGEST:,}: is it a prompt list?"
            )
        elif told in seen:
            repeated.append(number)
        else:
            seen.add(told)
            kept.append(Listed(number, text, cells))
    if not kept:
        raise UsageError(f"{name} holds no prompt: write one prompt or class name per line.")
    remarks = [
        f"{name}: {what} line{'s' if len(numbers) > 1 else ''} {some([str(number) for number in numbers])} passed over."
        for what, numbers in (("empty", empty), ("repeated", repeated))
        if numbers
    ]
    coloured = "{colour}" in template
    variants = [(listed, (palette.get(listed.text, ()) if coloured else ()) or ("",)) for listed in kept]
    rounds = max(len(colours) for _, colours in variants)
    rows = [row for number in range(rounds) for row in _one_round(variants, template, number)]
    return PromptList(rows, remarks)


def _one_round(
    variants: Sequence[tuple[Listed, Sequence[str]]], template: str, number: int
) -> Iterator[dict[str, str]]:
    """Each line at most once; neighbours start at different colours, so that the first rows already vary."""
    for index, ((_, text, cells), colours) in enumerate(variants):
        if is_class_name(text):
            if number < len(colours):
                caption = fill(template, text, colours[(index + number) % len(colours)])
                yield {"prompt": caption, "class": text, "caption": caption, **cells}
        elif number == 0:
            yield {"prompt": text, "class": "", "caption": text, **cells}


def is_class_name(text: str) -> bool:
    """Up to three words with no article or comma: "dog", "wine glass"."""
    words = text.split()
    return len(words) <= 3 and words[0].casefold() not in ARTICLES and "," not in text


def fill(template: str, class_name: str, colour: str) -> str:
    """The template's {a}, {colour} and {class} replaced; only these, so that other braces stay."""
    words = {"{class}": class_name, "{colour}": colour}
    text = ""
    for piece in reversed(re.split(r"(\{a\}|\{class\}|\{colour\})", template)):  # an article looks at what follows
        text = (article(text) if piece == "{a}" else words.get(piece, piece)) + text
    return " ".join(text.split())


def _lines(source: str, data: bytes, name: str, columns: Sequence[str]) -> Iterator[Listed]:
    """Numbered lines, or rows of a table."""
    suffix = Path(source).suffix.lower()
    if suffix == ".parquet":
        yield from _parquet_rows(data, name, columns)
        return
    text = _text(data, name)
    listed = _json_list(text, name, columns, must_be=suffix == ".json") if text.lstrip().startswith("[") else None
    if suffix in {".csv", ".tsv"}:
        rows = list(csv_rows(text, Path(name)))
        column = column_of(rows, COLUMNS, Path(name)) if rows else ""
        for asked in columns if rows else ():
            column_of(rows, (asked,), Path(name))
        yield from (Listed(row.number, row.cells[column], {at: row.cells[at] for at in columns}) for row in rows)
    elif listed is not None:
        yield from listed
    else:
        in_json = suffix in {".json", ".jsonl"}
        if columns and not in_json:
            raise UsageError(f"{name} has no column `{columns[0]}`: give a csv, json, jsonl or parquet table.")
        for number, line in enumerate(io.StringIO(text, newline=None), 1):
            if in_json:
                yield _json_line(line, number, name, columns) if line.strip() else Listed(number, line)
            elif not line.lstrip().startswith("#"):
                yield Listed(number, _as_meant(line.strip()))


def _as_meant(line: str) -> str:
    """Without quotes around the whole of it, and without the backslash that keeps a leading # from being a comment."""
    pair = line[:1] + line[-1:]
    if len(line) > 1 and pair in QUOTES and not set(pair) & set(line[1:-1]):
        return line[1:-1]
    return line.removeprefix("\\") if line.startswith("\\#") else line


def _read_standard_input(from_a_terminal: bool) -> bytes:
    nothing = Gone("--prompts -: nothing comes from standard input: pipe a list of prompts into it.")
    if sys.stdin is None or sys.stdin.closed or (sys.stdin.isatty() and not from_a_terminal):
        raise nothing
    try:
        data = sys.stdin.buffer.read()
    except OSError as error:
        raise UsageError(
            f"standard input cannot be read ({error.strerror}): pipe a list of prompts into it."
        ) from error
    if not data.strip():
        raise nothing
    return data


def _read_file(source: str) -> bytes:
    try:
        return Path(source).read_bytes()
    except FileNotFoundError as error:
        raise Gone(
            f"--prompts {source}: there is no such file{nearest(source, names('prompts'))}. Give a list of prompts, - "
            "for standard input, or the name of a list that ships (`factory recipes`)."
        ) from error
    except OSError as error:
        raise UsageError(f"--prompts {source} cannot be read ({error.strerror}).") from error


def _text(data: bytes, name: str) -> str:
    if b"\0" in data:
        raise UsageError(
            f"{name} is a binary file, or text that is not UTF-8: give a txt, csv, json, jsonl or parquet list."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(f"{name}: line {line} is not UTF-8: convert it, for example with iconv -t utf-8.") from error


def _parquet_rows(data: bytes, name: str, columns: Sequence[str]) -> Iterator[Listed]:
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(data))
        column = next((column for column in COLUMNS if column in table.column_names), None)
        for asked in (column, *columns):
            if asked not in table.column_names:
                raise UsageError(
                    f"{name} has no column `{asked or COLUMNS[0]}` (it has {', '.join(table.column_names)})."
                )
        read = {asked: table[asked].cast(pa.string()) for asked in (column, *columns)}
        for texts in read.values():
            texts.validate(full=True)  # damaged text would fall over later
    except UNREADABLE as error:
        raise UsageError(f"{name} is not a readable parquet file ({' '.join(str(error).split())}).") from error
    for index, value in enumerate(read[column]):
        yield Listed(index + 1, value.as_py() or "", {asked: read[asked][index].as_py() or "" for asked in columns})


def _json_list(text: str, name: str, columns: Sequence[str], *, must_be: bool) -> list[Listed] | None:
    """The prompts of a text that is one JSON list; None for another text that only begins like one."""
    try:
        values = parse_json(text.encode())
    except ValueError as error:
        if must_be:
            raise UsageError(
                f"{name} is not a JSON list ({error}): mend it, or write one prompt on each line."
            ) from error
        return None
    return [_in_json(value, number, f"{name}: item {number}", columns) for number, value in enumerate(values, 1)]


def _json_line(line: str, number: int, name: str, columns: Sequence[str]) -> Listed:
    place = f"{name}: line {number}"
    try:
        return _in_json(parse_json(line.encode()), number, place, columns)
    except ValueError as error:
        raise UsageError(f"{place} is not JSON.") from error


def _in_json(value: Any, number: int, place: str, columns: Sequence[str]) -> Listed:
    own = value if isinstance(value, dict) else {}
    text = next((own[column] for column in COLUMNS if column in own), None) if own else value
    if not isinstance(text, str):
        raise UsageError(f'{place} has no "prompt": write "…" or {{"prompt": "…"}}.')
    cells = {column: own.get(column) or "" for column in columns}
    if wrong := next((column for column, cell in cells.items() if not isinstance(cell, str)), None):
        raise UsageError(f"{place}: `{wrong}` is no text: write the name of a file.")
    return Listed(number, text, cells)
