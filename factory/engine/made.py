"""The shards that a data set has so far, finished or not."""

from collections.abc import Iterator
from pathlib import Path

from factory.engine.plan import Plan, read_plan
from factory.errors import UsageError
from factory.shards.commit import CommitRecord, valid_commits
from factory.shards.layout import Layout
from factory.shards.manifest import manifest_files


def records_of(plan: Plan, layout: Layout) -> Iterator[CommitRecord]:
    """The records of the plan's shards, in shard order. One that says of a shard what the plan does not is absent."""
    for record in valid_commits(layout, plan.fingerprints):
        if record.shard < plan.shards and record.split == plan.shard(record.shard).segment.split:
            yield record


def made_shards(data: Path) -> tuple[Plan, list[CommitRecord]]:
    """The set's plan and the records of its shards. Raises UsageError where it is no set, or none is made yet."""
    layout = Layout(data)
    plan = read_plan(layout.plan)
    records = list(records_of(plan, layout))
    if not records:
        raise UsageError(f"{data} has no finished shard yet: run its command first.")
    return plan, records


def is_handed_on(layout: Layout) -> bool:
    """Whether a set came without plan, records or parts, but with a manifest, which then speaks for it."""
    whole = layout.plan.exists() and layout.commits.is_dir() and layout.parts.is_dir()
    return not whole and bool(manifest_files(layout))


def what_is_missing(data: Path) -> str:
    """A sentence where a set is still being made; "" where it is whole, or was handed on without its plan."""
    layout = Layout(data)
    if not layout.plan.exists() or is_handed_on(layout):
        return ""
    plan = read_plan(layout.plan)
    made = sum(1 for _ in records_of(plan, layout))
    if made == plan.shards:
        return ""
    return f"{data} is not finished: only its {made:,} of {plan.shards:,} shards are taken."
