"""A training folder belongs to the settings it was started with."""

import dataclasses
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from factory.errors import UsageError
from factory.shards.durable import write_json
from factory.shards.layout import Layout
from factory.training.folder import SETTINGS_FILE, is_begun


def pin_settings(settings: Any, out: Path, *, free: Collection[str]) -> None:
    """Write the settings into a folder in which nothing was learned so far; in others those that decide weights must be
    the same.

    settings: a frozen dataclass.  free: its fields that decide no weight, inner ones with a dot.  Raises UsageError.
    """
    check_pinned(settings, out, free=free)
    if not (file := out / SETTINGS_FILE).is_file() or not is_begun(out):
        write_json(file, dataclasses.asdict(settings), Layout(out).scratch)


def check_pinned(settings: Any, out: Path, *, free: Collection[str]) -> None:
    """Refuse other settings than a folder was started with; one where nothing was learned so far takes any.

    An earlier version may have written the file: a field that it lacks had its default, one that is no more a setting
    had a single value.
    """
    file = out / SETTINGS_FILE
    if not file.is_file() or not is_begun(out):
        return
    try:
        pinned: Any = TypeAdapter(type(settings)).validate_json(file.read_bytes())  # which passes over unknown fields
    except ValidationError as error:
        raise UsageError(f"{file} holds no settings of such a training: train into another --out.") from error
    differing = [
        name for name in differing_fields(pinned, settings) if not {name, name.partition(".")[0]}.intersection(free)
    ]
    if differing:
        raise UsageError(
            f"{out} was started with other settings ({', '.join(differing)}): use another --out, or the old ones, "
            f"which {file.name} there holds"
        )


def differing_fields(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """Dotted names of the fields in which two records differ, for people: "phases.1.lr"."""
    if dataclasses.is_dataclass(old) and type(old) is type(new):
        pairs = {field.name: (getattr(old, field.name), getattr(new, field.name)) for field in dataclasses.fields(old)}
    elif isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        pairs = {str(index): pair for index, pair in enumerate(zip(old, new, strict=True))}
    else:
        pairs = {}
        if old != new:
            yield name
    for inner, (left, right) in pairs.items():
        yield from differing_fields(left, right, f"{name}.{inner}" if name else inner)
