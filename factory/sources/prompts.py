"""Prompt lists: txt, csv, jsonl, parquet or standard input → rows of prompt, class and caption.

One prompt or class name per line. A class name (up to three words, no article in front) is expanded by the caption
template; anything else is taken as it stands, braces included. In plain text (txt, standard input) a line that begins
with # is a heading or comment and no prompt; tables and JSON have none.
"""

import io
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from factory.errors import UsageError, some
from factory.shards.foreign_text import parse_json
from factory.shards.manifest import UNREADABLE

Palette: TypeAlias = Mapping[str, Sequence[str]]  # class → colours
NO_COLOURS: Palette = {}
LONGEST = 2_000  # characters; CLIP reads 77 tokens, a longer line is a wrong file
ARTICLES = frozenset({"a", "an", "the", "some", "two", "three", "many", "one"})
VOWELS = tuple("aeiou")
COLUMNS = ("prompt", "text", "caption", "TEXT", "class")


@dataclass(frozen=True)
class PromptList:
    """rows: what to paint, in order.  remarks: sentences about lines that were passed over."""

    rows: list[dict[str, str]]
    remarks: list[str]


def read_prompts(source: str, template: str, palette: Palette = NO_COLOURS) -> PromptList:
    """Read a list and expand its class names.

    source: a path, or "-" for standard input.  template: e.g. "{a} {colour} {class}"; {colour} runs over the colours
    that `palette` has for the class, and is left out where it has none.
    Raises UsageError where the file is missing, empty, binary, not UTF-8 or has no usable column.
    """
    name = "standard input" if source == "-" else source
    lines = list(_lines(source, name))
    return expand(lines, name, template, palette)


def expand(lines: Iterable[tuple[int, str]], name: str, template: str, palette: Palette = NO_COLOURS) -> PromptList:
    """Rows for numbered lines; empty and repeated ones are passed over and reported."""
    empty: list[int] = []
    repeated: list[int] = []
    seen: set[str] = set()
    kept: list[str] = []
    for number, raw in lines:
        text = " ".join(raw.split())
        if not text:
            empty.append(number)
        elif len(text) > LONGEST:
            raise UsageError(
                f"{name}: line {number} has {len(text):,} characters, more than {LONGEST:,}: is it a prompt list?"
            )
        elif text.casefold() in seen:
            repeated.append(number)
        else:
            seen.add(text.casefold())
            kept.append(text)
    if not kept:
        raise UsageError(f"{name} holds no prompt: write one prompt or class name per line.")
    remarks = [
        f"{name}: {what} line{'s' if len(numbers) > 1 else ''} {some([str(number) for number in numbers])} passed over."
        for what, numbers in (("empty", empty), ("repeated", repeated))
        if numbers
    ]
    coloured = "{colour}" in template
    variants = {text: (palette.get(text, ()) if coloured else ()) or ("",) for text in kept}
    rounds = max(len(colours) for colours in variants.values())
    rows = [row for number in range(rounds) for row in _one_round(variants, template, number)]
    return PromptList(rows, remarks)


def _one_round(variants: Palette, template: str, number: int) -> Iterator[dict[str, str]]:
    """Each line at most once; neighbours start at different colours, so that the first rows already vary."""
    for index, (text, colours) in enumerate(variants.items()):
        if is_class_name(text):
            if number < len(colours):
                caption = fill(template, text, colours[(index + number) % len(colours)])
                yield {"prompt": caption, "class": text, "caption": caption}
        elif number == 0:
            yield {"prompt": text, "class": "", "caption": text}


def is_class_name(text: str) -> bool:
    """Up to three words with no article or comma: "dog", "wine glass"."""
    words = text.split()
    return len(words) <= 3 and words[0].casefold() not in ARTICLES and "," not in text


def fill(template: str, class_name: str, colour: str) -> str:
    """The template's {a}, {colour} and {class} replaced; only these, so that other braces stay."""
    words = {"{class}": class_name, "{colour}": colour}
    text = ""
    for piece in reversed(re.split(r"(\{a\}|\{class\}|\{colour\})", template)):  # an article looks at what follows
        article = "an" if text.lstrip().casefold().startswith(VOWELS) else "a"
        text = (article if piece == "{a}" else words.get(piece, piece)) + text
    return " ".join(text.split())


def _lines(source: str, name: str) -> Iterator[tuple[int, str]]:
    data = _read(source, name)
    suffix = Path(source).suffix.lower()
    try:
        if suffix == ".parquet":
            yield from _column(pyarrow.parquet.read_table(io.BytesIO(data)), name)
            return
        text = _text(data, name)
        if suffix == ".csv":
            parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
            typing = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.string()))  # "007" is a prompt
            table = pyarrow.csv.read_csv(io.BytesIO(data), parse_options=parsing, convert_options=typing)
            yield from _column(table, name)
            return
    except UNREADABLE as error:
        raise UsageError(f"{name} is not a readable {suffix[1:]} file ({' '.join(str(error).split())}).") from error
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if suffix == ".jsonl":
            yield number, _json_prompt(line, name, number) if line.strip() else line
        elif not line.lstrip().startswith("#"):
            yield number, line


def _read(source: str, name: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except FileNotFoundError as error:
        raise UsageError(
            f"--prompts {name}: there is no such file. Give a list of prompts, - for standard input, or the name of a "
            "list that ships (`factory recipes`)."
        ) from error
    except OSError as error:
        raise UsageError(f"--prompts {name} cannot be read ({error.strerror}).") from error


def _text(data: bytes, name: str) -> str:
    if b"\0" in data:
        raise UsageError(f"{name} is a binary file: give a txt, csv, jsonl or parquet list of prompts.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(f"{name}: line {line} is not UTF-8: convert it, for example with iconv -t utf-8.") from error


def _column(table: pa.Table, name: str) -> Iterator[tuple[int, str]]:
    column = next((column for column in COLUMNS if column in table.column_names), None)
    if column is None:
        raise UsageError(f"{name} has no column `prompt` (it has {', '.join(table.column_names)}).")
    texts = table[column].cast(pa.string())
    texts.validate(full=True)
    for number, value in enumerate(texts, 1):
        yield number, value.as_py() or ""


def _json_prompt(line: str, name: str, number: int) -> str:
    try:
        value = parse_json(line.encode())
    except ValueError as error:
        raise UsageError(f"{name}: line {number} is not JSON.") from error
    if isinstance(value, dict):
        value = next((value[column] for column in COLUMNS if column in value), None)
    if not isinstance(value, str):
        raise UsageError(f'{name}: line {number} has no "prompt": write {{"prompt": "…"}} on each line.')
    return value
