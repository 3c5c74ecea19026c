"""Captions from a table where there is no model: a CSV, JSONL or Parquet with a file and its caption on each row."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from factory.errors import UsageError, some
from factory.sources.captioning.edited_table import column_of, read_rows

ITEM_COLUMNS = ("path", "item", "file", "file_name", "filename", "name", "stem", "key")
CAPTION_COLUMNS = ("caption", "text", "prompt")
CLASS_COLUMNS = ("class", "class_name")
MOMENT = re.compile(r"@\d+\.\d{3}s$")  # of a frame, see clip_reader.named_moment


@dataclass(frozen=True, slots=True)
class CaptionTable:
    """captions, classes: by item as the table names it: a relative path, a file name, or either without its ending."""

    name: str
    captions: Mapping[str, str]
    classes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CaptionedRows:
    """rows: as given, with the table's captions.  remarks: sentences about items and lines that found no partner."""

    rows: list[dict[str, Any]]
    remarks: list[str]


def read_caption_table(table: Path) -> CaptionTable:
    """Read a table. Raises UsageError naming the first rows without an item or caption, and items named twice."""
    rows = read_rows(table)
    item_column = column_of(rows, ITEM_COLUMNS, table)
    caption_column = column_of(rows, CAPTION_COLUMNS, table)
    class_column = next((name for name in CLASS_COLUMNS if all(name in row.cells for row in rows)), None)
    captions: dict[str, str] = {}
    classes: dict[str, str] = {}
    nameless, empty, twice = [], [], []
    for row in rows:
        item, caption = _normal(row.cells[item_column]), " ".join(row.cells[caption_column].split())
        if not item:
            nameless.append(row.place)
        elif not caption:
            empty.append(f"{item} ({row.place})")
        elif item in captions:
            twice.append(f"{item} ({row.place})")
        else:
            captions[item] = caption
            if class_column and (class_name := " ".join(row.cells[class_column].split())):
                classes[item] = class_name
    for faults, what in (
        (nameless, f"has no `{item_column}` in {{}}: fill it in"),
        (empty, "has an empty caption for {}: fill it in, or take the row out"),
        (twice, "has more than one row for {}: keep one"),
    ):
        if faults:
            raise UsageError(f"{table} {what.format(some(faults))}.")
    return CaptionTable(str(table), captions, classes)


def with_captions(rows: Sequence[Mapping[str, Any]], table: CaptionTable) -> CaptionedRows:
    """The rows of a source ("path", "caption", "class_name") with the table's captions in place of those they have.

    A row is found by its path, its path without ending, its file name, or its stem, in this order; a frame of a clip
    ("a.mp4@3.200s") by its own name, else by the clip's, whose caption is for all its frames.
    Raises UsageError where one row of the table would caption two different files: then it must name paths.
    """
    users: dict[str, list[str]] = defaultdict(list)  # item of the table → paths it captions
    result: list[dict[str, Any]] = []
    missing: list[str] = []
    for row in rows:
        path = str(row["path"])
        item = next((name for name in _names(path) if name in table.captions), None)
        if item is None:
            missing.append(path)
            result.append(dict(row))
        else:
            if (file := MOMENT.sub("", path)) not in users[item]:
                users[item].append(file)
            changes = {"caption": table.captions[item]}
            if item in table.classes:
                changes["class_name"] = table.classes[item]
            result.append({**row, **changes})
    if shared := [f"{item} ({' and '.join(paths[:2])})" for item, paths in users.items() if len(paths) > 1]:
        raise UsageError(f"{table.name} names more than one file by {some(shared)}: write their paths instead.")
    unused = [item for item in table.captions if item not in users]
    remarks = []
    if missing:
        remarks.append(
            f"{table.name} has no caption for {len(missing):,} of {len(rows):,} items, whose names are taken: "
            f"{some(missing)}."
        )
    if unused:
        remarks.append(f"{table.name} has {len(unused):,} captions for items that are not there: {some(unused)}.")
    return CaptionedRows(result, remarks)


def _normal(item: str) -> str:
    """One spelling of a path: forward slashes, no leading ./, composed letters (macOS takes ä apart)."""
    return unicodedata.normalize("NFC", item.strip().replace("\\", "/")).removeprefix("./")


def _names(path: str) -> list[str]:
    names = [path]
    for whole in dict.fromkeys([PurePosixPath(_normal(path)), PurePosixPath(MOMENT.sub("", _normal(path)))]):
        names += [str(whole), str(whole.with_suffix("")), whole.name, whole.stem]
    return list(dict.fromkeys(names))
