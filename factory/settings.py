"""Settings as data: strict models for recipes, frozen dataclasses for plans, and the way from JSON to either."""

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from factory.errors import UsageError

S = TypeVar("S")


class Strict(BaseModel):
    """Unknown fields are errors: a mistyped one must not be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def settings(kind: type[S], value: Any) -> S:
    """A settings dataclass from its JSON, as a plan holds it. Raises UsageError where it is none."""
    try:
        return TypeAdapter(kind).validate_python(numbers(value))
    except ValueError as error:
        raise UsageError(f"the plan's settings are damaged ({_faults(error)}): restore plan.json.") from error


def changed(name: str, own: S, changes: Mapping[str, Any]) -> S:
    """A settings dataclass with the recipe's group `name` laid over it. Raises UsageError naming each wrong field."""
    known: dict[str, Any] = dict(TypeAdapter(type(own)).dump_python(own))
    if unknown := sorted(changes.keys() - known.keys()):
        raise UsageError(f"{name} has no field {', '.join(unknown)}: take {', '.join(known)}.")
    try:
        return TypeAdapter(type(own)).validate_python(numbers(known | dict(changes)))
    except ValueError as error:
        raise UsageError(f"wrong {name} settings: {_faults(error)}.") from error


def numbers(value: Any, place: str = "") -> Any:
    """The value itself. Raises ValueError, which names the place, where NaN stands for a number: no limit means it."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            numbers(inner, f"{place}.{name}" if place else str(name))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            numbers(inner, f"{place}.{index}")
    elif isinstance(value, float) and math.isnan(value):
        raise ValueError(f"{place}: it is no number")
    return value


def _faults(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
