"""A plan in the making, handed from one planner to the next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from factory.engine.plan import Plan, Segment
from factory.shards.members import Members


@dataclass
class Prepared:
    """A plan that is not yet on disk, with the tables it names and remarks for the user."""

    plan: Plan
    tables: Mapping[str, pa.Table]
    remarks: list[str] = field(default_factory=list)
    unusable: Mapping[str, int] = field(default_factory=dict)  # table → rows that are known to become no sample


@dataclass
class Draft:
    """What the planners fill in; fields as in `Plan`."""

    segments: list[Segment] = field(default_factory=list)
    tables: dict[str, pa.Table] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    census: dict[str, dict[str, Any]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    unusable: dict[str, int] = field(default_factory=dict)  # table → rows that are known to become no sample
    members: Members = ()  # of an input set; () takes those that the job declares
    keep_rejected: bool = False
    shard_size: int = 0  # > 0: taken from an input set
