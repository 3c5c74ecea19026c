"""A plan in the making, handed from one planner to the next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from factory.engine.plan import Plan, Segment
from factory.errors import UsageError

S = TypeVar("S")


@dataclass
class Prepared:
    """A plan that is not yet on disk, with the tables it names and remarks for the user."""

    plan: Plan
    tables: Mapping[str, pa.Table]
    remarks: list[str] = field(default_factory=list)


@dataclass
class Draft:
    """What the planners fill in; fields as in `Plan`."""

    segments: list[Segment] = field(default_factory=list)
    tables: dict[str, pa.Table] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    shard_size: int = 0  # > 0: taken from an input set


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
