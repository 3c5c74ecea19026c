"""Settings as data: strict models for recipes, frozen dataclasses for plans, and the way from JSON to either."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from factory.errors import UsageError
from factory.home import at_home

S = TypeVar("S")


class Strict(BaseModel):
    """Unknown fields are errors: a mistyped one must not be silently ignored. A `~` in front is the home folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _at_home(cls, fields: Any) -> Any:
        return at_home(fields)


def settings(kind: type[S], value: Any) -> S:
    """A settings dataclass from its JSON, as a plan holds it."""
    return TypeAdapter(kind).validate_python(value)


def changed(name: str, own: S, changes: Mapping[str, Any]) -> S:
    """A settings dataclass with the recipe's group `name` laid over it. Raises UsageError naming each wrong field."""
    known: dict[str, Any] = dict(TypeAdapter(type(own)).dump_python(own))
    if unknown := sorted(changes.keys() - known.keys()):
        raise UsageError(f"{name} has no field {', '.join(unknown)}: take {', '.join(known)}.")
    try:
        return TypeAdapter(type(own)).validate_python(known | dict(changes))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise UsageError(f"wrong {name} settings: {faults}.") from error
