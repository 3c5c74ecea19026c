"""What is wrong with the fields of a recipe, in people's words and with the nearest names that there are."""

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from factory.errors import nearest, some

Schema: TypeAlias = Mapping[str, Any]
"""JSON Schema of a settings class: what it allows at each place."""

FieldPath: TypeAlias = Sequence[int | str]
"""The way to a field: names, numbers in lists, and the kind where there are several (`videos`)."""

SHOWN = 40  # letters of a wrong value
NAMED = 12  # fields that there are

# pydantic's kinds of errors
_NO_SUCH_FIELD = {"extra_forbidden", "unexpected_keyword_argument"}
_MISSING = {"missing", "missing_argument", "missing_keyword_only_argument", "union_tag_not_found"}
_SAID: Mapping[str, Callable[[str, Mapping[str, Any]], str]] = {  # told the value, and what is known of the limit
    "greater_than": lambda value, ctx: f"{value} is too small: give more than {ctx['gt']:g}",
    "greater_than_equal": lambda value, ctx: f"{value} is too small: give at least {ctx['ge']:g}",
    "less_than": lambda value, ctx: f"{value} is too large: give less than {ctx['lt']:g}",
    "less_than_equal": lambda value, ctx: f"{value} is too large: give at most {ctx['le']:g}",
    "too_short": lambda _, ctx: f"it holds too little: give at least {ctx['min_length']}",
    "too_long": lambda _, ctx: f"it holds too much: give at most {ctx['max_length']}",
    "string_too_short": lambda *_: "it is empty: fill it in",
    "value_error": lambda _, ctx: str(ctx["error"]),
    "invalid_key": lambda value, _: f"{value} is no name of a field: write names as text",
}
_WANTED = {  # by their beginnings: what was wanted in the value's place
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text: put it in quotes",
    "path": "a path: put it in quotes",
    "tuple": "a list: write [a, b]",
    "list": "a list: write [a, b]",
    "dict": "a group of fields",
    "mapping": "a group of fields",
    "model": "a group of fields",
    "dataclass": "a group of fields",
}


def faults_in(error: ValidationError, adapter: TypeAdapter[Any]) -> list[str]:
    """Each wrong field by its place and what to do, as "gates.gsg: …".  adapter: what refused the value."""
    found = error.errors()
    schema = adapter.json_schema()
    told = []
    for fault in found:
        place = fault["loc"]
        if any(len(other["loc"]) > len(place) == _shared(other["loc"], place) for other in found):
            continue  # it only follows from a fault inside of it
        told.append(_sentence(fault, schema))
    return list(dict.fromkeys(told))


def _sentence(fault: Any, schema: Schema) -> str:
    kind, place = fault["type"], fault["loc"]
    if kind in _NO_SUCH_FIELD:
        where, around = _at(place[:-1], schema)
        instead = _instead(str(place[-1]), list(around.get("properties", {})))
        return f"{_written([*where, place[-1]])}: there is no such field{instead}"
    where, here = _at(place, schema)
    names = [str(each) for each in here.get("enum", ())]
    if kind.startswith("union_tag"):
        where.append(here["discriminator"]["propertyName"])
        names = list(here["discriminator"]["mapping"])
    return f"{_written(where)}: {_what(kind, fault['input'], fault.get('ctx', {}), names)}"


def _what(kind: str, value: object, limits: Mapping[str, Any], names: Sequence[str]) -> str:
    """What is wrong with a value and what to give instead.  names: those that are allowed, where only some are."""
    if kind in _MISSING:
        return "it is missing" + (f": take one of {some(names, NAMED)}" if names else "")
    if names:
        wrong = str(limits.get("tag", value))
        return f"{wrong!r} is unknown{_instead(wrong, names)}"
    if kind in _SAID:
        return _SAID[kind](_shown(value), limits)
    wanted = next((said for beginning, said in _WANTED.items() if kind.startswith(beginning)), "what belongs here")
    return f"{_shown(value)} is not {wanted}"


def _instead(name: str, known: Sequence[str]) -> str:
    """The nearest name that there is, or else all of them."""
    return nearest(name, known) or f": take {some(known, NAMED)}"


def _at(place: FieldPath, schema: Schema) -> tuple[list[int | str], Schema]:
    """What is allowed at a place, and the place as people write it: without the kinds that pydantic puts in between."""
    written: list[int | str] = []
    here = _resolved(schema, schema)
    for part in place:
        if "discriminator" in here and part in here["discriminator"]["mapping"]:
            here = _resolved({"$ref": here["discriminator"]["mapping"][part]}, schema)
            continue
        written.append(part)
        inner = here.get("items", {}) if isinstance(part, int) else here.get("properties", {}).get(part, {})
        here = _resolved(inner, schema)
    return written, here


def _resolved(here: Schema, schema: Schema) -> Schema:
    """A reference followed; of "this or nothing" this."""
    if "$ref" in here:
        return _resolved(schema["$defs"][here["$ref"].rpartition("/")[2]], schema)
    if "discriminator" not in here and (
        options := [each for each in here.get("anyOf", ()) if each.get("type") != "null"]
    ):
        return _resolved(options[0], schema)
    return here


def _written(place: FieldPath) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _shared(one: FieldPath, other: FieldPath) -> int:
    """How many parts two places have in common from their beginning on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
