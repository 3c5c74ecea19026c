"""Settings as data: strict models for recipes, frozen dataclasses for plans, and the way from JSON to either."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from math import isfinite, isnan
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError, model_validator

from factory.errors import UsageError, nearest
from factory.home import at_home
from factory.recipe_faults import faults_in

S = TypeVar("S")


def _not_empty(value: Any) -> Any:
    """Else "" would be the folder that the program was started in."""
    if value == "":
        raise ValueError("it is empty: name a file or folder")
    return value


Place: TypeAlias = Annotated[Path, BeforeValidator(_not_empty)]
"""A path in a recipe."""


UNSAID: Mapping[str, Any] = {"unsaid": True}
"""Metadata of a setting that came later: a plan says it only where it is not its default, so old ones stay equal."""


class Strict(BaseModel):
    """Unknown fields are errors: a mistyped one must not be silently ignored. So are numbers that are none.

    A `~` in front of a text is the home folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _at_home(cls, fields: Any) -> Any:
        return at_home(fields)


def settings(kind: type[S], value: Any) -> S:
    """A settings dataclass from its JSON, as a plan holds it. Raises UsageError where it is none."""
    adapter = TypeAdapter(kind)
    try:
        return adapter.validate_python(_without_nan(value))
    except ValueError as error:
        faults = faults_in(error, adapter) if isinstance(error, ValidationError) else [str(error)]
        raise UsageError(f"the plan's settings are damaged ({'; '.join(faults)}): restore plan.json.") from error


def said(own: Any) -> dict[str, Any]:
    """What a plan holds of a settings dataclass: no paths, for these say where and not what."""
    values = asdict(own)
    for each in fields(own):
        value = values[each.name]
        if isinstance(value, Path) or (each.metadata.get("unsaid") and value == each.default):
            del values[each.name]
    return values


def changed(name: str, own: S, changes: Mapping[str, Any]) -> S:
    """A settings dataclass with the recipe's group `name` laid over it. Raises UsageError naming each wrong field."""
    known: dict[str, Any] = dict(TypeAdapter(type(own)).dump_python(own))
    if unknown := sorted(changes.keys() - known.keys()):
        there = ", ".join(known) or "none"
        raise UsageError(f"{name} has no field {unknown[0]}{nearest(unknown[0], known)}: there are {there}.")
    adapter = TypeAdapter(type(own))
    try:
        laid_over: S = adapter.validate_python(known | dict(changes))
    except ValidationError as error:
        raise UsageError(f"wrong {name} settings: {'; '.join(faults_in(error, adapter))}.") from error
    for field in changes:
        value = getattr(laid_over, field)
        if isinstance(value, float) and not isfinite(value):
            raise UsageError(f"{name}.{field} is {value}: give a finite number.")
    return laid_over


def _without_nan(value: Any, place: str = "") -> Any:
    """The value itself. Raises ValueError, which names the place, where NaN stands for a number: no limit means it.

    Infinity passes: it stands in plans of sets that were begun when recipes could say it.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _without_nan(inner, f"{place}.{name}" if place else str(name))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _without_nan(inner, f"{place}.{index}")
    elif isinstance(value, float) and isnan(value):
        raise ValueError(f"{place}: it is no number")
    return value
