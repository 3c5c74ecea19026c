"""A training's settings as rows for people: what differs from the defaults first."""

from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One setting by its dotted name, as a recipe has it.  default: "" where it must be given."""

    name: str
    value: str
    default: str
    differs: bool


def rows(settings: Any, inside: str = "") -> Iterator[Row]:
    """settings: a dataclass, with others in it, or in its tuples."""
    for field in fields(settings):
        yield from _rows(getattr(settings, field.name), _default(field), f"{inside}{field.name}")


def _rows(value: Any, default: Any, name: str) -> Iterator[Row]:
    if is_dataclass(value):
        yield from rows(value, f"{name}.")
    elif isinstance(value, tuple) and value and all(is_dataclass(one) for one in value):
        for number, one in enumerate(value):
            yield from rows(one, f"{name}.{number}.")
    else:
        said = "" if default is MISSING else in_words(default)
        yield Row(name, in_words(value), said, default is MISSING or value != default)


def _default(field: "Field[Any]") -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def in_words(value: Any) -> str:
    """A value as YAML would have it, near enough."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
        case None | "" | () | {}:
            return "–"
        case dict():
            return ", ".join(f"{name}: {in_words(inner)}" for name, inner in value.items())
        case tuple() | list():
            return ", ".join(in_words(inner) for inner in value)
        case _:
            return str(value)
